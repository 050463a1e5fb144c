"""The expander mixing lemma: how far the number of edges between two sets of units is from that of a random graph."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..random_bits import RandomBits
from ..topology import Topology
from .measurement import Measurement, Progress, explainable
from .spectrum import is_biregular, measure_leading_pair

_SHARES = (2, 8, 32)  # start from random sets of n_in / 2, n_in / 8, n_in / 32 inputs
_POWER_STEPS = 10
_MAX_TURNS = 20
_MIN_TURNS = 3
_EDGE_VISITS = 2 * 10**7  # read about so many edges from each start
_NORM_CELLS = 1_000_000  # compute the norm of B - density J if it has at most so many entries
_LEAST_RISE = 1e-9
_EPSILON = float(np.finfo(float).eps)


@explainable
def mixing_deviation(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Largest abs(e(S, T) - density |S| |T|) / sqrt(|S| |T|) found over sets S of inputs and T of outputs, >= 0.

    e(S, T) is the number of edges between S and T. The value belongs to two sets, so it is a lower bound of the maximum
    over all sets, which is NP-hard to find. The search alternates: given S, the best T is a prefix of the outputs
    sorted by e(S, j) - density |S|; then S is chosen given T, and so on. It starts from: all inputs; those of extreme
    fan-out; an input of largest and one of smallest fan-out; the inputs of the output of largest fan-in; random sets of
    a half, an eighth and a 32nd of the inputs, before and after 10 power iterations with B - density J (J all ones). So
    the value is at least 1 - density if there is an edge, and at least the density if an edge is absent. Each start
    takes at most 20 turns; above a million edges at most 2 * 10^7 / n_edges, but at least 3. A turn is
    O(n_edges + n log n), n = n_in + n_out.

    The upper bound (explain=True) is the least of

    - the largest singular value of B - density J, for which S and T are test vectors; up to 1,000,000 cells;
    - sigma1 of B: e(S, T) <= sigma1 sqrt(|S| |T|), and density sqrt(|S| |T|) <= n_edges / sqrt(n_in n_out) <= sigma1;
    - the lemma for varying degrees: abs(e(S, T) - vol(S) vol(T) / n_edges) <= s2 sqrt(vol(S) vol(T)), which is at most
      s2 sqrt(max fan_in max fan_out |S| |T|), plus a bound of abs(vol(S) vol(T) / n_edges - density |S| |T|), where vol
      sums degrees and s2 is the second singular value of D_out^-1/2 B D_in^-1/2. On a biregular graph this is sigma2,
      and the sharper sigma2 sqrt((1 - |S| / n_in) (1 - |T| / n_out)) holds, so the bound is
      sigma2 sqrt((1 - 1 / n_in) (1 - 1 / n_out)).

    On biregular graphs the value divided by sigma2 is in [0, 1] and comparable between graphs. 0 for the dense graph
    and without edges; dead units count like any others.


    Example:
        >>> from prewired import generators
        >>> mixing_deviation(generators.grouped(8, 8, fan_in=4))
        2.0

    Source: Alon and Chung, "Explicit construction of linear sized tolerant networks", Discrete Mathematics 72, 1988;
    for two sides Haemers, "Interlacing eigenvalues and graphs", Linear Algebra and its Applications 226, 1995; for
    varying degrees Chung, "Spectral Graph Theory", 1997, chapter 5.
    """
    value = _search_sets(t, progress)
    method = "alternating search"
    if not certify:
        return Measurement(value, value, value, method, "two sets")
    high, certificate, confidence = _bound_above(t, progress)
    return Measurement(value, value, max(high, value), method, f"two sets below, {certificate} above", confidence)


def _search_sets(t: Topology, progress: Progress | None) -> float:
    """The largest deviation that the search finds, over all starts, both signs of the deviation and of the start."""
    b = t.biadjacency()
    transposed = b.T.tocsr()
    largest, n_starts = 0.0, 5 + 2 * len(_SHARES)
    for number, start in enumerate(_generate_starts(t, b, transposed), 1):
        for sign in (1.0, -1.0):
            for weights in (start, -start):
                inputs, outputs = _alternate(b, transposed, t.density, sign, weights)
                edges = int(outputs @ (b @ inputs))
                largest = max(largest, _compute_deviation(t, int(inputs.sum()), int(outputs.sum()), edges))
        if progress is not None:
            progress(number, n_starts)
    return largest


