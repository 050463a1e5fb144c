"""The page of a study: valid, closed in itself, escaped, sortable, and true to the rows it shows."""

import json
import math
import re
import struct
import sys
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from prewired import generators
from prewired.random_bits import RandomBits
from prewired.study.reporting import page
from prewired.study.reporting.page import figures, row_groups
from prewired.study.reporting.page.cost_figure import find_pareto_front
from prewired.study.reporting.page.family_styles import choose_styles, order_families
from prewired.study.reporting.page.figure_spec import check, embed
from prewired.study.reporting.page.table_cells import find_numeric_columns, find_sort_value
from prewired.study.reporting.page.thumbnails import encode_png
from prewired.study.statistics import Row
from prewired.training.loop import Run, TrainConfig

HOSTILE = """<script>alert(1)</script>"'&`{x}%{y}</title>--><a href="javascript:alert(1)">"""
FAMILIES = {
    "erdos_renyi": lambda seed, **sizes: generators.erdos_renyi(**sizes, seed=seed),
    "constant_fan_in": lambda seed, **sizes: generators.constant_fan_in(**sizes, seed=seed),
    "biregular": lambda seed, **sizes: generators.biregular(**sizes, seed=seed),
    "rotating": lambda seed, **sizes: generators.rotating(**sizes),
    "fibonacci": lambda seed, **sizes: generators.fibonacci(**sizes),
    "grouped": lambda seed, **sizes: generators.grouped(**sizes),
    "window2d+biregular": lambda seed, **sizes: generators.biregular(**sizes, seed=50 + seed),
    HOSTILE: lambda seed, **sizes: generators.biregular(**sizes, seed=70 + seed),
    **{
        f"swap_ladder:swaps={swaps:g}": lambda seed, swaps=swaps, **sizes: generators.biregular(
            **sizes, seed=int(1000 * swaps) + seed
        )
        for swaps in (0, 0.01, 0.1, 1)
    },
}
DENSITIES = (0.02, 0.05, 0.2)
SIZES = (96, 160, 160, 10)
FAN_IN = {0.02: (2, 4), 0.05: (6, 8), 0.2: (24, 32)}
METRICS = ("normalized_spectral_gap", "algebraic_connectivity", "fan_in_cv", "dead_inputs")


def make_row(family, density, graph_seed, train_seed, score, *, control="", metrics=None, digests=(), n=1000):
    epochs = 12
    pace = 0.5 + 2 * (density or 1.0)
    curve = tuple(score * (1 - math.exp(-pace * (epoch + 1))) for epoch in range(epochs))
    losses = {"train_loss": curve, "val_loss": curve, "test_loss": 0.3}
    seconds = (0.2 + n / 1e5,) * epochs
    config = TrainConfig(epochs=epochs)
    run = Run(config, "accuracy", n, **losses, val_score=curve, seconds=seconds, test_score=score, chosen_epoch=epochs)
    return Row(
        "fashion_mnist",
        family,
        control,
        "fan_in",
        density,
        graph_seed,
        train_seed,
        run,
        4 * n,
        "m",
        metrics=metrics or {},
        sizes=SIZES,
        digests=digests,
    )


