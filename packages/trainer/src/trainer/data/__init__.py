"""From files on disk to batches of crops: sources, decoding, augmentation, masking, loading."""
