"""The selection: kept or dropped, with a reason, for every image of the pool."""