def demo(families=tuple(FAMILIES), densities=DENSITIES, controls=("", "permuted"), seeds=3):
    """Rows of made-up scores, with real small graphs: (rows, pictures, recipes)."""
    bits = RandomBits(1, "a demo of a page")
    noise = iter((bits.integers(1000, 100_000) / 1000 - 0.5).tolist())
    rows, pictures, recipes = [], {}, {}
    dense_n = sum(a * b for a, b in pairwise(SIZES))
    rows += [make_row("dense", None, None, s, 0.895 + 0.004 * next(noise), n=dense_n) for s in range(seeds)]
    for density in densities:
        n = int(density * dense_n)
        narrow = 0.84 + 0.02 * math.log10(density / 0.01) + 0.004 * next(noise)
        rows += [make_row("dense narrow", density, None, s, narrow + 0.002 * next(noise), n=n) for s in range(seeds)]
        for control in controls:
            for place, family in enumerate(families):
                for graph_seed in range(seeds):
                    random = family not in ("rotating", "fibonacci", "grouped")
                    if not random and graph_seed:
                        continue
                    seed = 10 * graph_seed + 1000 * bool(control)
                    net = [
                        FAMILIES[family](seed, n_in=a, n_out=b, fan_in=f)
                        for a, b, f in zip(SIZES, SIZES[1:], FAN_IN[density], strict=False)
                    ]
                    gap = 0.2 + 0.05 * place + 0.05 * next(noise)
                    metrics = dict(zip(METRICS, (gap, 9 * gap**2, next(noise) + 0.5, math.nan), strict=True))
                    for t in net:
                        pictures[t.digest] = page.draw_thumbnail(t)
                        recipes[t.digest] = str(t.recipe)
                    better = 0.85 + 0.02 * gap + 0.02 * math.log10(density / 0.01) - 0.01 * bool(control)
                    for s in range(seeds):
                        score = better + 0.006 * next(noise)
                        digests = tuple(t.digest for t in net)
                        seeded = graph_seed if random else None
                        more = {"control": control, "metrics": metrics, "digests": digests, "n": n}
                        rows.append(make_row(family, density, seeded, s, score, **more))
    return rows, pictures, recipes


def demo_page():
    """The HTML of a page with all figures and all kinds of blocks."""
    rows, pictures, recipes = demo()
    lines = tuple((f"family {k}", f"{k * 37 % 101 / 10:.2f} %", f"{k * 53 % 13 * 100} kB") for k in range(1, 13))
    blocks = [
        page.Paragraph(
            "Twelve families of sparse wirings, chosen before training, on `fashion_mnist`: made-up scores."
        ),
        page.Bullets((f"The dense net has the best score; {HOSTILE}.", "The `normalized_spectral_gap` goes with it.")),
        page.Heading("Results"),
        page.Table("Scores", ("family", "accuracy\n(mean)", "size"), (*lines, ("absent", "-", "1.5 MB")), ("A note.",)),
        figures.draw_score_by_density(rows),
        page.Heading("Graphs and scores"),
        page.Paragraph("Graphs are compared only inside a density and a setting."),
        figures.draw_score_by_metric(rows, pictures, recipes),
        page.Heading("Speed and cost"),
        figures.draw_training_curves(rows),
        figures.draw_speed_by_density(rows),
        figures.draw_cost_frontier(rows),
        page.Heading(f"How to repeat it {HOSTILE}"),
        page.Heading("The command", 3),
        page.Code("prewired study --data fashion_mnist --family biregular --density 0.02 0.05 0.2 --seeds 3 -o study/"),
    ]
    return page.write_document("Wiring before training: a demonstration", blocks)


@pytest.fixture(scope="module")
def text():
    return demo_page()


class Reader(HTMLParser):
    """Collects what matters of a page and fails where tags are not closed in their order."""

    VOID = ("meta", "link", "br", "img", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.data = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.data.append((self.open[-1] if self.open else "", data))

    def attributes(self, tag, name):
        return [attrs[name] for of, attrs in self.tags if of == tag and name in attrs]


def test_html_is_well_formed_and_its_ids_are_unique(text):
    reader = Reader(text)
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids)) > 20
    told = [attrs[key] for _, attrs in reader.tags for key in ("for", "aria-labelledby") if key in attrs]
    links = [link.removeprefix("#") for link in reader.attributes("a", "href")]
    assert set(told) | set(links) <= set(ids)
    names = [tag for tag, _ in reader.tags]
    assert names.count("h1") == names.count("main") == names.count("nav") == names.count("footer") == 1
    assert reader.attributes("html", "lang") == ["en"]
    levels = [int(name[1]) for name in names if re.fullmatch("h[1-6]", name)]
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))
    assert names.count("table") == names.count("caption") == 6
    assert all(scope in ("col", "row") for scope in reader.attributes("th", "scope"))
    assert len(reader.attributes("th", "scope")) == names.count("th")


