"""Write docs/gallery.md and its pictures: every family of the registry, drawn and measured on one example; operations.

python docs/gallery.py
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from PIL import Image

from prewired import generators, metrics
from prewired.generators import AVAILABLE_SIZES, NETWORK_FAMILIES, catalogue
from prewired.plots import block_shares
from prewired.topology.topology import Recipe, Topology

HERE = Path(__file__).parent
N, FAN_IN = 128, 8
PIXELS = 256
OWN: dict[str, dict[str, Any]] = {  # parameters that have no default, or look better so
    "dense": {"fan_in": None},
    "degree_sequence": {"fan_in": None, "fan_ins": [4, 12] * (N // 2), "fan_outs": [2, 6, 8, 16] * (N // 4)},
    "butterfly_stage": {"stage": 1, "radix": 8},
    "radix": {"fan_in": None, "radices": [16, 8], "position": 1},
    "profile": {"inputs": [1, 3, 1]},
    "circulant": {"offsets": "powers_of_two"},
    "window2d": {"n_in": 144, "n_out": 144, "fan_in": 9},
    "toeplitz": {"fan_in": None, "offsets": [-40, -9, -2, 0, 1, 5, 14, 33]},
}
SIZES = {"lps_tower": [1092] * 3}
HEAD = f"""# Gallery

Written by `make gallery` (docs/gallery.py); do not edit. One example of each family, near {N} inputs, {N} outputs and
fan-in {FAN_IN} where the family has one: outputs are rows, inputs are columns, a dark pixel is an edge.

