"""A local web page over a workspace: search, neighbours, a map, groups of duplicates, decisions by hand."""