def test_what_is_hostile_is_text(text):
    reader = Reader(text)
    assert len(reader.attributes("script", "type")) == 6  # the data of five figures and of the layers
    assert [tag for tag, _ in reader.tags].count("script") == 6 + 5
    assert not any("javascript:" in link for link in reader.attributes("a", "href"))
    own = [of for of, data in reader.data if HOSTILE.replace("`", "") in data.replace("`", "")]
    assert {"li", "h2", "a", "th"} <= set(own)
    data = [json.loads(data) for of, data in reader.data if of == "script" and data.startswith('{"spec"')]
    assert len(data) == 5
    assert HOSTILE in json.dumps(data[1]["cards"]["titles"], ensure_ascii=False).replace('\\"', '"')


def test_nothing_is_loaded_and_everything_is_forbidden(text):
    reader = Reader(text)
    assert not [attrs for _, attrs in reader.tags if "src" in attrs]
    assert reader.attributes("link", "href") == ["data:,"]
    (policy,) = [attrs["content"] for _, attrs in reader.tags if attrs.get("http-equiv")]
    assert policy.startswith("default-src 'none'; ")
    assert not re.search(r"https?:|\*", policy)
    style = "".join(data for of, data in reader.data if of == "style")
    assert "url(" not in style
    assert "@import" not in style
    assert len(text.encode()) < 7_000_000


