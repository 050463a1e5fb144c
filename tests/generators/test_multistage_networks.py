"""Families of several layers: what their products are, where they exist, and networks and studies wired by them."""

import hashlib
import json
from dataclasses import replace
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired import SparseLinear, generators
from prewired.cli.app import main
from prewired.generators import NETWORK_FAMILIES
from prewired.io import load_topology
from prewired.nn import mlp, wire
from prewired.study import StudyConfig, run
from prewired.study.family_names import parse_family
from prewired.topology import Recipe

NETWORKS = {  # sizes, request, edges per layer, paths between any input and any output (None: a bound instead)
    "butterfly": [
        ([64] * 7, {}, [128] * 6, 1),
        ([64] * 4, {}, [256] * 3, 1),
        ([64] * 3, {"fan_in": 8}, [512] * 2, 1),
        ([27] * 6, {"fan_in": 3}, [81] * 5, 9),
        ([36] * 3, {"density": 1 / 6}, [216] * 2, 1),
    ],
    "benes": [([8] * 6, {}, [16] * 5, 4), ([9] * 4, {}, [27] * 3, 3), ([16] * 8, {"fan_in": 2}, [32] * 7, 8)],
    "de_bruijn_tower": [([32] * 6, {}, [64] * 5, 1), ([27] * 5, {"fan_in": 3}, [81] * 4, 3)],
    "grouped_shuffle": [
        ([12, 16, 8], {"fan_in": [3, 4]}, [48, 32], 1),
        ([12, 16, 32, 8], {"density": 0.25}, [48, 128, 64], 8),
        ([12, 16, 8], {"density": 0.5}, [96, 64], 4),
    ],
    "radix_net": [
        ([12, 6, 18], {"radices": [[2, 3]]}, [24, 54], 1),
        ([16, 32, 48], {"density": 0.25}, [128, 384], 2),
        ([64, 64, 64, 128, 64], {"density": 0.125}, [512, 512, 1024, 1024], 2 * 8 * 8),
        ([12] * 6, {"radices": [[3, 4], [2, 6], [2]]}, [36, 48, 24, 72, 24], 24),
    ],
    "lps_tower": [([1092] * 3, {"fan_in": 6}, [6552] * 2, None)],
}
GOLDEN = {  # of the last case of each, and of one that is cut to size
    "butterfly": "1c77c68d3832c06c",
    "benes": "998d9152f9d7815d",
    "de_bruijn_tower": "8bfc743d5a895834",
    "grouped_shuffle": "83f83a1212b0746d",
    "radix_net": "3a98d7f77125ab11",
    "lps_tower": "a2d9e74768d306ca",
}
GOLDEN_CUT = "e79eafc9861d17d0"
CASES = [(family, *case) for family, cases in NETWORKS.items() for case in cases]


def product(topologies):
    return reduce(lambda done, t: t.biadjacency() @ done, topologies[1:], topologies[0].biadjacency()).toarray()


@pytest.mark.parametrize(("family", "sizes", "request_", "edges", "paths"), CASES, ids=str)
def test_the_product_is_what_the_family_promises(family, sizes, request_, edges, paths):
    layers = NETWORK_FAMILIES[family](sizes, **request_)
    assert [(t.n_in, t.n_out) for t in layers] == list(pairwise(sizes))
    assert [t.n_edges for t in layers] == edges
    assert all(np.ptp(t.fan_in) == np.ptp(t.fan_out) == 0 for t in layers)
    if paths is not None:
        np.testing.assert_array_equal(product(layers), paths)
    for t in layers:
        assert generators.from_recipe(Recipe.from_json(t.recipe.to_json())) == t


def test_a_case_for_every_family():
    assert set(NETWORKS) == set(GOLDEN) == set(NETWORK_FAMILIES)


def digest(topologies):
    return hashlib.sha256("".join(t.digest for t in topologies).encode()).hexdigest()[:16]


@pytest.mark.parametrize("family", NETWORK_FAMILIES)
def test_golden_digests(family):
    sizes, request_, *_ = NETWORKS[family][-1]
    assert digest(NETWORK_FAMILIES[family](sizes, **request_)) == GOLDEN[family]


def test_the_golden_digest_of_a_network_that_is_cut():
    layers = NETWORK_FAMILIES["radix_net"]([784, 1000, 500], density=0.05, fit="nearest")
    assert digest(layers) == GOLDEN_CUT


def test_towers_mix_as_fast_as_ramanujan_graphs_promise():
    layers = NETWORK_FAMILIES["lps_tower"]([1092] * 3, fan_in=6)
    sigma = np.linalg.svd(product(layers), compute_uv=False)
    np.testing.assert_allclose(sigma[0], 36)
    assert sigma[1] <= 4 * 5 + 1e-9


