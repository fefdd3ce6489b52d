"""A seeded set of small pictures with a known truth: what the demo and the end-to-end tests curate and learn from."""
