"""`distill report`: students of one or several runs side by side, as one HTML page."""
