"""Retrieval: which pool images a seed set brings, by nearest neighbours or by clusters."""
