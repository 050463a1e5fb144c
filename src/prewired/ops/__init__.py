"""The operators: plans, kernels and their reference, gradients, the choice of a kernel, timing."""
