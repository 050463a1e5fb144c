"""A layer's spectral gap and the whole network's spectral gap can rank families in opposite order.

Each network has two layers of 256 units and fan-in 16. Random layers mix their inputs well, each alone and both
together. The layers of a RadiX-Net, and grouped layers with a shuffle, fall apart into blocks: one layer alone hardly
mixes at all. But both layers together join every input to every output by exactly one path, and no network of this
size can do better. A contiguous band mixes neither alone nor twice. So a study that measures layers only would rank the
best networks last.

For each network the table has four figures: the relative spectral gap of its layers (their mean), the relative spectral
gap of the layers' product, the coefficient of variation of the number of paths over all pairs of input and output, and
the share of pairs that are joined by a path. Figures in brackets are from an earlier computation. Run it with

    python examples/layer_and_product_gap.py

It takes a few seconds and needs nothing but prewired.
"""

from typing import NamedTuple

import prewired as pw

N, FAN_IN = 256, 16

REFERENCE = {
    "biregular": ("0.53", "0.85", "0.94", "66"),
    "rotating": ("0.006", "0.013", "3.1", "12"),
    "radix_net": ("0", "1.0", "0", "100"),
    "grouped_shuffle": ("0", "1.0", "", ""),
}
"""Layer gap, product gap, path CV and reach in per cent from an earlier computation, with its number of digits."""

RANDOM = ("biregular", "constant_fan_in", "erdos_renyi", "watts_strogatz")
ONE_LAYER = ("rotating", "fibonacci")
SEVERAL_LAYERS = ("grouped_shuffle", "radix_net", "butterfly", "de_bruijn_tower")


class Row(NamedTuple):
    """One network and its figures."""

    family: str
    units: int
    fan_in: int
    layer_gap: float
    product_gap: float
    path_cv: float
    reach: float


def wire_networks() -> dict[str, list[pw.Topology]]:
    """Return the topologies of each network by the name of its family, random families first."""
    layers = {
        family: pw.nn.wire([N] * 3, family=family, fan_in=FAN_IN, seed=0, dense_output=False)
        for family in (*RANDOM, *ONE_LAYER, *SEVERAL_LAYERS)
    }
    return {**layers, "lps_tower": pw.generators.make_network("lps_tower", sizes=[1092] * 3, fan_in=18)}


def measure_row(family: str, layers: list[pw.Topology]) -> Row:
    """Measure one network."""
    return Row(
        family,
        layers[0].n_in,
        round(layers[0].n_edges / layers[0].n_out),
        sum(pw.metrics.relative_spectral_gap(t) for t in layers) / len(layers),
        pw.metrics.relative_product_spectral_gap(layers),
        pw.metrics.path_cv(layers),
        100 * pw.metrics.reachable_share(layers),
    )


def format_row(row: Row) -> str:
    """Format a row of the table, with the earlier figures in brackets."""
    formats = (".3f", ".3f", ".2f", ".0f")
    reference = REFERENCE.get(row.family, ("",) * 4)
    cells = [f"{x:>8{f}} {f'({k})' if k else '':<8}" for x, f, k in zip(row[3:], formats, reference, strict=True)]
    return f"{row.family:<18}{row.units:>6}{row.fan_in:>8}{''.join(cells)}".rstrip()


def main() -> None:
    """Print the table."""
    for names in (
        ("family", "units", "fan-in", "layer", "product", "path", "reach"),
        ("", "", "", "gap", "gap", "CV", "%"),
    ):
        print((f"{names[0]:<18}{names[1]:>6}{names[2]:>8}" + "".join(f"{x:>8}{'':<9}" for x in names[3:])).rstrip())
    for family, layers in wire_networks().items():
        print(format_row(measure_row(family, layers)))


if __name__ == "__main__":
    main()
