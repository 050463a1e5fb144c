"""Networks on disk: one safetensors file with the weights, and the recipe and digest of every sparse layer."""

from .file import Contents, load, read, save
from .footprint import Sizes, sizes

__all__ = ["Contents", "Sizes", "load", "read", "save", "sizes"]
