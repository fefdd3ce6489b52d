"""Bytes to pixels; an image that cannot be decoded is named, never fatal."""
