"""How far the number of edges between sets of units is from what the density says: the expander mixing lemma."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..random_bits import RandomBits
from ..topology import Topology
from .measurement import Measurement, Progress, explainable
from .spectrum import is_biregular, measure_leading_pair

_SHARES = (2, 8, 32)
_POWER_STEPS = 10
_MAX_TURNS = 20
_MIN_TURNS = 3
_EDGE_VISITS = 2 * 10**7
_NORM_CELLS = 1_000_000
_ROUNDING = 1e-9


@explainable
def mixing_deviation(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Largest abs(e(S, T) - density |S| |T|) / sqrt(|S| |T|) found over sets S of inputs and T of outputs, >= 0.

    e(S, T) counts the edges between them. The value is that of two sets, so a lower bound of the maximum over all sets,
    which is NP-hard to find. The sets come from alternating: given S, the best T is a prefix of the outputs sorted by
    e(S, j) - density |S|, and so in turn. It starts from all inputs, those of extreme fan-out, one of largest and one
    of smallest, those of the output of largest fan-in, and random sets of a half, an eighth and a 32nd, as they are and
    after 10 power iterations with B - density J (J all ones). So it is at least 1 - density if there is an edge, and
    the density if one is absent. From each start at most 20 turns, above a million edges 2 * 10^7 / n_edges, but 3;
    a turn is O(n_edges + n log n), n = n_in + n_out.

    The upper bound (explain=True) is the least of

    - the largest singular value of B - density J, for which S and T are test vectors; up to 1,000,000 cells;
    - sigma1 of B: e(S, T) <= sigma1 sqrt(|S| |T|), and density sqrt(|S| |T|) <= n_edges / sqrt(n_in n_out) <= sigma1;
    - the lemma for varying degrees: abs(e(S, T) - vol(S) vol(T) / n_edges) <= s2 sqrt(vol(S) vol(T)), which is at most
      s2 sqrt(max fan_in max fan_out |S| |T|), plus a bound of abs(vol(S) vol(T) / n_edges - density |S| |T|), where vol
      sums degrees and s2 is the second singular value of D_out^-1/2 B D_in^-1/2. On a biregular graph this is sigma2,
      and there the sharper sigma2 sqrt((1 - |S| / n_in) (1 - |T| / n_out)) holds, so
      sigma2 sqrt((1 - 1 / n_in) (1 - 1 / n_out)) is taken.

    Divided by sigma2 it is in [0, 1] on biregular graphs and can be compared between them. 0 for the dense graph and
    without edges; dead units count as any others.

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
    b = t.biadjacency()
    transposed = b.T.tocsr()
    largest, n_starts = 0.0, 5 + 2 * len(_SHARES)
    for done, start in enumerate(_generate_starts(t, b, transposed), 1):
        for sign in (1.0, -1.0):
            for weights in (start, -start):
                inputs, outputs = _alternate(b, transposed, t.density, sign, weights)
                edges = int(outputs @ (b @ inputs))
                largest = max(largest, _compute_deviation(t, int(inputs.sum()), int(outputs.sum()), edges))
        if progress is not None:
            progress(done, n_starts)
    return largest


def _generate_starts(t: Topology, b: Any, transposed: Any) -> Iterator[np.ndarray]:
    """Weights of the inputs, of which the heaviest make a set."""
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
        for _ in range(_POWER_STEPS):
            x = _apply_centred(transposed, t.density, _apply_centred(b, t.density, x))
            x /= np.linalg.norm(x) or 1.0
        yield x


def _alternate(
    b: Any, transposed: Any, density: float, sign: float, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sets S and T, as 0 and 1, with a large sign * (e(S, T) - density |S| |T|) / sqrt(|S| |T|)."""
    inputs, _ = _select_heaviest(start)
    outputs, reached = _select_heaviest(sign * _apply_centred(b, density, inputs))
    reached /= math.sqrt(inputs.sum())
    for _ in range(min(_MAX_TURNS, max(_MIN_TURNS, _EDGE_VISITS // max(b.nnz, 1)))):
        of_outputs, _ = _select_heaviest(sign * _apply_centred(transposed, density, outputs))
        of_inputs, risen = _select_heaviest(sign * _apply_centred(b, density, of_outputs))
        risen /= math.sqrt(of_outputs.sum())
        if risen <= reached * (1.0 + _ROUNDING):
            break
        inputs, outputs, reached = of_outputs, of_inputs, risen
    return inputs, outputs


def _apply_centred(matrix: Any, density: float, weights: np.ndarray) -> np.ndarray:
    """(matrix - density J) weights."""
    return matrix @ weights - density * weights.sum()


def _select_heaviest(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """The set, as 0 and 1, with the largest sum of weights over the root of its size, and that quotient."""
    order = np.argsort(-weights, kind="stable")
    quotients = np.cumsum(weights[order]) / np.sqrt(np.arange(1, len(weights) + 1))
    size = int(quotients.argmax()) + 1
    chosen = np.zeros(len(weights))
    chosen[order[:size]] = 1.0
    return chosen, float(quotients[size - 1])


def _compute_deviation(t: Topology, n_inputs: int, n_outputs: int, edges: int) -> float:
    cells = t.n_in * t.n_out
    return abs(cells * edges - t.n_edges * n_inputs * n_outputs) / cells / math.sqrt(n_inputs * n_outputs)


def _bound_above(t: Topology, progress: Progress | None) -> tuple[float, str, float]:
    """The least bound, what it rests on, and the confidence in it."""
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
        norm = np.linalg.svd(t.biadjacency().toarray() - t.density, compute_uv=False)[0]
        bounds.append((float(norm) * (1.0 + _ROUNDING), "spectral norm", 1.0))
    return min(bounds)


def _bound_degree_deviation(t: Topology) -> float:
    """A bound of abs(vol(S) vol(T) / n_edges - density |S| |T|) / sqrt(|S| |T|) over all S and T.

    For sets of given sizes the volumes are between the sums of the smallest and of the largest degrees. With A, B the
    volumes and a, b their means for the sizes, all over the roots of the sizes, A B - a b = (A - a) B + a (B - b).
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
