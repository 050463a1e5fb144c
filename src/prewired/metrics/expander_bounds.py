"""Scores that compare sigma2 of the biadjacency matrix with a bound: Ramanujan, RBGP, IMDB, NaRC, a random matrix.

Each costs what `spectral_gap` costs (IMDB that for each class of inputs) and O(n_in + n_out + n_edges). A further such
score is `ramanujan_ratio` in `spectrum.py`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..topology import Topology
from ._internal.leading_pair import LeadingPair
from .measurement import Measurement, Progress, explainable
from .spectrum import is_biregular, measure_leading_pair

_SLACK = 1e-9
_SMALLEST_CLASS = 3
_SMALLEST_DEGREE = 3


@explainable
def ramanujan_difference(
    t: Topology, *, certify: bool, progress: Progress | None, relative: bool = False
) -> Measurement:
    """sqrt(fan_in - 1) + sqrt(fan_out - 1) - sigma2, with mean degrees if they vary; >= 0 for a Ramanujan graph.

    With relative=True the difference is divided by the bound, which gives 1 - `ramanujan_ratio`, at most 1. Degrees
    below one count as one. A graph without edges has 0, relative 1. If the bound is 0 and sigma2 is not (a matching),
    the relative difference is -infinity. The source leaves out dead units and skips graphs with a mean degree below 3.

    Arguments, cost and errors as of `spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> plane = generators.projective_plane(7, 7, fan_in=3)
        >>> round(ramanujan_difference(plane), 9), round(ramanujan_difference(plane, relative=True), 9)
        (1.414213562, 0.5)

    Source: Hoang, Liu, Marculescu, Wang, "Revisiting pruning at initialization through the lens of Ramanujan graph",
    ICLR 2023 (there Delta_r).
    """
    bound = _compute_bound(t.n_edges / t.n_out, t.n_edges / t.n_in)
    sigma2 = measure_leading_pair(t, certify=certify, progress=progress).second
    return sigma2.map(lambda sigma: _subtract_sigma2(bound, sigma, relative))


@explainable
def perron_difference(t: Topology, *, certify: bool, progress: Progress | None, relative: bool = False) -> Measurement:
    """2 sqrt(sigma1 - 1) - sigma2: `ramanujan_difference` with sigma1 in place of both degrees.

    Both are equal if fan-in and fan-out are constant and equal. Unlike mean degrees, sigma1 grows with the spread of
    the degrees. With relative=True the difference is divided by the bound, at most 1. Without edges it is 0, relative
    1; a matching has -1, relative -infinity.

    Arguments, cost and errors as of `spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> round(perron_difference(generators.dense(64, 27)), 4)
        12.7388

    Source: as for `ramanujan_difference` (there Delta_s).
    """
    pair = measure_leading_pair(t, certify=certify, progress=progress)
    return _map_pair(
        pair, lambda first, second: _subtract_sigma2(2.0 * math.sqrt(max(first - 1.0, 0.0)), second, relative)
    )


def is_ramanujan(t: Topology) -> bool:
    """Whether fan-in and fan-out are constant and sigma2 <= sqrt(fan_in - 1) + sqrt(fan_out - 1).

    sigma2 may exceed the bound by 1e-9 (1 + bound), the rounding of the eigenvalue solver; a graph that exceeds the
    bound by less counts as Ramanujan. A graph without edges does not count. Disconnected graphs have sigma2 = sigma1,
    so among them only disjoint cycles satisfy the bound.


    Example:
        >>> from prewired import generators
        >>> is_ramanujan(generators.projective_plane(7, 7, fan_in=3))
        True
        >>> is_ramanujan(generators.rotating(64, 64, fan_in=4))
        False

    Source: Lubotzky, Phillips, Sarnak, "Ramanujan graphs", Combinatorica 8, 1988; for two degrees Feng and Li, "Spectra
    of hypergraphs and applications", J. Number Theory 60, 1996.
    """
    if t.n_edges == 0 or not is_biregular(t):
        return False
    bound = _compute_bound(float(t.fan_in[0]), float(t.fan_out[0]))
    return measure_leading_pair(t).second.value <= bound + _SLACK * (1.0 + bound)


@explainable
def random_ratio(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """sigma2 / (sqrt(fan_in (1 - density)) + sqrt(fan_out (1 - density))), with mean degrees if they vary; >= 0.

    The denominator is the limit of sigma2 in a random 0/1 matrix of independent entries with this density, so random
    graphs have about 1 at every density. Use this ratio above a density of 0.1: there `ramanujan_ratio` falls with the
    density itself. 0 for the dense graph and without edges, whose sigma2 is 0.

    Arguments, cost and errors as of `spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> 0.9 < random_ratio(generators.biregular(256, 256, fan_in=128, seed=0)) < 1.05
        True

    Source: the edge of the Marchenko-Pastur law; Bai and Yin, "Limit of the smallest eigenvalue of a large dimensional
    sample covariance matrix", Annals of Probability 21, 1993.
    """
    absent = 1.0 - t.density
    if t.n_edges == 0 or absent == 0.0:
        return Measurement.from_count(0.0)
    expected = math.sqrt(t.n_edges / t.n_out * absent) + math.sqrt(t.n_edges / t.n_in * absent)
    return measure_leading_pair(t, certify=certify, progress=progress).second.map(lambda sigma: sigma / expected)


@explainable
def rbgp_gap(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """(sigma1 - sigma2) / (sigma1 - 2 sqrt(sigma1 - 1)): the spectral gap divided by that of an ideal graph; >= 0.

    If fan-in and fan-out are constant and equal, a graph at the Ramanujan bound has 1, and Ramanujan graphs have at
    least 1. If they differ, 2 sqrt(sigma1 - 1) is not their bound; use `is_ramanujan`. The ideal gap is 0 at
    sigma1 = 2, as of a cycle, and has no meaning below, so the value is NaN for sigma1 <= 2 and without edges.

    Arguments, cost and errors as of `spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> round(rbgp_gap(generators.projective_plane(7, 7, fan_in=3)), 6) == round((3 - 2**0.5) / (3 - 8**0.5), 6)
        True

    Source: Vooturi, Varma, Kothapalli, "Ramanujan bipartite graph products for efficient block sparse neural networks",
    arXiv 2006.13486, 2020.
    """
    pair = measure_leading_pair(t, certify=certify, progress=progress)
    if pair.first.value <= 2.0 * (1.0 + _SLACK):
        return Measurement.from_count(math.nan)
    return _map_pair(pair, lambda first, second: (first - second) / (first - 2.0 * math.sqrt(first - 1.0)))


@explainable
def imdb(t: Topology, *, certify: bool, progress: Progress | None, relative: bool = False) -> Measurement:
    """Iterative mean difference of bound: the mean of `ramanujan_difference` over classes of inputs of equal fan-out.

    The graph of a class consists of its inputs and the outputs that they feed, so all its inputs have the same degree.
    A class counts if it has at least 3 inputs and both mean degrees of its graph are at least 3. NaN if no class
    counts, as without edges. With relative=True each term is divided by its bound, and the mean is at most 1. On a
    biregular graph with such degrees the value is `ramanujan_difference`. Each class costs two singular values; if
    fan-outs vary much there are many classes.


    Example:
        >>> from prewired import generators
        >>> t = generators.projective_plane(7, 7, fan_in=3)
        >>> imdb(t) == ramanujan_difference(t), imdb(t, relative=True) <= 1, imdb(generators.dense(2, 9))
        (True, True, nan)

    Source: as for `ramanujan_difference`; the limits of 3 are those of the authors' code.
    """
    by_input = t.transpose().biadjacency()
    fan_outs, inputs = np.unique(t.fan_out, return_counts=True)
    terms: list[Measurement] = []
    for fan_out in fan_outs[(fan_outs >= _SMALLEST_DEGREE) & (inputs >= _SMALLEST_CLASS)]:
        rows = by_input[np.flatnonzero(t.fan_out == fan_out)]
        outputs_of_class, columns = np.unique(rows.indices, return_inverse=True)
        if len(columns) >= _SMALLEST_DEGREE * len(outputs_of_class):
            # inputs of the class as outputs: the spectrum of the transposed graph is the same
            subgraph = Topology(len(outputs_of_class), rows.shape[0], rows.indptr, columns)
            explain: Any = certify
            term = ramanujan_difference(subgraph, explain=explain, progress=progress, relative=relative)
            terms.append(term if isinstance(term, Measurement) else Measurement.from_count(term))
    if not terms:
        return Measurement.from_count(math.nan)
    value, low, high = np.mean([(term.value, term.low, term.high) for term in terms], axis=0).tolist()
    certificates = "; ".join(dict.fromkeys(term.certificate for term in terms))
    # The mean fails if any term fails (union bound).
    doubt = sum(1.0 - term.confidence for term in terms)
    return Measurement(value, low, high, f"mean over {len(terms)} classes", certificates, 1.0 - doubt)


@explainable
def narc(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Normalized random coefficient, as computed by its authors' code; <= 0 means similar to a random graph.

    ((sigma2^2 / 4 + 1) sqrt(n_l n_r) - abs(2 n_edges - (d / n_out) n_l n_r)) / (n_in n_out), with n_l live inputs of
    mean fan-out d and n_r live outputs. The authors' formula has n_edges instead of 2 n_edges. But the edge list of
    their code holds every edge in both directions, so the published values have 2 n_edges. With n_edges the second term
    would be zero in every graph without dead outputs, and the score never negative. Since n_l d = n_edges, the term is
    n_edges (2 - n_r / n_out). Values of different shapes are not comparable: the dense graph has
    1 / sqrt(n_in n_out) - 1. 0 without edges. The source skips graphs with a mean degree below 3.

    Arguments, cost and errors as of `spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> round(narc(generators.dense(27, 64)), 6)
        -0.975944

    Source: as for `ramanujan_difference`.
    """
    inputs, outputs = np.count_nonzero(t.fan_out), np.count_nonzero(t.fan_in)
    root, second = math.sqrt(inputs * outputs), t.n_edges * float(2.0 - outputs / t.n_out)
    sigma2 = measure_leading_pair(t, certify=certify, progress=progress).second
    return sigma2.map(lambda sigma: ((sigma**2 / 4.0 + 1.0) * root - second) / (t.n_in * t.n_out))


def _map_pair(pair: LeadingPair, function: Callable[[float, float], float]) -> Measurement:
    """Apply a function of sigma1 and sigma2 that is monotone in each: its extremes are at the corners of the bounds."""
    first, second = pair.first, pair.second
    value = function(first.value, second.value)
    all_values = [value, *(function(a, b) for a in (first.low, first.high) for b in (second.low, second.high))]
    return second._replace(value=value, low=min(all_values), high=max(all_values))


def _compute_bound(fan_in: float, fan_out: float) -> float:
    """The Ramanujan bound sqrt(fan_in - 1) + sqrt(fan_out - 1), where degrees below one count as one."""
    return math.sqrt(max(fan_in - 1.0, 0.0)) + math.sqrt(max(fan_out - 1.0, 0.0))


def _subtract_sigma2(bound: float, sigma2: float, relative: bool) -> float:
    """bound - sigma2, divided by the bound if `relative`."""
    if not relative:
        return bound - sigma2
    if bound == 0.0:
        return 1.0 if sigma2 == 0.0 else -math.inf
    return 1.0 - sigma2 / bound
