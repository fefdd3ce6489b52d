"""trainer: DINOv2 self-supervised pretraining on your own images, from one CPU to many GPUs."""

__version__ = "0.1.0"