def _generate_starts(t: Topology, b: Any, transposed: Any) -> Iterator[np.ndarray]:
    """Yield weights of the inputs, (n_in,); each search starts with the best set for them, see `_select_heaviest`."""
    yield np.ones(t.n_in)
    yield t.fan_out - t.n_edges / t.n_in
    yield _apply_centred(transposed, t.density, np.arange(t.n_out) == t.fan_in.argmax())
    yield np.eye(1, t.n_in, int(t.fan_out.argmax()))[0]
    yield np.eye(1, t.n_in, int(t.fan_out.argmin()))[0]
    bits = RandomBits(0, "mixing")
    for share in _SHARES:
        size = -(-t.n_in // share)
        x = np.full(t.n_in, -size / t.n_in)
        x[bits.sample(t.n_in, size)] += 1.0
        yield x
        # Power iterations turn x towards the largest singular vector of B - density J, and sets that deviate much have
        # a large part along that vector.
        for _ in range(_POWER_STEPS):
            x = _apply_centred(transposed, t.density, _apply_centred(b, t.density, x))
            x /= np.linalg.norm(x) or 1.0
        yield x


def _alternate(
    b: Any, transposed: Any, density: float, sign: float, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sets S of inputs and T of outputs, as vectors of 0 and 1, with a large deviation of the given sign.

    Given S, the sum over T of sign * (e(S, j) - density |S|), divided by sqrt(|T|), is largest for a prefix of the
    outputs in descending order of that term. Choosing T and S in turn therefore never lowers the deviation.
    """
    inputs, _ = _select_heaviest(start)
    outputs, value = _select_heaviest(sign * _apply_centred(b, density, inputs))
    value /= math.sqrt(inputs.sum())
    for _ in range(min(_MAX_TURNS, max(_MIN_TURNS, _EDGE_VISITS // max(b.nnz, 1)))):
        next_inputs, _ = _select_heaviest(sign * _apply_centred(transposed, density, outputs))
        next_outputs, next_value = _select_heaviest(sign * _apply_centred(b, density, next_inputs))
        next_value /= math.sqrt(next_inputs.sum())
        if next_value <= value * (1.0 + _LEAST_RISE):
            break
        inputs, outputs, value = next_inputs, next_outputs, next_value
    return inputs, outputs


def _apply_centred(matrix: Any, density: float, weights: np.ndarray) -> np.ndarray:
    """(matrix - density J) weights, without forming the dense matrix."""
    return matrix @ weights - density * weights.sum()


def _select_heaviest(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """The set, as 0 and 1, with the largest (sum of weights) / sqrt(size), and that quotient.

    Among sets of one size the heaviest elements have the largest sum, so only prefixes of the sorted weights count.
    """
    order = np.argsort(-weights, kind="stable")
    quotients = np.cumsum(weights[order]) / np.sqrt(np.arange(1, len(weights) + 1))
    size = int(quotients.argmax()) + 1
    members = np.zeros(len(weights))
    members[order[:size]] = 1.0
    return members, float(quotients[size - 1])


def _compute_deviation(t: Topology, n_inputs: int, n_outputs: int, edges: int) -> float:
    """abs(e(S, T) - density |S| |T|) / sqrt(|S| |T|), in integers up to the divisions."""
    cells = t.n_in * t.n_out
    return abs(cells * edges - t.n_edges * n_inputs * n_outputs) / cells / math.sqrt(n_inputs * n_outputs)


def _bound_above(t: Topology, progress: Progress | None) -> tuple[float, str, float]:
    """The least of the upper bounds in `mixing_deviation`, its certificate and its confidence."""
    plain = measure_leading_pair(t, certify=True, progress=progress)
    bounds = [(plain.first.high, "sigma1", plain.first.confidence)]
    if is_biregular(t):
        sigma2 = plain.second.high * math.sqrt((1 - 1 / t.n_in) * (1 - 1 / t.n_out))
        bounds.append((sigma2, f"expander mixing lemma; {plain.second.certificate}", plain.second.confidence))
    else:
        second = measure_leading_pair(t, normalized=True, certify=True, progress=progress).second
        bound = second.high * math.sqrt(t.fan_in.max() * t.fan_out.max()) + _bound_degree_deviation(t)
        bounds.append((bound, f"expander mixing lemma for varying degrees; {second.certificate}", second.confidence))
    if t.n_in * t.n_out <= _NORM_CELLS:
        norm = float(np.linalg.svd(t.biadjacency().toarray() - t.density, compute_uv=False)[0])
        # The SVD is backward stable (max(shape) eps norm), and subtracting the density rounds every entry by at most
        # eps, which is a matrix of norm sqrt(n_in n_out) eps.
        error = (max(t.n_in, t.n_out) * norm + math.sqrt(t.n_in * t.n_out)) * _EPSILON
        bounds.append((norm + error, "spectral norm", 1.0))
    bound, certificate, confidence = min(bounds)
    # The formulas above have fewer than 16 roundings.
    return bound * (1.0 + 16 * _EPSILON), certificate, confidence


def _bound_degree_deviation(t: Topology) -> float:
    """An upper bound of abs(vol(S) vol(T) / n_edges - density |S| |T|) / sqrt(|S| |T|) over all S and T.

    The volume of a set of a given size lies between the sums of the smallest and of the largest degrees. Let A and B
    be the volumes of S and T divided by sqrt(|S|) and sqrt(|T|), and a and b the same for volumes of mean degrees. The
    deviation is then abs(A B - a b) / n_edges, and A B - a b = (A - a) B + a (B - b) = (A - a) b + A (B - b). Each
    factor is bounded by its maximum over all sizes; the smaller of the two sums counts.
    """
    if t.n_edges == 0:
        return 0.0
    roots_in, roots_out = np.sqrt(np.arange(1, t.n_in + 1)), np.sqrt(np.arange(1, t.n_out + 1))
    a, b = roots_in * (t.n_edges / t.n_in), roots_out * (t.n_edges / t.n_out)
    bounds: list[float] = []
    for order in (slice(None), slice(None, None, -1)):
        volumes_in = np.cumsum(np.sort(t.fan_out)[order]) / roots_in
        volumes_out = np.cumsum(np.sort(t.fan_in)[order]) / roots_out
        first, second = np.abs(volumes_in - a).max(), np.abs(volumes_out - b).max()
        bounds.append(min(first * volumes_out.max() + a.max() * second, first * b.max() + volumes_in.max() * second))
    return max(bounds) / t.n_edges
