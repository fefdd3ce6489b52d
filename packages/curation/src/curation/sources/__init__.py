"""Where images come from: what is offered for the catalogue, and how bytes are read back by uri."""
