"""The stopwatch: everyone has a turn in every round, and quartiles are over the rounds."""

import pytest
from torch import nn

from prewired.ops import timing
from prewired.ops.timing import pass_through_layer, time_in_turns


def test_everyone_has_a_turn_in_every_round(monkeypatch):
    clock, order = [0.0], []
    seconds = {"quick": 0.002, "tiny": 0.0001, "steady": 0.03, "slow": 0.6}
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def call(name):
        def advance():
            order.append(name)
            clock[0] += seconds[name]

        return advance

    rounds = []
    calls = {name: call(name) for name in seconds}
    timings = time_in_turns(calls, rounds=3, turn_seconds=0.0599, most_calls=40, after_round=rounds.append)
    short, long = 5, 2  # a short call is repeated when it is warmed up
    warming = ["quick"] * short + ["tiny"] * short + ["steady"] * long + ["slow"] * long
    a_round = ["quick"] * (1 + 30) + ["tiny"] * (1 + 40) + ["steady"] * 2
    assert order == warming + 3 * a_round
    assert rounds == [1, 2, 3]
    for name, expected in seconds.items():
        assert timings[name][:3] == pytest.approx((expected,) * 3)
        assert timings[name].turns == (1 if name == "slow" else 3)


def test_quartiles_are_over_rounds(monkeypatch):
    clock, durations = [0.0], iter([9.0, 0.04, 0.01, 0.02, 0.03, 0.04, 0.05])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def call():
        clock[0] += next(durations)

    timings = time_in_turns({"a": call}, rounds=5, turn_seconds=0.06, most_calls=1)
    assert timings["a"][:3] == pytest.approx((0.02, 0.03, 0.04))
    with pytest.raises(ValueError, match="got rounds=0"):
        time_in_turns({"a": call}, rounds=0, turn_seconds=0.06)


@pytest.mark.parametrize("training", [False, True])
def test_a_pass_through_a_layer_is_what_it_says(training):
    layer = nn.Linear(5, 3)
    result = pass_through_layer(layer, 4, training=training)()
    assert [t.shape for t in result] == [(4, 5), (3, 5), (3,)] if training else result.shape == (4, 3)
