"""What curation of a pool of any size costs, from what was measured on small ones."""
