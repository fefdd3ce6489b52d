"""From catalogued images to unit vectors: the table of embedders and the resumable embedding step."""
