"""Machinery of the metrics: leading singular values with bounds, sparse operators, path counts."""
