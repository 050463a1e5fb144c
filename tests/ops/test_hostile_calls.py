"""No call of a compiled operator leaves its memory, whatever its arguments are (1.6)."""

import json
import os
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import pytest
import torch

from prewired import SparseLinear, generators
from prewired.ops import kernels
from prewired.ops.plan import Plan

OPS = torch.ops.prewired
GRAPH = generators.biregular(24, 16, fan_in=3, seed=0)


@pytest.mark.parametrize("isa", [kernels.instruction_set(), "baseline"])
def test_hostile_calls_end_in_an_exception_or_a_right_result(isa):
    script = Path(__file__).with_name("hostile_calls.py")
    environment = {**os.environ, "PREWIRED_ISA": isa}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    result = json.loads(done.stdout)
    assert result["others"] == []
    assert result["refused"] > 3500


def call(number, rows=2):
    return OPS.chain_forward(torch.ones(rows, 24), [number], [torch.ones(48), torch.ones(16)], False, False)


def test_a_plan_that_is_released_can_no_longer_be_called():
    plan = Plan(GRAPH)
    number = plan.number
    call(number)
    del plan
    with pytest.raises(RuntimeError, match="expected the number of a stored plan"):
        call(number)


def test_a_plan_lives_as_long_as_its_last_user():
    first, second = Plan(GRAPH), Plan(GRAPH)
    number = second.number
    del first
    call(number)
    del second
    with pytest.raises(RuntimeError, match="expected the number of a stored plan"):
        call(number)


def test_numbers_depend_on_the_wiring_alone():
    code = (
        "from prewired.generators import biregular; from prewired.ops.plan import Plan; "
        "print(Plan(biregular(24, 16, fan_in=3, seed=0)).number)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == Plan(GRAPH).number
    others = [generators.biregular(24, 16, fan_in=3, seed=seed) for seed in range(1, 200)]
    plans = [Plan(t) for t in [GRAPH, *others]]
    assert len({plan.number for plan in plans}) == len({t.digest for t in [GRAPH, *others]})


def test_threads_store_call_and_release_plans_at_once():
    """One thread may release a plan while another runs it."""
    errors = []

    def work(seed):
        for k in range(60):
            layer = SparseLinear(generators.biregular(24, 16, fan_in=3, seed=(seed + k) % 5))
            y = layer(torch.ones(4, 24))
            if not torch.allclose(y, torch.ones(4, 24) @ layer.to_dense().T + layer.bias, atol=1e-5):
                errors.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


ARGUMENTS = {
    "chain_forward": lambda p, parameters, y, kept: (torch.ones(5, 24), [p.number], parameters, True, True),
    "chain_backward": lambda p, parameters, y, kept: (
        torch.ones(5, 16),
        y,
        kept,
        [p.number],
        parameters,
        True,
        True,
        True,
    ),
    "pack": lambda p, parameters, y, kept: (torch.ones(5, 24),),
    "to_matrix": lambda p, parameters, y, kept: (p.number, parameters[0]),
    "from_matrix": lambda p, parameters, y, kept: (p.number, torch.ones(16, 24)),
    "plan_edges": lambda p, parameters, y, kept: (p.number,),
    "forward": lambda p, parameters, y, kept: (torch.ones(5, 24), p.wiring[:4], parameters, True, False),
    "scattered": lambda p, parameters, y, kept: (*p.wiring[:2], p.wiring[4], parameters[0], 24),
}


@pytest.mark.parametrize("operator", ARGUMENTS)
def test_operators_keep_torchs_rules(operator):
    plan = Plan(GRAPH)
    parameters = [torch.ones(48), torch.ones(16)]
    y, *kept = kernels.forward(torch.ones(5, 24), [plan], parameters, True, True)
    arguments = ARGUMENTS[operator](plan, parameters, y, kept)
    result = torch.library.opcheck(getattr(OPS, operator), arguments)
    assert set(result.values()) == {"SUCCESS"}


@pytest.mark.parametrize(("needs_x", "needs_weights"), [*product((True, False), repeat=2)])
def test_backward_keeps_torchs_rules_whatever_it_computes(needs_x, needs_weights):
    plan, parameters = Plan(GRAPH), [torch.ones(48), torch.ones(16)]
    y, *kept = kernels.forward(torch.ones(5, 24), [plan], parameters, True, True)
    arguments = torch.ones(5, 16), y, kept, [plan.number], parameters, True, needs_x, needs_weights
    assert set(torch.library.opcheck(OPS.chain_backward, arguments).values()) == {"SUCCESS"}
