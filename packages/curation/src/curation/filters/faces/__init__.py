"""Faces: found by OpenCV's detector, counted to drop pictures, or blurred in the bytes that the dataset gets."""
