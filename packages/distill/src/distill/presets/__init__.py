"""Named recipes, as YAML files read like a user's own."""
