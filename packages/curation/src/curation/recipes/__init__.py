"""Recipes: the steps of a curation as data, run in order, resuming what is done."""
