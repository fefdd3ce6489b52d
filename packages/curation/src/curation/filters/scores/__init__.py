"""Values that cost a model: image classifiers and linear heads over stored embeddings."""
