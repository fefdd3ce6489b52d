"""curate: from a pool of raw images to a deduplicated, retrieved and explained dataset."""
