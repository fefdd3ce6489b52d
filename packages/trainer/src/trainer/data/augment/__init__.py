"""The multi-crop augmentation of DINOv2: parameters drawn first, pixels made after."""
