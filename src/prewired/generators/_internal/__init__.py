"""Machinery of the generators: the registry, requests of sizes and edges, swaps, portable arithmetic."""
