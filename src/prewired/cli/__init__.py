"""The command line: `prewired VERB`. Nothing imports it."""

from .app import main

__all__ = ["main"]