def test_benes_networks_rise_and_fall():
    layers = NETWORK_FAMILIES["benes"]([16] * 8)
    assert layers == [*layers[3::-1], *layers[2::-1]][::-1] or layers == layers[::-1]
    assert layers[:4] == NETWORK_FAMILIES["butterfly"]([16] * 5)
    assert len(set(layers)) == 4


@given(
    radices=st.lists(st.integers(2, 4), min_size=2, max_size=4),
    blocks=st.lists(st.integers(1, 3), min_size=5, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_any_radices_give_uniform_products(radices, blocks):
    ring = int(np.prod(radices))
    sizes = [ring * block for block in blocks[: len(radices) + 1]]
    layers = NETWORK_FAMILIES["radix_net"](sizes, radices=[radices])
    paths = product(layers)
    assert paths.min() == paths.max() == np.prod(blocks[1 : len(radices)])
    expected = [a // ring * r for a, r in zip(sizes, radices, strict=False)]
    assert [set(t.fan_in.tolist()) for t in layers] == [{fan_in} for fan_in in expected]


@pytest.mark.parametrize(
    ("family", "sizes", "request_", "message"),
    [
        ("butterfly", [64, 60, 64], {}, r"all widths radix\*\*t.*got 64-60-64; nearest: 64-64-64 with fan_in 8;"),
        ("butterfly", [64, 64, 64], {"fan_in": 4}, r"got 64-64-64 with fan_in 4, 4; nearest: .*64-64-64 with fan_in 8"),
        ("butterfly", [64, 64], {}, "change the number of layers"),
        ("benes", [8] * 5, {}, "change the number of layers"),
        ("benes", [10] * 4, {}, "nearest: 9-9-9-9 with fan_in 3"),
        ("de_bruijn_tower", [30, 30, 30], {"fan_in": 5}, "nearest: 25-25-25 with fan_in 5"),
        ("grouped_shuffle", [12, 15, 8], {"density": 0.25}, "nearest: 12-16-8 with fan_in 3, 4"),
        ("grouped_shuffle", [12, 16], {}, "change the number of layers"),
        ("radix_net", [12, 7, 18], {"radices": [[2, 3]]}, "nearest: 12-6-18 with fan_in 4, 3"),
        ("radix_net", [12, 6, 18], {"radices": [[2, 3], [5]]}, "3 integers >= 2|2 integers >= 2"),
        ("radix_net", [12, 6, 18], {"radices": []}, "list of systems"),
        ("radix_net", [12] * 5, {"radices": [[3, 4], [5, 2]]}, "of equal product but the last"),
        ("radix_net", [12, 6, 18], {"radices": [[1, 6]]}, "integers >= 2"),
        ("radix_net", [12, 6, 18], {"radices": [2, 3]}, "list of systems"),
        ("radix_net", [12, 6, 18], {"radices": [[2, 3], []]}, "list of systems"),
        ("lps_tower", [1000, 1000], {"fan_in": 6}, "nearest: 1092-1092 with fan_in 6"),
        ("butterfly", [64, 64, 64], {"fan_in": 8, "density": 0.1}, "got both"),
        ("butterfly", [64, 64, 64], {"fan_in": [8, 8, 8]}, "one for each of 2 layers, got 3"),
        ("butterfly", [64, 64, 64], {"fan_in": 65}, "0 < fan_in <= n_in"),
        ("butterfly", [64, 0, 64], {}, "integer sizes >= 1"),
        ("butterfly", 64, {}, "integer sizes >= 1"),
        ("butterfly", [64, 64, 64], {"radix": 8}, "parameters among fan_in, density, fit; got radix"),
        ("butterfly", [64, 64, 64], {"fit": "any"}, 'fit="nearest"'),
    ],
)
def test_impossible_networks_are_refused_with_the_nearest(family, sizes, request_, message):
    with pytest.raises(ValueError, match=message):
        NETWORK_FAMILIES[family](sizes, **request_)


FITTED = [
    ("butterfly", [200, 250, 230], {"density": 1 / 16}),
    ("de_bruijn_tower", [250, 256, 250], {"density": 1 / 16}),
    ("benes", [100, 120, 110, 90], {"fan_in": [9, 11, 10]}),
    ("grouped_shuffle", [784, 1000, 500], {"density": 0.1}),
    ("radix_net", [784, 1000, 500], {"density": 0.05}),
    ("lps_tower", [1000, 1050, 1000], {"fan_in": 5}),
    ("butterfly", [200, 250, 230], {}),
]


@pytest.mark.parametrize(("family", "sizes", "request_"), FITTED, ids=str)
def test_the_nearest_network_has_the_asked_edges_and_still_joins_everything(family, sizes, request_):
    with pytest.raises(ValueError, match='fit="nearest"'):
        NETWORK_FAMILIES[family](sizes, **request_)
    layers = NETWORK_FAMILIES[family](sizes, fit="nearest", **request_)
    assert [(t.n_in, t.n_out) for t in layers] == list(pairwise(sizes))
    for k, t in enumerate(layers):
        if request_:
            asked = request_.get("fan_in", round(request_.get("density", 0) * t.n_in))
            assert set(t.fan_in.tolist()) == {asked[k] if isinstance(asked, list) else asked}
        assert generators.from_recipe(Recipe.from_json(t.recipe.to_json())) == t
    if family != "lps_tower":  # 25 paths to 1000 units
        paths = product(layers)
        assert (paths > 0).mean() > 0.9
        assert paths.std() / paths.mean() < (paths.mean() ** -0.5 if request_ else 1)  # below a random network's


def test_an_exact_network_needs_no_fit():
    assert NETWORK_FAMILIES["butterfly"]([64] * 3, fan_in=8, fit="level") == NETWORK_FAMILIES["butterfly"](
        [64] * 3, fan_in=8
    )
    assert NETWORK_FAMILIES["butterfly"]([64] * 3, fan_in=8, fit="nearest") == NETWORK_FAMILIES["butterfly"](
        [64] * 3, fan_in=8
    )


# Wherever family= is.


def test_networks_are_wired_by_families_of_several_layers():
    wired = wire([64, 64, 64, 10], family="butterfly", density=0.125)
    assert wired == NETWORK_FAMILIES["butterfly"]([64] * 3, fan_in=8)
    net = mlp([64, 64, 64, 10], family="butterfly", fan_in=8)
    assert [m.topology for m in net if isinstance(m, SparseLinear)] == wired
    assert wire([64, 64, 64], family="butterfly", dense_output=False) == wired
    radices = wire([12, 6, 18, 3], family="radix_net", radices=[[2, 3]])
    assert radices == NETWORK_FAMILIES["radix_net"]([12, 6, 18], radices=[[2, 3]])
    assert wire([64, 64, 64, 10], family="butterfly", n_edges=1024) == wired
    fitted = mlp([60, 70, 70, 3], family="grouped_shuffle", density=0.25, fit="nearest")
    assert [m.topology.n_edges for m in fitted if isinstance(m, SparseLinear)] == [70 * 15, 70 * 18]


def test_a_levelled_network_is_made_whatever_share_of_its_edges_changes():
    with pytest.raises(ValueError, match=r'cut from 64-64-64 with fan_in 8: .* and \d+%; .*fit="level"'):
        NETWORK_FAMILIES["butterfly"]([60, 60, 60], fan_in=12, fit="nearest")
    layers = NETWORK_FAMILIES["butterfly"]([60, 60, 60], fan_in=12, fit="level")
    assert [set(t.fan_in.tolist()) for t in layers] == [{12}, {12}]
    assert [generators.from_recipe(t.recipe) for t in layers] == layers
    assert NETWORK_FAMILIES["butterfly"]([60, 60, 60], fan_in=7, fit="level") == NETWORK_FAMILIES["butterfly"](
        [60, 60, 60], fan_in=7, fit="nearest"
    )


@pytest.mark.parametrize("known", ["biregular", "radix_net"])
def test_unknown_names_list_both_kinds(known):
    for call in (
        lambda: wire([4, 4, 4], family="butterflies", density=0.5),
        lambda: mlp([4, 4, 4], family="butterflies", density=0.5),
        lambda: StudyConfig("digits", ["butterflies"], [0.1]),
    ):
        with pytest.raises(ValueError, match=f"{known}.*got 'butterflies'"):
            call()


def test_a_study_of_families_of_several_layers_and_exact_edges(tmp_path):
    config = StudyConfig(
        "digits",
        ("butterfly:fit=nearest", "biregular", "grouped_shuffle"),
        edges=(1024, 2 * 16 * 64),
        graph_seeds=1,
        hidden=(64, 64),
        epochs=1,
        timing=False,
    )
    with pytest.raises(ValueError, match=r"butterfly:fit=nearest at density 0.25: "):
        run(config, tmp_path / "one")
    config = replace(config, families=("butterfly", "biregular", "grouped_shuffle"), edges=(1024,))
    result = run(config, tmp_path / "two")
    assert [row.label for row in result.rows] == ["dense", "dense narrow", *config.families]
    assert {row.density for row in result.rows[1:]} == {0.125}
    assert result.rows[2].run.n_parameters == 1024 + 128 + 650
    other = replace(config, families=("biregular",), edges=(1000,))
    assert run(other, tmp_path / "two").rows[2].run.n_parameters == 1000 + 128 + 650
    assert run(config, tmp_path / "two", progress=pytest.fail).rows == result.rows


def test_a_study_with_a_budget(tmp_path):
    small = {"graph_seeds": 1, "hidden": (40, 20), "epochs": 1, "timing": False}
    config = StudyConfig("digits", ("rotating", "biregular"), (0.1,), budget="erdos_renyi", **small)
    rows = run(config, tmp_path).rows
    edges = [t.n_edges for t in wire([64, 40, 20, 10], family="rotating", density=0.1, budget="erdos_renyi")]
    assert edges != [t.n_edges for t in wire([64, 40, 20, 10], family="rotating", density=0.1)]
    assert {row.run.n_parameters for row in rows[2:]} == {sum(edges) + 40 + 20 + 210}
    with pytest.raises(ValueError, match="among uniform, erdos_renyi, erk"):
        StudyConfig("digits", ("rotating",), (0.1,), budget="half")
    with pytest.raises(ValueError, match="densities or edges, got both"):
        StudyConfig("digits", ("rotating",), (0.1,), edges=(100,))
    with pytest.raises(ValueError, match="at least one of densities"):
        StudyConfig("digits", ("rotating",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("moon:fit=nearest", "'moon'"),
        ("butterfly:fit", "got 'fit'"),
        ("butterfly:seed=3", "got 'seed=3'"),
        ("butterfly:fit=nearest:fit=nearest", "each once"),
    ],
)
def test_wrong_families_of_a_study(text, message):
    with pytest.raises(ValueError, match=message):
        parse_family(text)


def test_parameters_of_a_family_are_json_or_words():
    text = "radix_net:radices=[[2, 3]]:fit=nearest"
    assert parse_family(text) == ("radix_net", {"radices": [[2, 3]], "fit": "nearest"})


def test_the_command_line(capsys, tmp_path):
    file = tmp_path / "net.topology"
    assert main(["generate", "butterfly", "sizes=[16,16,16]", "fan_in=4", "-o", str(file)]) == 0
    expected = NETWORK_FAMILIES["butterfly"]([16] * 3, fan_in=4)
    assert capsys.readouterr().out.splitlines() == [str(t) for t in expected]
    assert [load_topology(tmp_path / f"net.{k}.topology") for k in range(2)] == expected
    for words, message in [
        (["generate", "butterfly", "fan_in=4"], "for example sizes="),
        (["generate", "butterfly", "n_in=4"], "one of sizes, fan_in, density, fit"),
        (["generate", "moon", "n_in=4"], "butterfly"),
    ]:
        assert main(words) == 2
        assert message in capsys.readouterr().err
    small = ["--data", "digits", "--hidden", "64", "64", "--epochs", "1"]
    assert main(["train", *small, "--family", "butterfly", "--edges", "1024"]) == 0
    assert main(["train", *small, "--family", "radix_net:fit=nearest", "--density", "0.1", "--budget", "uniform"]) == 0
    out = tmp_path / "study"
    asked = ["--family", "butterfly", "biregular", "--edges", "1024", "--budget", "uniform", "--graph-seeds", "1"]
    asked += ["--workers", "1", "--no-timing"]
    assert main(["study", *small, *asked, "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "exactly 1,024 edges" in printed
    assert "by the budget uniform" in printed
    assert json.loads((out / "summary.json").read_text())["config"]["edges"] == [1024]


def test_sizes_may_come_from_numpy():
    expected = [t.digest for t in generators.NETWORK_FAMILIES["butterfly"]([16, 16, 16])]
    for sizes in (np.array([16, 16, 16]), [np.int64(16)] * 3):
        assert [t.digest for t in generators.NETWORK_FAMILIES["butterfly"](sizes)] == expected


def test_unknown_names_and_parameters_are_refused():
    with pytest.raises(ValueError, match="expected a family of several layers among benes, butterfly"):
        generators.make_network("buterfly", sizes=[16, 16])
    with pytest.raises(ValueError, match="expected parameters of butterfly among fit; got bogus"):
        parse_family("butterfly:bogus=1")
    with pytest.raises(ValueError, match="expected parameters of rotating of its own: it has none; got x"):
        parse_family("rotating:x=2")
