"""The dataset folder: planned, written shard by shard, published whole, verified."""
