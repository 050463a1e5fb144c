"""The pictures: written, of the expected size, and true to the data they show."""

import struct
from inspect import signature

import numpy as np
import pytest

from prewired import Topology, generators, plots
from prewired.metrics import random_matrix

FAMILIES = ["erdos_renyi", "constant_fan_in", "biregular", "rotating", "fibonacci", "grouped"]


def png_size(path):
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", header[16:24])


def drawn(axis):
    """Label -> points of every labelled line."""
    return {label: line.get_xydata() for line in axis.lines if not (label := str(line.get_label())).startswith("_")}


def test_variants_have_the_colour_and_the_marker_of_their_family():
    assert plots.style("biregular, permuted") == plots.style("biregular") != plots.style("rotating, permuted")


def test_biadjacency_shows_the_edges():
    topology = generators.rotating(30, 20, fan_in=3)
    (image,) = plots.biadjacency.__wrapped__({"rotating": topology}, "a title").axes[0].images
    np.testing.assert_array_equal(image.get_array(), topology.biadjacency().toarray())


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
    names = [name for name in (*generators.GENERATORS, *generators.NETWORK_FAMILIES) if name != "dense"]
    assert len({plots.style(name) for name in names}) == len(names)
    assert len({plots.style(name)[0] for name in FAMILIES}) == len(FAMILIES)


ODD = {
    "one row": Topology(9, 1, [0, 4], [0, 3, 4, 8]),
    "dense": generators.dense(20, 30),
    "empty": Topology(5, 4, [0] * 5, []),
    "matching": generators.rotating(64, 64, fan_in=1),
    "one cell": generators.dense(1, 1),
}


@pytest.mark.parametrize("several", [False, True])
def test_pictures_of_odd_graphs(tmp_path, several):
    sets = [ODD] if several else [{name: t} for name, t in ODD.items()]
    for shown in sets:
        paths = [plots.singular_values(shown, path=tmp_path / "s.png"), plots.degrees(shown, path=tmp_path / "d.png")]
        if not several:
            (only,) = shown.values()
            paths.append(plots.path_counts([only], path=tmp_path / "p.png"))
        for path in paths:
            width, height = png_size(path)
            assert 400 <= width <= 3000
            assert 300 <= height <= 2500


def bars(axis):
    """Left ends, widths and heights of the bars."""
    return np.array([(bar.get_x(), bar.get_width(), bar.get_height()) for bar in axis.patches if bar.get_width()]).T


def test_singular_values_show_the_histogram_the_law_and_the_leading_two():
    t = generators.biregular(120, 100, fan_in=6, seed=0)
    axis = plots.singular_values.__wrapped__({"mine": t}).axes[0]
    left, width, height = bars(axis)
    values = random_matrix.singular_values(t)
    np.testing.assert_allclose(
        height * width * 100, [((a <= values) & (values < a + w)).sum() for a, w in zip(left, width, strict=True)]
    )
    lines = drawn(axis)
    x, f = lines["random biregular graph"].T
    np.testing.assert_allclose(f, random_matrix.biregular_law(x, 6, 5, density=0.05))
    np.testing.assert_allclose(lines["$\\sigma_2$"][:, 0], values[1])
    np.testing.assert_allclose(lines["$\\sigma_1$"][:, 0], values[0])
    assert axis.get_title() == f"mine\n$\\sigma_1$ = 5.477, $\\sigma_2$ = {values[1]:.4g}"


def test_a_distant_sigma1_is_an_arrow_and_a_high_bar_is_cut_off():
    far = plots.singular_values.__wrapped__(generators.biregular(200, 200, fan_in=40, seed=0)).axes[0]
    assert "$\\sigma_1$" not in drawn(far)
    assert far.get_xlim()[1] < 40
    assert [text.get_text() for text in far.texts] == ["$\\sigma_1$"]
    high = plots.singular_values.__wrapped__(generators.grouped(100, 100, fan_in=10)).axes[0]
    assert [text.get_text() for text in high.texts] == ["90 %"]
    assert high.get_ylim()[1] < bars(high)[2].max()


