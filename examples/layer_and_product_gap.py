"""A layer's spectral gap and the whole network's can rank families in opposite order.

Two layers of 256 units and fan-in 16, wired in many ways. Random layers mix well, each and together. The layers of a
RadiX-Net or of grouped layers with a shuffle fall apart into blocks, or nearly: alone they hardly mix at all. But
together they join every input to every output by exactly one path, which is the best there is. A contiguous band mixes
neither alone nor twice. So a study that measures layers only would call the best networks the worst.

For each network the table has the relative spectral gap of its layers (their mean) and of their product, the
coefficient of variation of the number of paths over all pairs of input and output, and the share of pairs that any path
joins; in brackets, for some, figures known from elsewhere. Run it with

    python examples/layer_and_product_gap.py

It takes a few seconds and needs nothing but prewired.
"""

from typing import NamedTuple

import prewired as pw

N, FAN_IN = 256, 16

KNOWN = {
    "biregular": ("0.53", "0.85", "0.94", "66"),
    "rotating": ("0.006", "0.013", "3.1", "12"),
    "radix_net": ("0", "1.0", "0", "100"),
    "grouped_shuffle": ("0", "1.0", "", ""),
}
"""Layer gap, product gap, path CV and reach in per cent, as they were found before, in the digits that were given."""

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


def networks() -> dict[str, list[pw.Topology]]:
    """The networks by their families' names, random ones first."""
    layers = {
        family: pw.nn.wire([N] * 3, family=family, fan_in=FAN_IN, seed=0, dense_output=False)
        for family in (*RANDOM, *ONE_LAYER, *SEVERAL_LAYERS)
    }
    return {**layers, "lps_tower": pw.generators.make_network("lps_tower", sizes=[1092] * 3, fan_in=18)}


def measured(family: str, layers: list[pw.Topology]) -> Row:
    """The figures of a network."""
    return Row(
        family,
        layers[0].n_in,
        round(layers[0].n_edges / layers[0].n_out),
        sum(pw.metrics.relative_spectral_gap(t) for t in layers) / len(layers),
        pw.metrics.relative_product_spectral_gap(layers),
        pw.metrics.path_cv(layers),
        100 * pw.metrics.reachable_share(layers),
    )


def line(row: Row) -> str:
    """A row of the table, known figures in brackets beside ours."""
    formats = (".3f", ".3f", ".2f", ".0f")
    known = KNOWN.get(row.family, ("",) * 4)
    cells = [f"{x:>8{f}} {f'({k})' if k else '':<8}" for x, f, k in zip(row[3:], formats, known, strict=True)]
    return f"{row.family:<18}{row.units:>6}{row.fan_in:>8}{''.join(cells)}".rstrip()


def main() -> None:
    """Print the table."""
    for names in (
        ("family", "units", "fan-in", "layer", "product", "path", "reach"),
        ("", "", "", "gap", "gap", "CV", "%"),
    ):
        print((f"{names[0]:<18}{names[1]:>6}{names[2]:>8}" + "".join(f"{x:>8}{'':<9}" for x in names[3:])).rstrip())
    for family, layers in networks().items():
        print(line(measured(family, layers)))


if __name__ == "__main__":
    main()
