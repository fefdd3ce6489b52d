"""What a user asks for: strict settings in sections, presets as data."""