def test_large_graphs_show_the_estimated_density(monkeypatch):
    t = generators.biregular(120, 100, fan_in=6, seed=0)
    monkeypatch.setattr(random_matrix, "MOST_CELLS_OF_SVD", 100)
    left, width, height = bars(plots.singular_values.__wrapped__(t).axes[0])
    expected, _ = random_matrix.singular_value_density(t, np.append(left, left[-1] + width[-1]))
    np.testing.assert_allclose(height, expected)


def test_degrees_show_every_unit():
    t = generators.erdos_renyi(300, 200, fan_in=4, seed=0)
    fan_in, fan_out = plots.degrees.__wrapped__({"mine": t}).axes
    for axis, counts, side in ((fan_in, t.fan_in, "fan-in"), (fan_out, t.fan_out, "fan-out")):
        left, width, height = bars(axis)
        np.testing.assert_array_equal(width, 1)
        np.testing.assert_array_equal(height, np.bincount(counts, minlength=counts.min() + len(left))[counts.min() :])
        assert left[0] == counts.min() - 0.5
        assert axis.get_title() == f"mine {side} {counts.min()} to {counts.max()}, mean {counts.mean():.4g}"
    hubs = Topology.from_edges(200, 150, [(0, k) for k in range(150)] + [(k, k % 150) for k in range(1, 200)])
    axis = plots.degrees.__wrapped__({"hubs": hubs}).axes[1]
    assert axis.get_yscale() == "log"
    assert len(bars(axis)[0]) <= 60
    assert bars(axis)[2].sum() == 200


def test_path_counts_show_the_metric():
    net = [generators.biregular(60, 50, fan_in=6, seed=0), generators.rotating(50, 300, fan_in=3)]
    figure = plots.path_counts.__wrapped__(net)
    (image,) = figure.axes[0].images
    product = net[1].biadjacency() @ net[0].biadjacency()
    assert image.get_array().shape == (160, 60)
    assert image.get_extent() == [0, 60, 300, 0]
    np.testing.assert_allclose(image.get_array().mean(), 1, rtol=0.05)  # blocks are of one and of two outputs
    np.testing.assert_allclose(image.get_array()[0] * product.mean(), product.toarray()[:1].mean(axis=0))
    assert figure.axes[0].get_title() == "60 -> 50 -> 300, $10^{3.73}$ paths"


def test_large_faint_graphs_are_shaded_up_to_their_largest_share():
    shown = plots.biadjacency.__wrapped__({"large": generators.rotating(30_000, 30_000, fan_in=3)}, "title").axes[0]
    (image,) = shown.images
    assert image.norm.vmax == image.get_array().max() < 0.05
    shown.figure.canvas.draw()
    assert "10 k" in [tick.get_text() for tick in shown.get_xticklabels()]
    (image,) = plots.biadjacency.__wrapped__({"small": generators.rotating(30, 30, fan_in=3)}, "title").axes[0].images
    assert image.norm.vmax == 1


@pytest.mark.parametrize("name", ["us$_{eur$", "日本", "a\tb\x1b[31m"])
def test_names_are_no_formulas_and_no_fault(tmp_path, name):
    topologies = {name: generators.rotating(6, 6, fan_in=2)}
    for path in (
        plots.biadjacency(topologies, name, path=tmp_path / "b.png"),
        plots.singular_values(topologies, path=tmp_path / "s.png"),
        plots.degrees(topologies, path=tmp_path / "d.png"),
    ):
        assert min(png_size(path)) > 100


@pytest.mark.parametrize(
    "draw", [plots.degrees, plots.singular_values, lambda t, path: plots.biadjacency(t, "", path=path)]
)
def test_what_cannot_be_drawn(tmp_path, draw):
    with pytest.raises(ValueError, match="at least one topology to draw, got none"):
        draw({}, path=tmp_path / "x.png")
    with pytest.raises(TypeError, match="expected titles and topologies, got list"):
        draw([generators.dense(2, 2)], path=tmp_path / "x.png")


def test_the_signature_names_the_path():
    assert list(signature(plots.degrees).parameters) == ["topologies", "path"]
