"""Why an image is in or out, and whether an image or its like is in the set."""
