"""What the families share: the registry, costs, sizes and edge counts, swaps, portable arithmetic."""
