"""Nearest-vector search and threshold joins over unit vectors, exact and by Faiss-trained lists."""