def test_a_page_of_text_needs_no_plotly(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    blocks = [page.Heading("a"), page.Table("t", ("x",), (("1",),)), page.Code("a < b")]
    made = page.write_document("<Title>", blocks)
    Reader(made)
    assert len(made) < 60_000
    assert "&lt;Title&gt;" in made
    figure = page.Figure("f", "d", {"data": []}, blocks[1])
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        page.write_document("t", [figure])


def test_blocks_are_checked():
    with pytest.raises(ValueError, match="level=1"):
        page.Heading("a", 1)
    with pytest.raises(ValueError, match="expected 2 cells"):
        page.Table("t", ("x", "y"), (("1",),))
    table = page.Table("t", ("x",), ())
    spec = {"data": [{"x": page.pick("Metric", {"gap": [1], "other": [2]})}]}
    with pytest.raises(ValueError, match="'Metric'; add it"):
        page.Figure("f", "d", spec, table)
    with pytest.raises(ValueError, match="'other'"):
        page.Figure("f", "d", spec, table, (page.Choice("Metric", ("gap",)),))
    assert page.Figure("f", "d", spec, table, (page.Choice("Metric", ("gap", "other")),)).cards is None


@pytest.mark.parametrize(
    ("texts", "numeric"),
    [
        (("1,024", "-", "12"), True),
        (("0.52 [0.31, 0.68]", "-0.1 [-0.3, 0.1]"), True),
        (("2.00x", ">12", "1.2 MB"), True),
        (("-", ""), False),
        (("2d windows", "3"), False),
        (("3-regular", "3"), False),
        (("gap", "0.1"), False),
    ],
)
def test_columns_of_numbers_are_recognised(texts, numeric):
    assert find_numeric_columns(tuple((text,) for text in texts)) == [numeric]


def test_units_count_when_sorting():
    sizes = ["2 GB", "900 kB", "1.2 MB", "12", "-3e-2", "\u22124", "1.5 h", "2 min", "1 s", "3 ms"]
    assert sorted(sizes, key=lambda text: find_sort_value(text) or 0.0) == [
        "\u22124",
        "-3e-2",
        "3 ms",
        "1 s",
        "12",
        "2 min",
        "1.5 h",
        *sizes[1:3],
        sizes[0],
    ]


def test_numbers_in_scripts_are_short_and_finite():
    value = {"a": np.array([1 / 3, np.inf]), "b": np.float32(0.1), "c": (np.int64(7), True, None), "d": "</script><!--"}
    text = embed(value)
    assert json.loads(text) == {"a": [0.333333, None], "b": 0.1, "c": [7, True, None], "d": "</script><!--"}
    assert "<" not in text


def test_choices_may_depend_on_each_other():
    nested = page.pick("a", {"1": page.pick("b", {"x": [1], "y": [2]}), "2": [3]})
    assert page.resolve(nested, {"a": "1", "b": "y"}) == [2]
    assert page.resolve(nested, {"a": "2", "b": "y"}) == [3]
    assert page.resolve(nested, {"a": "1", "b": "absent"}) is None
    check(nested, {"a": ("1", "2"), "b": ("x", "y")})
    with pytest.raises(ValueError, match="'b'"):
        check(nested, {"a": ("1", "2")})


def read_png(data):
    """Grey levels 0 to 15 of an unfiltered 4-bit picture, checksums proved."""
    at, parts = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        parts[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    assert (depth, colour) == (4, 0)
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, -1)[:, 1:]
    return np.stack([lines >> 4, lines & 15], axis=2).reshape(height, -1)[:, :width]


@pytest.mark.parametrize(("n_in", "n_out"), [(30, 21), (33, 64), (200, 100)])
def test_a_picture_shows_the_edges(n_in, n_out):
    topology = (
        generators.biregular(n_in, n_out, fan_in=3, seed=0)
        if n_in == 200
        else generators.rotating(n_in, n_out, fan_in=3)
    )
    levels = page.draw_thumbnail(topology)
    assert levels.shape == (min(64, n_out), min(64, n_in))
    np.testing.assert_array_equal(read_png(encode_png(levels)), 15 - np.round(levels / 17))
    if n_in < 64:
        np.testing.assert_array_equal(levels, 255 * topology.biadjacency().toarray())
    with pytest.raises(ValueError, match="use draw_thumbnail"):
        encode_png(levels.astype(float))


def test_every_family_has_its_own_look():
    names = [name for name in (*generators.GENERATORS, *generators.NETWORK_FAMILIES) if name != "dense"]
    ladder = [f"swap_ladder:swaps={x:g}" for x in (0, 0.001, 0.01, 0.1, 1, 10)]
    windows = [f"window2d:size={k}" for k in (3, 5, 7)]
    mixtures = [f"window2d+{name}" for name in names[:20]]
    found = choose_styles([*names[:60], *ladder, *windows, *mixtures])
    assert len(set(found.values())) == len(found)
    assert (
        choose_styles(["biregular", "rotating"])["biregular"].colour
        == choose_styles(reversed([*names[:60]]))["biregular"].colour
    )
    assert order_families(ladder[::-1]) == ladder
    assert len({found[text].symbol for text in ladder}) == 1


def test_pareto_keeps_what_nothing_beats():
    bits = RandomBits(0, "points")
    costs, scores = (bits.integers(12, 40).tolist() for _ in range(2))
    front = find_pareto_front(costs, scores)

    def beaten(k):
        return any(
            costs[j] <= costs[k] and scores[j] >= scores[k] and (costs[j], scores[j]) != (costs[k], scores[k])
            for j in range(40)
        )

    assert {(costs[k], scores[k]) for k in front} == {(costs[k], scores[k]) for k in range(40) if not beaten(k)}
    assert find_pareto_front([1, math.nan, 2], [1, 5, math.nan]) == [0]


def small_rows():
    """Two graphs of one family with two training seeds each, at one density, and the dense nets."""
    rows = [make_row("dense", None, None, s, 0.9 + s / 50, n=100) for s in range(2)]
    rows += [make_row("dense narrow", 0.1, None, 0, 0.8, n=10)]
    for graph, gap in enumerate((0.25, 0.5)):
        for s in range(2):
            metrics = {"normalized_spectral_gap": gap, "a_metric": -gap}
            score = 0.85 + graph / 50 + s / 100
            rows.append(make_row("biregular", 0.1, graph, s, score, metrics=metrics, digests=(f"d{graph}",), n=10))
    return rows


def traces(figure, **chosen):
    first = {choice.label: choice.options[0] for choice in figure.choices}
    return {trace["name"]: trace for trace in page.resolve(figure.spec, first | chosen)["data"]}


def test_scores_by_metric_are_those_of_graphs():
    figure = figures.draw_score_by_metric(small_rows(), {}, {"d1": "a recipe"})
    assert [(choice.label, choice.options) for choice in figure.choices] == [
        ("Metric", ("normalized spectral gap", "a metric"))
    ]
    drawn = traces(figure)
    assert drawn["biregular"]["x"] == [0.25, 0.5]
    np.testing.assert_allclose(drawn["biregular"]["y"], [85.5, 87.5])
    np.testing.assert_allclose(drawn["biregular"]["error_y"]["array"], [2**-0.5] * 2)
    np.testing.assert_allclose(drawn["dense"]["y"], [91, 91])
    assert drawn["dense"]["x"] == [0.25, 0.5]
    assert traces(figure, Metric="a metric")["biregular"]["x"] == [-0.25, -0.5]
    assert figure.cards is not None
    assert figure.cards.titles == ("biregular", "biregular")
    assert dict(zip(figure.cards.names, figure.cards.facts[1], strict=True))["a metric"] == "-0.5"
    assert "a recipe" in figure.cards.store["d1"].caption
    assert figure.cards.store["d1"].png == b""
    assert figure.table.lines[1][:5] == ("biregular", "10 %", "1", "87.50 %", "0.71 %")


def test_equal_layers_are_stored_once():
    rows, pictures, recipes = demo(seeds=2, densities=(0.05,), controls=("",))
    figure = figures.draw_score_by_metric(rows, pictures, recipes)
    assert figure.cards is not None
    assert len(figure.cards.store) == len(pictures)
    both = page.write_document("t", [figure, figures.draw_score_by_metric(rows, pictures, recipes)])
    (store,) = [
        json.loads(data)
        for of, data in Reader(both).data
        if of == "script" and data.startswith('{"') and '"spec"' not in data[:9]
    ]
    assert len(store) == len(pictures)


def test_scores_by_density_are_means_over_graphs():
    drawn = traces(figures.draw_score_by_density(small_rows()))
    np.testing.assert_allclose(drawn["biregular"]["y"], [86.5])
    np.testing.assert_allclose(drawn["biregular"]["error_y"]["array"], [2**0.5])
    np.testing.assert_allclose(drawn["dense narrow"]["y"], [80])
    np.testing.assert_allclose(drawn["dense"]["y"], [91, 91])


def test_speed_counts_epochs_and_seconds_until_95_percent():
    rows = small_rows()
    figure = figures.draw_speed_by_density(rows)
    final = np.mean([row.run.val_score[-1] for row in rows if row.family == "dense"])
    sparse = [row.run for row in rows if row.family == "biregular"]
    epochs = [next((k for k, v in enumerate(run.val_score, 1) if v >= 0.95 * final), np.nan) for run in sparse]
    assert np.isnan(epochs[:2]).all()  # 0.86 is less than 95 % of 0.91
    wanted = np.nanmean(epochs[2:])  # the other graph never gets there
    np.testing.assert_allclose(traces(figure)["biregular"]["y"], [wanted])
    seconds = traces(figure, Measure="seconds of training")["biregular"]["y"]
    np.testing.assert_allclose(seconds, [wanted * sparse[0].seconds[0]])


def test_training_curves_are_means_over_runs():
    rows = small_rows()
    figure = figures.draw_training_curves(rows)
    curves = [row.run.val_score for row in rows if row.family == "biregular"]
    drawn = traces(figure)["biregular"]
    np.testing.assert_allclose(drawn["y"], 100 * np.mean(curves, axis=0))
    assert drawn["x"] == list(range(1, 13))
    seconds = traces(figure, **{"Horizontal axis": "seconds of training"})["biregular"]["x"]
    np.testing.assert_allclose(seconds, 0.2001 * np.arange(1, 13))


def test_a_run_that_stopped_early_keeps_its_score():
    long, short = [row for row in small_rows() if row.family == "biregular"][:2]
    run = replace(short.run, val_score=(0.5, 0.7, 0.6), seconds=(1.0, 1.0, 1.0), chosen_epoch=2)
    figure = figures.draw_training_curves([long, replace(short, run=run)])
    wanted = 100 * np.mean([long.run.val_score, (0.5, 0.7, 0.6, *[0.7] * 9)], axis=0)
    np.testing.assert_allclose(traces(figure)["biregular"]["y"], wanted)
    seconds = traces(figure, **{"Horizontal axis": "seconds of training"})["biregular"]["x"]
    np.testing.assert_allclose(np.diff(seconds)[[0, 1, 2]], [0.60005, 0.60005, 0.2001])


def test_the_front_is_of_the_chosen_cost():
    figure = figures.draw_cost_frontier(small_rows())
    front = traces(figure)["Pareto front"]
    assert front["x"] == [10, 100]
    np.testing.assert_allclose(front["y"], [86.5, 91])
    assert traces(figure, Cost="bytes")["Pareto front"]["x"] == [40, 400]
    on = {line[0]: line[-1] for line in figure.table.lines}
    assert on["dense narrow"] == "-"
    assert on["biregular"] == "parameters, bytes, seconds per epoch"


def test_settings_are_kept_apart_and_a_control_has_its_own_dense_net():
    rows = small_rows()
    other = [replace(row, data="digits") for row in rows]
    permuted = [replace(row, control="permuted") for row in rows if row.family != "dense narrow"]
    ablation = [replace(row, init="n_in") for row in rows if row.digests]
    everything = [*rows, *other, *permuted, *ablation]
    figure = figures.draw_score_by_density(everything)
    (choice,) = figure.choices
    assert choice.options == ("digits", "fashion_mnist", "fashion_mnist, permuted", "fashion_mnist, init n_in")
    assert all(
        row_groups.select_references(everything, inside) for inside in row_groups.group_sparse_rows(everything).values()
    )
    dense = row_groups.select_references(everything, permuted[2:])
    assert {row.control for row in dense} == {"permuted"}
    assert len(row_groups.select_references(everything, ablation)) == 3


def test_r2_is_not_a_percentage():
    rows = [replace(row, run=replace(row.run, score_name="r2")) for row in small_rows()]
    figure = figures.draw_score_by_density(rows)
    np.testing.assert_allclose(traces(figure)["biregular"]["y"], [0.865])
    assert figure.spec["layout"]["yaxis"]["title"]["text"] == "test R²"


def test_odd_studies_still_make_a_page():
    rows = small_rows()
    lone = [row for row in rows if row.family == "biregular"][:1]  # no dense net, one run
    makers = (
        figures.draw_score_by_density,
        figures.draw_speed_by_density,
        figures.draw_training_curves,
        figures.draw_cost_frontier,
    )
    made = [maker(lone) for maker in makers]
    Reader(page.write_document("t", [*made, figures.draw_score_by_metric(lone, {}, {})]))
    assert traces(made[0])["biregular"]["y"] == [85]
    assert math.isnan(traces(made[1])["biregular"]["y"][0])
    hostile = figures.draw_score_by_density([*rows, *(replace(row, data=HOSTILE) for row in rows)])
    assert HOSTILE in Reader(page.write_document("t", [hostile])).attributes("option", "value")
    for maker in makers:
        with pytest.raises(ValueError, match="sparse families"):
            maker([row for row in rows if row.family == "dense"])
    with pytest.raises(ValueError, match="with metrics"):
        figures.draw_score_by_metric([replace(row, metrics={}) for row in rows], {}, {})
