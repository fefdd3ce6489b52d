"""The training loop and what stands around it: run folder, checkpoints, metrics, progress, warnings."""
