"""The one rule of what an edge is in a mask: an entry of a matrix of real numbers or booleans that is not zero.

The rule is the same for dense arrays, SciPy matrices, torch tensors, Matrix Market files and weights. NaN is refused,
infinite entries are edges, stored zeros are none. Each place of a sparse matrix may be stored once: the sum of two
entries could be zero, or not, by rounding.
"""

from typing import Any

import numpy as np
import scipy.sparse


def to_real_array(values: Any) -> np.ndarray:
    """Return numbers as a NumPy array: from an array, a list, or a dense torch tensor of any real type.

    Raises:
        ValueError: if the entries are no real numbers or booleans (texts, objects, complex numbers), are NaN or masked.
    """
    if np.ma.is_masked(values):
        raise ValueError("expected an array without masked entries, got some; write filled(0) where there is no edge")
    if hasattr(values, "detach"):
        values = _to_numpy(values)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"expected a matrix of numbers, got {error}; give rows of equal length") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"expected real numbers or booleans, got entries of type {array.dtype}; convert them first, such as by "
            "array != 0"
        )
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError("expected a mask of numbers, got NaN; write zeros where there is no edge")
    return array


def find_cells(matrix: Any) -> tuple[int, int, np.ndarray]:
    """Return n_in, n_out and the cells output * n_in + input of the edges, ascending, of any mask (n_out, n_in).

    Args:
        matrix: a dense array, a list of rows, a SciPy sparse matrix, or a torch tensor of any layout.

    Raises:
        ValueError: if the matrix has not two dimensions, has entries that are no numbers, or stores a place twice.
    """
    if scipy.sparse.issparse(matrix):
        return _find_sparse_cells(matrix)
    if hasattr(matrix, "detach") and str(matrix.layout) != "torch.strided":
        return _find_sparse_cells(_to_scipy(matrix))
    dense = to_real_array(matrix)
    _check_two_dimensions(dense.shape)
    n_out, n_in = dense.shape
    return n_in, n_out, np.flatnonzero(dense)


def _find_sparse_cells(matrix: Any) -> tuple[int, int, np.ndarray]:
    _check_two_dimensions(matrix.shape)
    n_out, n_in = matrix.shape
    entries = matrix.tocoo()
    values = to_real_array(entries.data)
    row, column = entries.coords
    cells = row.astype(np.int64) * n_in + column
    order = np.argsort(cells, kind="stable")
    cells, values = cells[order], values[order]
    repeats = np.flatnonzero(cells[1:] == cells[:-1])
    if len(repeats):
        output, source = divmod(int(cells[repeats[0]]), n_in)
        raise ValueError(
            f"expected each place of the matrix once, got row {output}, column {source} (from 0) more than once; add "
            "such entries up first, with sum_duplicates() of SciPy or coalesce() of torch"
        )
    return n_in, n_out, cells[values != 0]


def _to_numpy(tensor: Any) -> np.ndarray:
    """Return a torch tensor as an array; types that NumPy or SciPy lack become float32."""
    if tensor.is_meta:
        raise ValueError("expected a tensor with values, got one on the meta device; load the weights first")
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    is_standard = not tensor.is_floating_point() or str(tensor.dtype) in ("torch.float32", "torch.float64")
    return (tensor.resolve_conj().resolve_neg() if is_standard else tensor.float()).numpy()


def _to_scipy(tensor: Any) -> Any:
    """Return a sparse torch tensor as a SciPy matrix, with every stored entry."""
    _check_two_dimensions(tensor.shape)
    entries = tensor.detach().cpu()
    if str(entries.layout) != "torch.sparse_coo":
        entries = entries.to_sparse_coo()
    return scipy.sparse.coo_array((_to_numpy(entries._values()), entries._indices().numpy()), shape=tuple(tensor.shape))


def _check_two_dimensions(shape: Any) -> None:
    if len(shape) != 2:
        raise ValueError(f"expected a mask of shape (n_out, n_in), got shape {tuple(shape)}")
