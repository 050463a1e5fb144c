"""The operators: plans, kernels and their reference, gradients, the choice of a kernel, timing.

Importing this package registers the compiled operators, torch.ops.prewired.*, with torch.
"""

from . import kernels

__all__ = ["kernels"]
