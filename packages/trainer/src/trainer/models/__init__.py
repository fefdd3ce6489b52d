"""Backbones and prototype heads, and the table of sizes."""
