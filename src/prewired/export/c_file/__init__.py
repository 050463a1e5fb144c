"""Networks as C files."""
