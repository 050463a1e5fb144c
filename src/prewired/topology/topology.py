"""Topology: which inputs feed which outputs. An immutable value."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse

from .checks import check_edges, check_side, freeze_array, make_immutable
from .edge_order import csr_from_cells
from .masks import find_cells
from .recipe import Recipe
from .unit_names import Names, check_names


@dataclass(frozen=True, eq=False, repr=False)
class Topology:
    """A sparse bipartite graph from `n_in` inputs to `n_out` outputs, without weights; immutable.

    Edges are stored by output (CSR): output j reads the inputs `indices[indptr[j]:indptr[j + 1]]`, strictly
    increasing. So there are no parallel edges. Two topologies are equal if their shapes and edges are equal; recipes
    and names do not matter.

    Args:
        n_in, n_out: number of inputs and of outputs, at least 1.
        indptr: (n_out + 1,) int64, starts at 0, never decreases.
        indices: (n_edges,) int32, each in [0, n_in).
        recipe: the family, parameters and seed, if a generator built the topology.
        names: the names of inputs and outputs, if they have names; see `prewired.io.named_units`.

    Raises:
        ValueError: if a side or an array is not as described.

    Example:
        >>> t = Topology(3, 2, [0, 2, 3], [0, 2, 1])
        >>> t.fan_in, t.fan_out
        (array([2, 1]), array([1, 1, 1]))
        >>> t.biadjacency().toarray()
        array([[1., 0., 1.],
               [0., 1., 0.]])
    """

    n_in: int
    n_out: int
    indptr: np.ndarray
    indices: np.ndarray
    recipe: Recipe | None = None
    names: Names | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_in", check_side("n_in", self.n_in))
        object.__setattr__(self, "n_out", check_side("n_out", self.n_out))
        object.__setattr__(self, "indptr", freeze_array("indptr", self.indptr, np.int64))
        object.__setattr__(self, "indices", freeze_array("indices", self.indices, np.int32))
        check_edges(self.n_in, self.n_out, self.indptr, self.indices)
        if self.names is not None:
            object.__setattr__(self, "names", check_names(self.n_in, self.n_out, self.names))

    @classmethod
    def from_edges(cls, n_in: int, n_out: int, edges: Any) -> Self:
        """Build a topology from (n_edges, 2) integer pairs (input, output), in any order.

        Raises:
            ValueError: if a pair is out of range or occurs twice.

        Example:
            >>> Topology.from_edges(2, 2, [(0, 1), (1, 0)])
            Topology(2 -> 2, 2 edges, density 50%)
        """
        pairs = np.asarray(edges)
        if pairs.size == 0:
            pairs = np.empty((0, 2), np.int64)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
            raise ValueError(
                f"expected edges as integer pairs (input, output) of shape (n_edges, 2), got {pairs.dtype} of shape "
                f"{pairs.shape}"
            )
        n_in, n_out = check_side("n_in", n_in), check_side("n_out", n_out)
        outside = ((pairs < 0) | (pairs >= [n_in, n_out])).any(axis=1)
        if outside.any():
            k = int(outside.argmax())
            raise ValueError(
                f"expected 0 <= input < {n_in} and 0 <= output < {n_out}, got edge {k} = {tuple(pairs[k].tolist())}"
            )
        pairs = pairs.astype(np.int64)
        cells = np.sort(pairs[:, 1] * n_in + pairs[:, 0])
        repeats = np.flatnonzero(cells[1:] == cells[:-1])
        if len(repeats):
            output, source = divmod(int(cells[repeats[0]]), n_in)
            raise ValueError(f"expected each edge once, got ({source}, {output}) more than once; drop the duplicates")
        return cls(n_in, n_out, *csr_from_cells(n_in, n_out, cells))

    @classmethod
    def from_biadjacency(cls, matrix: Any) -> Self:
        """Build a topology from a SciPy sparse matrix or array (n_out, n_in): every entry that is not zero is an edge.

        Raises:
            ValueError: if the matrix is no SciPy sparse matrix, or as `from_mask`.

        Example:
            >>> Topology.from_biadjacency(scipy.sparse.eye_array(3))
            Topology(3 -> 3, 3 edges, density 33.3%)
        """
        if not scipy.sparse.issparse(matrix):
            raise ValueError(
                f"expected a SciPy sparse matrix, got {type(matrix).__name__}; use from_mask for dense arrays"
            )
        return cls.from_mask(matrix)

    @classmethod
    def from_mask(cls, mask: Any) -> Self:
        """Build a topology from a mask (n_out, n_in): every entry that is not zero is an edge.

        Args:
            mask: real numbers or booleans: a dense array, a list of rows, a SciPy sparse matrix, or a torch tensor,
                dense or sparse, of any real type.

        Raises:
            ValueError: if the mask is not two-dimensional, has NaN or entries that are no real numbers, or stores a
                place twice.

        Example:
            >>> Topology.from_mask([[1, 0], [1, 1]]).indices
            array([0, 0, 1], dtype=int32)
        """
        n_in, n_out, cells = find_cells(mask)
        return cls(n_in, n_out, *csr_from_cells(n_in, n_out, cells))

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.indices)

    @property
    def density(self) -> float:
        """Share of the n_in * n_out possible edges that are present, in [0, 1]."""
        return self.n_edges / (self.n_in * self.n_out)

    @cached_property
    def fan_in(self) -> np.ndarray:
        """Number of inputs each output reads, (n_out,) int64."""
        return make_immutable(np.diff(self.indptr))

    @cached_property
    def fan_out(self) -> np.ndarray:
        """Number of outputs each input feeds, (n_in,) int64."""
        return make_immutable(np.bincount(self.indices, minlength=self.n_in))

    @cached_property
    def digest(self) -> str:
        """Identity of the graph: SHA-256 of n_in, n_out, indptr and indices in little-endian, as 64 hex digits."""
        sha = hashlib.sha256(np.array([self.n_in, self.n_out], "<i8").data)
        sha.update(self.indptr.astype("<i8", copy=False).data)
        sha.update(self.indices.astype("<i4", copy=False).data)
        return sha.hexdigest()

    def biadjacency(self) -> scipy.sparse.csr_array:
        """Return the biadjacency matrix B, (n_out, n_in) float64 with entries 1.0, oriented like `nn.Linear.weight`."""
        shape = (self.n_out, self.n_in)
        return scipy.sparse.csr_array((np.ones(self.n_edges), self.indices, self.indptr), shape=shape)

    def transpose(self) -> "Topology":
        """Return the reversed graph, whose inputs are the outputs of this graph; O(n_edges).

        Example:
            >>> Topology(3, 1, [0, 2], [0, 2]).transpose().fan_in
            array([1, 0, 1])
        """
        by_input = self.biadjacency().tocsc()
        names = None if self.names is None else Names(self.names.outputs, self.names.inputs)
        return Topology(self.n_out, self.n_in, by_input.indptr, by_input.indices, names=names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Topology):
            return NotImplemented
        return self.digest == other.digest

    def __hash__(self) -> int:
        return int(self.digest[:15], 16)

    def __repr__(self) -> str:
        recipe = f", {self.recipe}" if self.recipe else ""
        size = f"{self.n_in} -> {self.n_out}, {self.n_edges:,} edges, density {100 * self.density:.3g}%"
        return f"Topology({size}{recipe})"

    def __reduce__(self):
        return Topology, (self.n_in, self.n_out, self.indptr, self.indices, self.recipe, self.names)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self
