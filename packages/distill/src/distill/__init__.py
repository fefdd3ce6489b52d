"""Distillation: small Vision Transformers from a frozen large teacher."""

__version__ = "0.1.0"
