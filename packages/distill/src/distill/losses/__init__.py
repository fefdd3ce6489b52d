"""Losses between features of two models."""
