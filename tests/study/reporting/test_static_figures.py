"""The pictures of a study: what the page's figures describe, drawn whole and true."""

import math
import struct
from dataclasses import replace

import numpy as np
import pytest

from prewired.study import Study, StudyConfig, reporting
from prewired.study.reporting.page import figures, resolve
from prewired.study.reporting.static_figures import DASHES, STATIC_COLOURS, STATIC_MARKERS, draw_views
from prewired.study.statistics import Row
from prewired.study.tasks import Facts
from prewired.training.loop import Run, TrainConfig

FAMILIES = ["erdos_renyi", "constant_fan_in", "biregular", "rotating", "fibonacci", "grouped"]
GAP = "normalized_spectral_gap"


def make_rows(families, densities, score_name="accuracy", epochs=3):
    def row(family, density, graph_seed, score, metrics, train_seed=0):
        curve = tuple(score - 0.1 * math.exp(-epoch) for epoch in range(epochs))
        curves = dict.fromkeys(("train_loss", "val_loss", "val_score", "seconds"), curve)
        ends = {"test_loss": 0.1, "test_score": score, "chosen_epoch": epochs}
        run = Run(TrainConfig(epochs=epochs), score_name, 100, **curves, **ends)
        digests = (f"{family} {density} {graph_seed}",) if metrics else ()
        return Row("d", family, "", "fan_in", density, graph_seed, train_seed, run, 400, "m", metrics, digests=digests)

    rows = [row("dense", None, None, 0.98 + seed / 100, {}, seed) for seed in range(2)]
    for density in densities:
        rows.append(row("dense narrow", density, None, 0.9, {}))
        for place, family in enumerate(families):
            rows += [row(family, density, g, 0.9 + place / 100 + g / 500, {GAP: place + g / 10}) for g in range(2)]
    return rows


def report(rows, densities=(0.1, 0.4)):
    families = tuple(dict.fromkeys(row.family for row in rows if row.digests))
    return reporting.analyse_study(
        Study(StudyConfig("d", families, densities), {"d": Facts("D", "", 9, 2, {})}, rows, 9)
    )


def lines(axis):
    """Label -> points of every trace."""
    return {container.get_label(): container.lines[0].get_xydata() for container in axis.containers}


def png_size(path):
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", header[16:24])


@pytest.mark.parametrize(
    ("families", "densities", "score_name"),
    [
        (FAMILIES[:1], (0.05,), "accuracy"),
        pytest.param(FAMILIES, (0.02, 0.05, 0.1, 0.4), "accuracy", marks=pytest.mark.slow),
        (FAMILIES, (0.1,), "r2"),
    ],
)
def test_pictures_of_a_study(tmp_path, families, densities, score_name):
    paths = reporting.draw_pictures(report(make_rows(families, densities, score_name), densities), tmp_path)
    assert [path.name for path in paths] == ["score_by_density.png", f"score_by_{GAP}.png", "training_curves.png"]
    for path in paths:
        width, height = png_size(path)
        assert 600 <= width <= 3000
        assert 450 <= height <= 2000
        assert path.stat().st_size > 5000


@pytest.mark.parametrize(
    "make",
    [
        lambda rows: figures.draw_score_by_metric(rows, {}, {}),
        figures.draw_score_by_density,
        figures.draw_training_curves,
        figures.draw_speed_by_density,
        figures.draw_cost_frontier,
    ],
)
def test_what_is_drawn_is_what_the_figure_describes(make):
    """Points, spreads, colours, markers and titles of all figures, in their first view."""
    figure = make(make_rows(["biregular", "rotating"], [0.1, 0.4]))
    spec = resolve(figure.spec, {choice.label: choice.options[0] for choice in figure.choices})
    drawing = draw_views.__wrapped__(figure, {"a view": {}}, "a title")
    (axis,) = drawing.axes
    traces = {trace["name"]: trace for trace in spec["data"]}
    assert list(lines(axis)) == list(traces)
    for container, (name, trace) in zip(axis.containers, traces.items(), strict=True):
        line, _, bars = container.lines
        points = np.array([trace["x"], trace["y"]], float).T
        np.testing.assert_allclose(lines(axis)[name], points)
        assert line.get_color() == STATIC_COLOURS.get(of := (trace.get("marker") or trace["line"])["color"], of)
        assert line.get_marker() == (STATIC_MARKERS[trace["marker"]["symbol"]] if "marker" in trace else "None")
        assert line.get_linestyle() == (DASHES[trace["line"].get("dash", "solid")] if "line" in trace else "None")
        if "error_y" in trace:
            ends = np.array([segment[:, 1] for segment in bars[0].get_segments()])
            np.testing.assert_allclose(np.diff(ends)[:, 0], 2 * np.array(trace["error_y"]["array"]))
    assert (axis.get_xlabel(), axis.get_title()) == ("", "a view")
    assert drawing.get_suptitle() == "a title"
    assert drawing.get_supxlabel() == spec["layout"]["xaxis"]["title"]["text"]
    assert drawing.get_supylabel() == spec["layout"]["yaxis"]["title"]["text"]
    assert axis.get_xscale() == spec["layout"]["xaxis"].get("type", "linear")


