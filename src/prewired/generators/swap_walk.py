"""A walk of double-edge swaps through the graphs with given degrees; `rewire` uses it too."""

from copy import deepcopy
from functools import partial

import numpy as np

from ..random_bits import RandomBits, check_seed
from ..topology import Recipe, Topology
from ._internal.costs import CostRule, bound_steps
from ._internal.edge_swaps import Rows
from ._internal.registry import Edges
from ._internal.transforms import Parts, keep_names, transform

RANDOM, BAND = "random", "band"
_BATCHES = 16


@transform(names=keep_names, cost=CostRule(steps=partial(bound_steps, per_edge=16)))
def swap_edges(t: Topology, *, proposals: int, toward: str = RANDOM, seed: int) -> Parts:
    """Double-edge swaps (o, i), (p, j) -> (o, j), (p, i), which keep every fan-in and every fan-out.

    Each proposal draws two edges and swaps them if both new cells are free; with toward="band" only if the swap also
    brings inputs and outputs closer, by the sum of the distances between output o and the place i * n_out / n_in
    of input i on a ring of outputs. Toward "random" the walk forgets everything but the degrees (Rao, Jana and
    Bandyopadhyay, "A Markov chain Monte Carlo method for generating random (0,1)-matrices with given marginals", 1996);
    toward "band" it loses its spectral gap. Proposals are decided in batches of a sixteenth of the edges: one that
    shares an edge or a new cell with an earlier one of its batch is dropped.

    Args:
        t: the topology to start from.
        proposals: how many swaps are proposed, >= 0.
        toward: "random" or "band".
        seed: integer >= 0.

    Returns:
        A Topology with the same degrees.

    Raises:
        ValueError: if proposals is negative, or toward is neither.

    Example:
        >>> from prewired import generators
        >>> t = generators.rotating(64, 64, fan_in=4)
        >>> mixed = swap_edges(t, proposals=1000, seed=0)
        >>> mixed == t, set(mixed.fan_out.tolist())
        (False, {4})
    """
    if isinstance(proposals, bool) or not isinstance(proposals, int) or proposals < 0:
        raise ValueError(f"expected an integer proposals >= 0, got proposals={proposals!r}")
    return t.n_in, t.n_out, *Walk(t, toward, seed).edges_at(proposals)


class Walk:
    """The graphs after each of a fixed sequence of proposals.

    A walk has state: the rows after the last whole batch, so that going on from there is cheap. A copy of a walk goes
    on independently.
    """

    def __init__(self, t: Topology, toward: str, seed: int) -> None:
        if toward not in (RANDOM, BAND):
            raise ValueError(f'expected toward="random" or toward="band", got toward={toward!r}')
        self.t, self.toward, self.seed = t, toward, check_seed(seed)
        self.batch = max(1, t.n_edges // _BATCHES)
        self.outputs = np.repeat(np.arange(t.n_out), t.fan_in)
        self.done, self.rows = 0, Rows(t.n_in, t.indptr, t.indices.copy())

    def __copy__(self) -> "Walk":
        twin = object.__new__(Walk)
        twin.__dict__ = {**self.__dict__, "rows": deepcopy(self.rows)}
        return twin

    def topology_at(self, proposals: int) -> Topology:
        """Return the topology of `swap_edges` after so many proposals; not fewer than in an earlier call."""
        parameters = {"proposals": proposals, "toward": self.toward, "seed": self.seed}
        recipe = self.t.recipe and Recipe.make("swap_edges", t=self.t.recipe, **parameters)
        return Topology(self.t.n_in, self.t.n_out, *self.edges_at(proposals), recipe, self.t.names)

    def edges_at(self, proposals: int) -> Edges:
        """Return indptr and indices after so many proposals, not fewer than in an earlier call."""
        if self.t.n_edges == 0:
            return self.t.indptr, self.t.indices
        n_batches, remainder = divmod(proposals, self.batch)
        while self.done < n_batches:
            self._propose(self.rows, self.batch)
            self.done += 1
        if remainder == 0:
            return self.rows.to_csr()
        ahead = deepcopy(self.rows)
        self._propose(ahead, remainder)
        return ahead.to_csr()

    def _propose(self, rows: Rows, n: int) -> None:
        """Propose the first n swaps of the next batch to rows, which are those after the last whole batch."""
        bits = RandomBits(self.seed, f"swaps {self.toward} {self.done}")
        first, second = bits.integers(self.t.n_edges, 2 * self.batch).reshape(2, -1)[:, :n]
        if self.toward == BAND:
            closer = self._gain(first, second) > 0
            first, second = first[closer], second[closer]
        rows.swap(first, second)

    def _gain(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return by how much each swap shortens its two edges."""
        o, p = self.outputs[first], self.outputs[second]
        i, j = self.rows.inputs[first].astype(np.int64), self.rows.inputs[second].astype(np.int64)
        return self._length(o, i) + self._length(p, j) - self._length(o, j) - self._length(p, i)

    def _length(self, outputs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Return n_in times the distance between outputs and the places of inputs on the ring of outputs."""
        apart = np.abs(outputs * self.t.n_in - inputs * self.t.n_out)
        return np.minimum(apart, self.t.n_in * self.t.n_out - apart)
