"""Spherical k-means over embeddings: flat for cluster-based retrieval, hierarchical for seed-free curation."""
