"""Whole recipes, from a pool of images to small models: the recipes are data, this folder runs them."""
