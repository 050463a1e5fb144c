"""The pictures: written, of the expected size, and true to the data they show."""

import math
import struct

import numpy as np
import pytest

from prewired import generators, plots
from prewired.statistics import Row, correlate
from prewired.training import Run, TrainConfig

FAMILIES = ["erdos_renyi", "constant_fan_in", "biregular", "rotating", "fibonacci", "grouped"]


def make_rows(families, densities, score_name="accuracy", epochs=3):
    def row(label, density, graph_seed, score, metrics):
        curve = tuple(score - 0.1 * math.exp(-epoch) for epoch in range(epochs))
        curves = dict.fromkeys(("train_loss", "val_loss", "val_score", "seconds"), curve)
        run = Run(TrainConfig(epochs=epochs), score_name, 100, **curves, test_loss=0.1, test_score=score)
        digests = (f"{label} {density} {graph_seed}",) if metrics else ()
        return Row(label, density, graph_seed, 0, run, 400, "m", metrics, digests=digests)

    rows = [row("dense", None, None, 0.98, {})]
    for density in densities:
        rows.append(row("dense narrow", density, None, 0.9, {}))
        for place, family in enumerate(families):
            rows += [row(family, density, g, 0.9 + place / 100 + g / 500, {"gap": place + g / 10}) for g in range(2)]
    return rows


def png_size(path):
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", header[16:24])


@pytest.mark.parametrize(
    ("families", "densities", "score_name"),
    [(FAMILIES[:1], [0.05], "accuracy"), (FAMILIES, [0.02, 0.05, 0.1, 0.4], "accuracy"), (FAMILIES, [0.1], "r2")],
)
def test_pictures_of_rows(tmp_path, families, densities, score_name):
    rows = make_rows(families, densities, score_name)
    paths = [
        plots.score_by_density(rows, path=tmp_path / "density.png"),
        plots.score_by_metric(rows, "gap", correlate(rows), path=tmp_path / "gap.png"),
        plots.training_curves(rows, path=tmp_path / "curves.png"),
    ]
    for path in paths:
        width, height = png_size(path)
        assert 600 <= width <= 3000
        assert 450 <= height <= 2000
        assert path.stat().st_size > 5000


def drawn(axis):
    """Label -> points of every labelled line; error bars carry theirs on their container."""
    lines = {str(line.get_label()): line.get_xydata() for line in axis.lines}
    lines |= {container.get_label(): container.lines[0].get_xydata() for container in axis.containers}
    return {label: points for label, points in lines.items() if not label.startswith("_")}


def test_score_by_density_shows_means_and_spreads():
    axis = plots.score_by_density.__wrapped__(make_rows(["biregular", "rotating"], [0.1, 0.4])).axes[0]
    lines = drawn(axis)
    assert set(lines) == {"dense", "dense narrow", "biregular", "rotating"}
    np.testing.assert_allclose(lines["dense"][:, 1], [98, 98])
    np.testing.assert_allclose(lines["dense narrow"], [[0.1, 90], [0.4, 90]])
    np.testing.assert_allclose(lines["biregular"][:, 1], [90.1, 90.1])  # mean of 90 and 90.2
    np.testing.assert_allclose(lines["rotating"][:, 1], [91.1, 91.1])
    np.testing.assert_allclose(lines["biregular"][:, 0], [0.1, 0.4], rtol=0.12)
    assert (lines["biregular"][:, 0] < lines["rotating"][:, 0]).all()
    (bar, _) = axis.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(bar[:, 1], [90.1 - 0.2 / math.sqrt(2), 90.1 + 0.2 / math.sqrt(2)])


def test_score_by_metric_shows_every_graph_and_the_finding():
    rows = make_rows(["biregular", "rotating"], [0.1, 0.4])
    figure = plots.score_by_metric.__wrapped__(rows, "gap", correlate(rows))
    assert len(figure.axes) == 2
    for axis, density in zip(figure.axes, ("10 %", "40 %"), strict=True):
        np.testing.assert_allclose(drawn(axis)["biregular"], [[0, 90], [0.1, 90.2]])
        np.testing.assert_allclose(drawn(axis)["rotating"], [[1, 91], [1.1, 91.2]])
        assert axis.get_title() == f"density {density}\n$\\rho$ = +1.00, p = 0.083, n = 4"


def test_training_curves_show_means_over_runs():
    figure = plots.training_curves.__wrapped__(make_rows(["biregular"], [0.1], epochs=2))
    lines = drawn(figure.axes[0])
    assert set(lines) == {"dense", "dense narrow", "biregular"}
    np.testing.assert_allclose(lines["biregular"], [[1, 90.1 - 10], [2, 90.1 - 10 / math.e]])
    np.testing.assert_allclose(lines["dense"], [[1, 98 - 10], [2, 98 - 10 / math.e]])


def test_biadjacency_shows_the_edges():
    topology = generators.rotating(30, 20, fan_in=3)
    (image,) = plots.biadjacency.__wrapped__({"rotating": topology}, "a title").axes[0].images
    np.testing.assert_array_equal(image.get_array(), topology.biadjacency().toarray())


def test_more_densities_make_a_larger_picture(tmp_path):
    few, many = make_rows(FAMILIES, [0.1]), make_rows(FAMILIES, [0.1, 0.2, 0.3])
    one = plots.score_by_metric(few, "gap", correlate(few), path=tmp_path / "one.png")
    three = plots.score_by_metric(many, "gap", correlate(many), path=tmp_path / "three.png")
    assert png_size(three)[0] > 2 * png_size(one)[0] - 400


def test_biadjacency_picture(tmp_path):
    topologies = {"rotating": generators.rotating(50, 40, fan_in=5), "grouped": generators.grouped(50, 40, fan_in=5)}
    assert min(png_size(plots.biadjacency(topologies, "two", path=tmp_path / "b.png"))) > 400


def test_blocks_hold_every_edge_and_small_graphs_are_shown_exactly():
    small = generators.fibonacci(30, 20, fan_in=4)
    np.testing.assert_array_equal(plots.block_shares(small), small.biadjacency().toarray())
    large = generators.rotating(300, 500, fan_in=7)
    shares = plots.block_shares(large, resolution=100)
    assert shares.shape == (100, 100)
    assert shares.sum() * (3 * 5) == pytest.approx(large.n_edges)


def test_every_family_has_its_own_look():
    names = [name for name in (*generators.GENERATORS, *generators.STAGES) if name != "dense"]
    assert len({plots.style(name) for name in names}) == len(names)
    assert len({plots.style(name)[0] for name in FAMILIES}) == len(FAMILIES)
