"""Ways to distil: methods for the trainer's loop."""
