"""Reports over a workspace: composition, counts, galleries."""
