"""The operators under vmap: a loop over the new dimension, one call for each element.

torch.func.vmap folds the new dimension into the batch where it can, see `contraction`. The rules here serve the older
vmap of torch.autograd (`is_grads_batched=True`, `functional.jacobian(..., vectorize=True)`) and direct calls.
"""

# pyright: reportPrivateImportUsage=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

OPERATORS = ("chain_forward", "chain_backward", "pack", "to_matrix", "from_matrix", "forward", "scattered")
_MOST_LEVELS = 8
"""Largest number of nested calls of the older vmap."""


def register_vmap_rules() -> torch.library.Library:
    """Register the rules of the compiled operators; they hold as long as the returned library lives."""
    library = torch.library.Library("prewired", "IMPL")
    for name in OPERATORS:
        operator = getattr(torch.ops.prewired, name).default
        torch.library.register_vmap(f"prewired::{name}", _create_rule(operator))
        library.impl(name, _create_older_rule(operator), "Batched")
    return library


def _create_rule(operator: Callable[..., Any]) -> Callable[..., Any]:
    def rule(info: Any, in_dims: Any, *arguments: Any) -> Any:
        values, tree = tree_flatten(arguments)
        dims, _ = tree_flatten(in_dims, is_leaf=lambda dim: dim is None)
        rows = [v if dim is None else v.movedim(dim, 0) for v, dim in zip(values, dims, strict=True)]
        results = _call_in_turn(operator, rows, [dim is not None for dim in dims], tree, info.batch_size)
        return results, tree_unflatten([0] * len(tree_flatten(results)[0]), tree_flatten(results)[1])

    return rule


def _create_older_rule(operator: Callable[..., Any]) -> Callable[..., Any]:
    def rule(*arguments: Any) -> Any:
        values, tree = tree_flatten(arguments)
        for level in range(_MOST_LEVELS, 0, -1):
            is_batched = [_has_level(v, level) for v in values]
            if any(is_batched):
                break
        else:
            raise RuntimeError(f"expected at most {_MOST_LEVELS} nested calls of vmap, got more; nest fewer")
        rows = [torch._remove_batch_dim(v, level, 1, 0) if b else v for v, b in zip(values, is_batched, strict=True)]
        size = next(len(row) for row, b in zip(rows, is_batched, strict=True) if b)
        flat, result_tree = tree_flatten(_call_in_turn(operator, rows, is_batched, tree, size))
        return tree_unflatten([torch._add_batch_dim(result, 0, level) for result in flat], result_tree)

    return rule


def _has_level(value: Any, level: int) -> bool:
    """Whether a value has a batch dimension of this level of the older vmap."""
    if not isinstance(value, torch.Tensor) or not torch._C._functorch.is_legacy_batchedtensor(value):
        return False
    # Without the level, torch makes a dimension of the size that it is told.
    return len(torch._remove_batch_dim(value, level, 1, 0)) == len(torch._remove_batch_dim(value, level, 2, 0))


def _call_in_turn(
    operator: Callable[..., Any], rows: Sequence[Any], is_batched: Sequence[bool], tree: Any, size: int
) -> Any:
    """Call the operator for each element of the first dimension of the batched values, and stack the results."""
    results = []
    for k in range(size):
        row = [_select(v, k) if b else v for v, b in zip(rows, is_batched, strict=True)]
        results.append(operator(*tree_unflatten(row, tree)))
    if isinstance(results[0], torch.Tensor):
        return torch.stack(results)
    return [torch.stack(outputs) for outputs in zip(*results, strict=True)]


def _select(values: torch.Tensor, k: int) -> torch.Tensor:
    """Element k in a layout that the operators read."""
    return values.select(0, k).contiguous()
