"""Model folders and foreign checkpoints: everything that leaves a run, or enters from elsewhere."""
