"""Files of object stores and web servers: read with patience, kept for a while in a bounded folder on disk."""
