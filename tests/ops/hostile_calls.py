"""Direct calls of the compiled operators with wrong arguments: each must end in an exception or in a right result.

Run as a program, this file makes all calls and prints how many were refused and which were not. It runs in a process of
its own, since a call that leaves its memory may end the process.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from prewired import Topology, generators
from prewired.ops import plan_arrays
from prewired.ops.plan_arrays import PlanArrays, compute_arrays

OPS = torch.ops.prewired
PROGRAM_LISTS = 4
GRAPHS = {
    "plain": generators.constant_fan_in(13, 9, fan_in=4, seed=0),
    "groups and mask": Topology.from_mask(np.kron(np.tri(4), np.ones((3, 3)))),
    "panels": generators.erdos_renyi(60, 7, density=0.3, seed=0),
    "few edges": Topology.from_edges(9, 12, [(k, k) for k in range(4)]),
}


def list_arrays(graph: str) -> list[torch.Tensor]:
    """The lists of a plan; those of `panels` have panels of 8 features."""
    before = plan_arrays.PANEL, plan_arrays.WORTH_A_PANEL
    if graph == "panels":
        plan_arrays.PANEL, plan_arrays.WORTH_A_PANEL = 8, 0
    arrays = compute_arrays(GRAPHS[graph])
    plan_arrays.PANEL, plan_arrays.WORTH_A_PANEL = before
    return [torch.tensor(array) for array in arrays]


def set_at(t: torch.Tensor, place: int, value: int) -> torch.Tensor:
    """A copy of a list with another value at one place."""
    t = t.clone()
    t.view(-1)[place] = value
    return t


def free(t: torch.Tensor) -> torch.Tensor:
    """A copy of a tensor whose memory is freed."""
    t = t.clone()
    t.untyped_storage().resize_(0)
    return t


def free_half(t: torch.Tensor) -> torch.Tensor:
    """A copy of a tensor at the end of a storage that is made smaller."""
    both = torch.cat([t, t])
    half = both[t.shape[0] :]
    both.untyped_storage().resize_(t.numel() * t.element_size())
    return half


def wrong_tensors(t: torch.Tensor) -> Iterator[tuple[str, torch.Tensor | None]]:
    """A tensor in wrong shapes, types and memory."""
    yield "three dimensions", t[None, None]
    yield "another type", t.to({torch.int64: torch.int32, torch.float32: torch.float64}.get(t.dtype, torch.int64))
    yield "bool", t.bool()
    yield "complex", t.to(torch.complex64)
    yield "half", t.to(torch.float16)
    yield "sparse", t.float().to_sparse()
    if t.numel() > 0:
        yield "too long", torch.cat([t, t[-1:]])
        yield "twice as long", torch.cat([t, t])
    if t.numel() > 1:
        yield "too short", t[:-1]
        yield "strided", torch.stack([t, t], -1).flatten(-2)[..., ::2]
        yield "expanded", t[:1].expand_as(t)
        yield "freed", free(t)
        yield "half freed", free_half(t)


def wrong_lists(t: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """A list of a plan, with another shape, type or value."""
    yield from wrong_tensors(t)
    if t.numel() == 0:
        yield "not empty", t.new_zeros(3)
        return
    n = t.numel()
    for place in sorted({0, n // 2, n - 1}):
        for value in (-1, 2**7 if t.dtype == torch.uint8 else 10**6, int(t.view(-1)[place]) + 1):
            changed = set_at(t, place, value % 256 if t.dtype == torch.uint8 else value)
            if not torch.equal(changed, t):
                yield f"{value} at {place}", changed
    for name, changed in (
        ("reversed", t.flip(-1)),
        ("zeros", torch.zeros_like(t)),
        ("least", torch.full_like(t, torch.iinfo(t.dtype).min)),
        ("largest", torch.full_like(t, torch.iinfo(t.dtype).max)),
        ("rolled", t.roll(1, -1)),
    ):
        if not torch.equal(changed, t):
            yield name, changed


def is_right_list(graph: str, name: str, what: str) -> bool:
    """Whether a changed list is right all the same: another order, or other borders of panels."""
    if name.startswith("rows") and what in ("reversed", "rolled"):
        return True
    return graph == "panels" and name == "starts" and (what == "too long" or " at " in what)


def calls_of_store_plan() -> Iterator[tuple[str, Callable[[], object]]]:
    """Plans whose lists contradict each other."""
    for graph, t in GRAPHS.items():
        lists = list_arrays(graph)
        for k, name in enumerate(PlanArrays._fields):
            for what, wrong in wrong_lists(lists[k]):
                if not is_right_list(graph, name, what):
                    changed = [*lists[:k], wrong, *lists[k + 1 :]]
                    yield f"store_plan {graph}: {name} {what}", partial(OPS.store_plan, t.n_in, changed)
        for n_in in (0, -1, t.n_in - 1, t.n_in + 1, 2**31, 2**40, -(2**62)):
            yield f"store_plan {graph}: n_in {n_in}", partial(OPS.store_plan, n_in, lists)
        for n in (0, 1, 3, 6, 8, 10):
            yield f"store_plan {graph}: {n} lists", partial(OPS.store_plan, t.n_in, [*lists, lists[0]][:n])


def right_arguments(graph: str) -> dict[str, list]:
    """Arguments of each operator that it takes."""
    t, lists = GRAPHS[graph], list_arrays(graph)
    number = OPS.store_plan(t.n_in, lists)
    parameters = [torch.randn(t.n_edges), torch.randn(t.n_out)]
    x, g = torch.randn(5, t.n_in), torch.randn(5, t.n_out)
    y, *kept = OPS.chain_forward(x, [number], parameters, True, True)
    wiring = lists[:PROGRAM_LISTS]
    return {
        "chain_forward": [x, [number], parameters, True, False],
        "chain_forward alone": [x[:1], [number], parameters, True, False],
        "chain_backward": [g, y, kept, [number], parameters, True, True, True],
        "chain_backward of x": [g, y, kept, [number], parameters, True, True, False],
        "chain_backward of weights": [g, y, kept, [number], parameters, True, False, True],
        "to_matrix": [number, parameters[0]],
        "from_matrix": [number, torch.randn(t.n_out, t.n_in)],
        "forward": [x, wiring, parameters, False, False],
        "forward alone": [x[:1], wiring, parameters, False, False],
        "scattered": [lists[0], lists[1], lists[4], parameters[0], t.n_in],
    }


NOT_READ = {("chain_backward of x", 2)}
"""Arguments that a call does not read."""


def wrong_values(value: object) -> Iterator[tuple[str, object]]:
    """An argument in wrong ways."""
    if isinstance(value, torch.Tensor):
        yield from wrong_lists(value) if not value.is_floating_point() else wrong_tensors(value)
        if value.ndim == 2 and value.is_floating_point():
            yield "a column fewer", value[:, :-1].contiguous()
            yield "a column more", torch.cat([value, value[:, :1]], 1)
            yield "one dimension", value.flatten()
    elif isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
        yield from ((f"{n} tensors", (value * 3)[:n]) for n in range(3 * len(value)) if n != len(value))
        for k, t in enumerate(value):
            yield from ((f"{k}: {what}", [*value[:k], wrong, *value[k + 1 :]]) for what, wrong in wrong_values(t))
    elif isinstance(value, list):
        yield from ((f"plans {wrong}", wrong) for wrong in ([], [0], [-1], [2**62], value * 2, [value[0] + 1]))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from ((f"number {wrong}", wrong) for wrong in (0, -1, 2**40, value + 1, value - 1))


def is_right(operator: str, place: int, what: str, value: object) -> bool:
    """Whether a changed argument is right all the same, or is not read."""
    if (operator, place) in NOT_READ or (operator == "from_matrix" and what in ("another type",)):
        return True
    if place == 0 and "forward" in operator and what in ("too long", "twice as long", "too short"):
        return True  # another batch
    if operator == "scattered" and place == 3 and what == "another type":
        return True  # any floating-point type
    if operator == "to_matrix" and place == 1 and what == "another type":
        return True
    # With one row, a tensor that is expanded along the batch is an ordinary row.
    return operator.endswith("alone") and place == 0 and what == "expanded"


def calls_of_operators() -> Iterator[tuple[str, Callable[[], object]]]:
    """Operators with one wrong argument at a time."""
    for graph in GRAPHS:
        for operator, arguments in right_arguments(graph).items():
            for place, right in enumerate(arguments):
                for what, wrong in wrong_values(right):
                    if not is_right(operator, place, what, right):
                        changed = [*arguments[:place], wrong, *arguments[place + 1 :]]
                        call = getattr(OPS, operator.split()[0])
                        yield f"{operator} {graph}: argument {place} {what}", partial(call, *changed)


def calls_after_a_right_call() -> Iterator[tuple[str, Callable[[], object]]]:
    """Programs whose index tensors change after the first call, in every way that Python has."""
    for graph in GRAPHS:
        for k in (0, 1):
            for what, change in {
                "filled": lambda t: t.fill_(10**6),
                "negative": lambda t: t.fill_(-1),
                "through NumPy": lambda t: t.numpy().fill(10**6),
                "freed": lambda t: t.untyped_storage().resize_(0),
                "replaced": lambda t: t.set_(torch.full_like(t, 10**6)),
            }.items():
                arguments = right_arguments(graph)["forward"]
                OPS.forward(*arguments)

                def call(arguments=arguments, change=change, k=k):
                    change(arguments[1][k])
                    return OPS.forward(*arguments)

                yield f"forward {graph}: list {k} {what} after a call", call


def follows_its_lists(call: partial, result: object) -> bool:
    """Whether the result of a program's operator is right for the lists that it got, which may be another wiring."""
    arguments = call.args
    if call.func is OPS.scattered:
        starts, indices, _, values, n_in = arguments
        return torch.equal(result, multiply_out(starts, indices, values, n_in))
    if call.func is not OPS.forward or len(arguments[1]) != PROGRAM_LISTS:
        return False
    x, (starts, indices, _, _), (weight, bias), *_ = arguments
    expected = x @ multiply_out(starts, indices, weight, x.shape[1]).T + bias
    return torch.allclose(result[0], expected, atol=1e-5)


def multiply_out(starts: torch.Tensor, indices: torch.Tensor, values: torch.Tensor, n_in: int) -> torch.Tensor:
    """The matrix of weights, edge by edge."""
    first, last = (starts[:-1], starts[1:]) if starts.ndim == 1 else (starts[0], starts[-1])
    matrix = torch.zeros(len(first), n_in)
    for row, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        matrix[row, indices[a:b].long()] = values[a:b]
    return matrix


def main() -> None:
    """Make all calls; print as JSON how many were refused, how many were right, and the names of the others."""
    refused, right, others = 0, 0, []
    for calls in (calls_of_store_plan, calls_of_operators, calls_after_a_right_call):
        for name, call in calls():
            print(name, file=sys.stderr, flush=True)  # the last name tells which call ended the process
            try:
                result = call()
            except (RuntimeError, TypeError, NotImplementedError, ValueError, IndexError):
                refused += 1
            else:
                is_right = isinstance(call, partial) and follows_its_lists(call, result)
                right += is_right
                others += [] if is_right else [name]
    print(json.dumps({"refused": refused, "right": right, "others": others}))


if __name__ == "__main__":
    main()
