"""Where images come from: one file per kind of source, all with random access by index."""
