"""The filter step: values of every image (size, sharpness, emptiness) and the verdict that bounds give on them."""
