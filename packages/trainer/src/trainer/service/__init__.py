"""Runs on a Ray cluster: handing them in and looking after them."""
