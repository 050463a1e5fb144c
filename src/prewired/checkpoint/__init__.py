"""Networks on disk: one safetensors file with the weights and, of every sparse layer, recipe and digest."""

from .file import Contents, load, read, save
from .footprint import sizes

__all__ = ["Contents", "load", "read", "save", "sizes"]