*Gap* is the relative spectral gap 1 - sigma2/sigma1 of the biadjacency, *connectivity* the algebraic connectivity,
*4-cycles* the number of pairs of outputs that share a pair of inputs, each such pair once. *Product gap* is the
relative gap of the product of two layers: two draws of a random family; elsewhere the graph twice, the second time
reversed where it is not square; of a family of several layers, the whole network. One layer's gap and the network's
can rank families in opposite order. Of several layers the first is measured, and the first three are drawn."""
OPERATIONS_HEAD = (
    """Graphs made from graphs: first what an operation starts from, last what it makes, which is measured."""
)
COLUMNS = ("", "family", "fan-in", "fan-out", "gap", "connectivity", "4-cycles", "product gap")
TITLES = {"one": "One layer", "several": "Several layers"}


def main() -> None:
    """Draw, measure and write."""
    pictures = HERE / "gallery"
    pictures.mkdir(exist_ok=True)
    for stale in pictures.glob("*.png"):
        stale.unlink()
    blocks = [HEAD]
    for kind, title in TITLES.items():
        lines = [COLUMNS, ["---"] * len(COLUMNS)]
        for row in catalogue.list_entries():
            if row.layers == kind:
                layers = example(row.name)
                draw(layers[:3]).save(pictures / f"{row.name}.png", optimize=True)
                lines.append(cells(row, layers))
                print(*lines[-1][1:], sep=" | ", flush=True)
        blocks += [f"## {title}", table(lines)]
    lines = [("", "operation", *COLUMNS[2:-1]), ["---"] * (len(COLUMNS) - 1)]
    for name, graphs in operations().items():
        draw(graphs).save(pictures / f"{name}.png", optimize=True)
        lines.append(operation_cells(name, graphs[-1]))
        print(*lines[-1][1:], sep=" | ", flush=True)
    blocks += ["## Operations", OPERATIONS_HEAD, table(lines)]
    (HERE / "gallery.md").write_text("\n\n".join(blocks) + "\n")


def table(lines: list[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def example(name: str, seed: int = 0) -> list[Topology]:
    """The layers of one example of a family."""
    if name in NETWORK_FAMILIES:
        return generators.make_network(name, sizes=SIZES.get(name, [64] * 4))
    own = OWN.get(name, {})
    if name in AVAILABLE_SIZES:
        shapes = list(AVAILABLE_SIZES[name](2 * N, **own)) or list(AVAILABLE_SIZES[name](3000, **own))
        shape = min(shapes, key=lambda s: abs(np.log([s.n_in / N, s.n_out / N, s.fan_in / FAN_IN])).sum())
        several = sum((s.n_in, s.n_out) == (shape.n_in, shape.n_out) for s in shapes) > 1
        fan_in = {"fan_in": round(shape.fan_in)} if several else {}
        return [generators.make(name, n_in=shape.n_in, n_out=shape.n_out, **fan_in, **own)]
    seeds = {"seed": seed} if generators.takes_seed(name) else {}
    request = {"n_in": N, "n_out": N, "fan_in": FAN_IN, **seeds, **own}
    return [generators.make(name, **{key: value for key, value in request.items() if value is not None})]


def cells(row: catalogue.FamilyEntry, layers: list[Topology]) -> tuple[str, ...]:
    """The cells of one family."""
    first, width = layers[0], 160 if row.layers == "one" else 360
    size = "-".join(str(n) for n in (first.n_in, *(t.n_out for t in layers)))
    text = [
        f"**{row.name}**{', random' if row.random else ''}: {size}{parameters(first.recipe)}",
        in_markdown(row.summary if row.layers == "one" else f"{row.summary.partition(': ')[0]}."),
        f"Exists for {in_markdown(row.sizes)}{'' if row.sizes.endswith('.') else '.'}",
        row.reference and f"{row.reference}.",
    ]
    chain = layers if row.layers == "several" else two_layers(row, first)
    return (
        f'<img src="gallery/{row.name}.png" alt="{row.name}" width="{width}">',
        "<br>".join(part for part in text if part),
        *figures(first),
        f"{metrics.relative_product_spectral_gap(chain) + 0.0:.3f}",
    )


def figures(t: Topology) -> tuple[str, ...]:
    """What is measured of one graph."""
    return (
        span(t.fan_in),
        span(t.fan_out),
        f"{metrics.relative_spectral_gap(t) + 0.0:.3f}",
        f"{metrics.algebraic_connectivity(t) + 0.0:.3g}",
        f"{metrics.four_cycles(t):,.0f}",
    )


def operations() -> dict[str, list[Topology]]:
    """Operations by name: what each starts from and, last, what it makes."""
    band, small = generators.rotating(N, N, fan_in=FAN_IN), generators.biregular(32, 32, fan_in=4, seed=0)
    left, right = generators.rotating(8, 8, fan_in=2), generators.biregular(16, 16, fan_in=4, seed=0)
    return {
        "kronecker": [left, right, generators.kronecker(left, right)],
        "block_lift": [small, generators.block_lift(small, 4, 2)],
        "shuffle_edges": [band, generators.shuffle_edges(band, seed=0)],
        "permute_inputs": [band, generators.permute_inputs(band, seed=0)],
    }


def operation_cells(name: str, result: Topology) -> tuple[str, ...]:
    """The cells of one operation."""
    summary = (inspect.getdoc(getattr(generators, name)) or "").partition("\n")[0]
    return (
        f'<img src="gallery/{name}.png" alt="{name}" width="360">',
        f"**{name}**: {result.n_in}-{result.n_out}<br>{in_markdown(summary)}<br>`{result.recipe}`",
        *figures(result),
    )


def in_markdown(text: str) -> str:
    """Text of a docstring for the cell of a table."""
    return text.replace("**", "^").replace("|", "\\|")


def parameters(recipe: Recipe | None) -> str:
    """The family's own parameters, such as ", radix 2"."""
    assert recipe is not None
    shown = {k: v for k, v in recipe.parameters if k not in ("n_in", "n_out", "fan_in", "density", "seed", "fit")}
    return "".join(f", {name} {value if len(str(value)) < 50 else '...'}" for name, value in shown.items())


def two_layers(row: catalogue.FamilyEntry, first: Topology) -> list[Topology]:
    """The example and a second layer for it."""
    second = example(row.name, seed=1)[0] if row.random else first
    return [first, second if first.n_in == first.n_out else second.transpose()]


def span(degrees: np.ndarray) -> str:
    """Such as 8, or 3-12."""
    low, high = degrees.min(), degrees.max()
    return str(low) if low == high else f"{low}-{high}"


def draw(layers: list[Topology]) -> Image.Image:
    """The biadjacency matrices side by side, in the colours of the study's pictures."""
    tiles = []
    for t in layers:
        shares = block_shares(t, resolution=PIXELS)
        shares = np.sqrt(shares / shares.max())
        scale = max(1, round(PIXELS / max(shares.shape)))
        tile = np.kron(np.round(32 * shares).astype(np.uint8), np.ones((scale, scale), np.uint8))
        tiles += [np.full((tile.shape[0], 6), 33, np.uint8), tile]
    image = Image.fromarray(np.hstack(tiles[1:]), mode="P")
    colours = [colormaps["Blues"](k / 32)[:3] for k in range(33)]
    image.putpalette([round(255 * channel) for colour in (*colours, (1, 1, 1)) for channel in colour])
    return image


if __name__ == "__main__":
    main()