def test_names_of_data_are_no_formulas(tmp_path):
    rows = [replace(row, data="us$_{eur$.npz") for row in make_rows(["biregular"], [0.1])]
    facts = Facts("us$_{eur$.npz", "", 9, 2, {})
    study = Study(StudyConfig(facts.name, ("biregular",), (0.1,)), {facts.name: facts}, rows, 9)
    assert len(reporting.draw_pictures(reporting.analyse_study(study), tmp_path)) == 3


def test_data_sets_of_one_name_have_pictures_of_their_own(tmp_path):
    names = ("a/train.npz", "b/train.npz")
    rows = [replace(row, data=name) for name in names for row in make_rows(["biregular"], [0.1])]
    facts = {name: Facts("train.npz", "", 9, 2, {}) for name in names}
    study = Study(StudyConfig(names, ("biregular",), (0.1,)), facts, rows, 18)
    paths = reporting.draw_pictures(reporting.analyse_study(study), tmp_path)
    assert len(set(paths)) == len(paths) == 6
    assert sorted(path.name for path in paths)[:2] == ["score_by_density_train_1.png", "score_by_density_train_2.png"]


def test_the_dense_net_has_a_band_of_its_spread():
    rows = make_rows(["biregular"], [0.1])
    (patch,) = draw_views.__wrapped__(figures.draw_score_by_density(rows), {"": {}}).axes[0].patches
    low, high = sorted(set(np.round(patch.get_xy()[:, 1], 9)))
    assert (low, high) == (pytest.approx(98.5 - 2**-0.5), pytest.approx(98.5 + 2**-0.5))
    alone = figures.draw_score_by_density(rows[1:])
    assert len(draw_views.__wrapped__(alone, {"": {}}).axes[0].patches) == 0


def test_hollow_markers_are_hollow():
    spec = {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": "hollow",
                "x": [1.5],
                "y": [1],
                "marker": {"symbol": "circle-open", "color": "#0072B2", "size": 8},
            }
        ],
        "layout": {"xaxis": {"title": {"text": "x"}}, "yaxis": {"title": {"text": "y"}}},
    }
    figure = replace(figures.draw_cost_frontier(make_rows(["biregular"], [0.1])), spec=spec)
    (line,) = [container.lines[0] for container in draw_views.__wrapped__(figure, {"": {}}).axes[0].containers]
    assert (line.get_markerfacecolor(), line.get_markeredgecolor()) == ("none", "#0072B2")


@pytest.fixture
def views(monkeypatch):
    """Start of the file name -> the drawing that a report writes into that file."""
    drawings = {}

    def keep(*arguments, path):
        drawings[path.stem] = draw_views.__wrapped__(*arguments)
        return path

    monkeypatch.setattr(reporting.report_pictures, "draw_views", keep)
    return drawings


def test_each_density_is_a_panel_with_its_finding(views, tmp_path):
    reporting.draw_pictures(report(make_rows(["biregular", "rotating"], [0.1, 0.4])), tmp_path)
    by_metric, curves = views[f"score_by_{GAP}"], views["training_curves"]
    assert len(by_metric.axes) == len(curves.axes) == 2
    for axis, curve, density in zip(by_metric.axes, curves.axes, ("10 %", "40 %"), strict=True):
        assert set(lines(axis)) == {"biregular", "rotating"}  # dense nets have no graph
        np.testing.assert_allclose(lines(axis)["biregular"], [[0, 90], [0.1, 90.2]])
        np.testing.assert_allclose(lines(axis)["rotating"], [[1, 91], [1.1, 91.2]])
        assert axis.get_title() == f"density {density}\n$\\rho$ = +1.00, n = 4"
        assert curve.get_title() == f"density {density}"
        assert set(lines(curve)) == {"dense", "dense narrow", "biregular", "rotating"}
    assert len(views["score_by_density"].axes) == 1


def test_a_metric_that_ranks_nothing_says_so(views, tmp_path):
    rows = [replace(row, metrics={GAP: 1.0}) if row.metrics else row for row in make_rows(["biregular"], [0.1])]
    reporting.draw_pictures(report(rows, (0.1,)), tmp_path)
    assert views[f"score_by_{GAP}"].axes[0].get_title() == "density 10 %\nno ranking possible, n = 2"
