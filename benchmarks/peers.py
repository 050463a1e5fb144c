"""Everything that runs a sparse layer on a CPU, each adapted to one interface; a peer that is missing says so.

A drop-in takes an nn.Linear, zero where the topology has no edge, and stands where it stood: row-major in and out. The
products of SciPy and MKL know no gradients and no bias; they get what suits them, feature-major on both sides.
"""

import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn

from prewired import SparseLinear, Topology
from prewired.nn.reference_layers import MaskedDense, TorchCSR

from .contenders import Case, Contender, complaint, edges, feature_major, results, run_module
from .mkl import MklProduct

Built = TypeVar("Built")
SETTLE = 0.01  # seconds for the threads of one peer's OpenMP runtime to stop spinning before another is timed
DENSE, ROW_MAJOR, FEATURE_MAJOR = "nn.Linear", "prewired", "prewired, feature-major"


class DropIn(NamedTuple):
    """A module in place of an nn.Linear, and the way to the gradient of its weights, one per edge in edge order."""

    module: nn.Module
    edge_gradient: Callable[[], torch.Tensor]


def dense(linear: nn.Linear, topology: Topology) -> DropIn:
    """The nn.Linear itself."""
    at = edges(topology)
    return DropIn(linear, lambda: linear.weight.grad[at])


def sparse_layer(linear: nn.Linear, topology: Topology) -> SparseLinear:
    """A SparseLinear with the weights of an nn.Linear."""
    layer = SparseLinear(topology)
    with torch.no_grad():
        layer.weight.copy_(linear.weight[edges(topology)])
        layer.bias.copy_(linear.bias)
    return layer


def prewired(linear: nn.Linear, topology: Topology) -> DropIn:
    """This package's layer."""
    layer = sparse_layer(linear, topology)
    return DropIn(layer, lambda: layer.weight.grad)


def masked(linear: nn.Linear, topology: Topology) -> DropIn:
    """A masked dense layer."""
    at, layer = edges(topology), MaskedDense(sparse_layer(linear, topology))
    return DropIn(layer, lambda: layer.weight.grad[at])


def torch_csr(linear: nn.Linear, topology: Topology) -> DropIn:
    """PyTorch's own sparse matrices."""
    layer = TorchCSR(sparse_layer(linear, topology))
    return DropIn(layer, lambda: layer.weight.grad)


def sparseprop(linear: nn.Linear, topology: Topology) -> DropIn:
    """SparseProp, by Nikdan et al. (2023)."""
    from sparseprop.modules.linear import SparseLinear as SparsePropLinear

    layer = SparsePropLinear.from_dense(linear)
    return DropIn(layer, lambda: layer.W_val.grad)


def sparselab(linear: nn.Linear, topology: Topology) -> DropIn:
    """SparseLab; it draws its own pattern, so ours is put into the built layer."""
    from sparselab import SparseLinear as SparseLabLinear
    from sparselab import layout, ops

    ops._transpose_cache.clear()  # it is keyed by id(), and would hand the transpose of a layer that is gone
    layer = SparseLabLinear(topology.n_in, topology.n_out, sparsity=1 - topology.density)
    layer._csr = layout.from_dense(linear.weight.detach())
    layer._values = nn.Parameter(torch.from_numpy(np.asarray(layer._csr.values)))
    with torch.no_grad():
        layer.bias.copy_(linear.bias)
    within = np.arange(topology.n_edges) - np.repeat(topology.indptr[:-1], topology.fan_in)
    slots = torch.tensor(np.repeat(layer._csr.row_start, topology.fan_in) + within)  # rows are padded
    return DropIn(layer, lambda: layer._values.grad[slots])


def scipy_csr(case: Case) -> Contender:
    """SciPy's CSR @ X."""
    weight = case.topology.biadjacency().astype(np.float32)
    weight.data[:] = case.linear.weight.detach()[edges(case.topology)].numpy()
    x = case.x.t().contiguous().numpy()
    return Contender(lambda: torch.from_numpy(weight @ x).t(), adds_bias=False)


def mkl_spmm(case: Case) -> Contender:
    """MKL's sparse product, into an output that exists."""
    values = case.linear.weight.detach()[edges(case.topology)].numpy()
    product = MklProduct(case.topology.indptr, case.topology.indices, values, case.x.t().contiguous().numpy())
    return Contender(lambda: torch.from_numpy(product()).t(), adds_bias=False)


DROP_INS: dict[str, Callable[[nn.Linear, Topology], DropIn]] = {
    DENSE: dense,
    ROW_MAJOR: prewired,
    "masked dense": masked,
    "torch CSR": torch_csr,
    "SparseProp": sparseprop,
    "SparseLab": sparselab,
}
PRODUCTS: dict[str, Callable[[Case], Contender]] = {"SciPy CSR": scipy_csr, "MKL SpMM": mkl_spmm}
NAMES = (DENSE, ROW_MAJOR, FEATURE_MAJOR, *(name for name in DROP_INS if name not in (DENSE, ROW_MAJOR)), *PRODUCTS)


def contenders(case: Case) -> tuple[dict[str, Contender], dict[str, str]]:
    """All that can run the case and do it right, by name; and what is the matter with each of the others."""
    turned = case._replace(x=feature_major(case.x), g=feature_major(case.g))
    expected = results(_build(DENSE, case))
    return sorted_out(
        NAMES,
        lambda name: _build(ROW_MAJOR, turned) if name == FEATURE_MAJOR else _build(name, case),
        lambda contender: complaint(contender, case, expected),
    )


def sorted_out(
    names: Iterable[str], build: Callable[[str], Built], check: Callable[[Built], str]
) -> tuple[dict[str, Built], dict[str, str]]:
    """What was built and has nothing to complain of, by name; and what is the matter with each of the others."""
    fit, unfit = {}, {}
    for name in names:
        try:
            fit[name] = build(name)
            unfit[name] = check(fit[name])
        except (ImportError, OSError) as error:
            unfit[name] = f"not installed: {_first_line(error)}"
        except Exception as error:  # a peer may raise anything, and the others go on
            unfit[name] = f"failed: {type(error).__name__}: {_first_line(error)}"
    unfit = {name: problem for name, problem in unfit.items() if problem}
    return {name: built for name, built in fit.items() if name not in unfit}, unfit


def _build(name: str, case: Case) -> Contender:
    if name in PRODUCTS:
        return PRODUCTS[name](case)
    return run_module(*DROP_INS[name](case.linear, case.topology), case)


def _first_line(error: Exception) -> str:
    return str(error).replace(sys.prefix, "...").partition("\n")[0]
