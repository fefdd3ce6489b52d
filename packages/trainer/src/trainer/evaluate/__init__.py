"""How good are the features: k-NN, linear probes, baselines."""
