"""The parts of a Vision Transformer, one idea per file."""
