"""Vectors that another tool made, as one of our stores: which files, which rows, whose images."""
