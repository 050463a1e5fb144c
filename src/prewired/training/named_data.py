"""Names of a network's wiring compared with the names of the data, so that no input reads another feature."""

from collections.abc import Sequence

from torch import nn

from .data import Data


def compare_names(net: nn.Module, data: Data) -> None:
    """Raise ValueError if the network's inputs or outputs have names, and the data have them in another order.

    The first layer with weights reads the features, the last gives the classes. Names are compared where both sides
    have them: a wiring from a table of names, and data from a table. Features of arrays have no names of their own.
    Outputs are compared with classes if they are the same names.
    """
    layers = [module for module in net.modules() if next(module.parameters(recurse=False), None) is not None]
    if not layers:
        return
    first, last = (getattr(getattr(layers[k], "topology", None), "names", None) for k in (0, -1))
    if first is not None and data.has_feature_names and first.inputs != data.feature_names:
        where = describe_mismatch(first.inputs, data.feature_names)
        raise ValueError(
            f"expected the inputs of the network in the order of the features of {data.name}, got {where}; make the "
            "topology with inputs=data.feature_names, or put it in order with prewired.io.align(topology, "
            "data.feature_names)"
        )
    if last is not None and last.outputs != data.classes and sorted(last.outputs) == sorted(data.classes):
        raise ValueError(
            f"expected the outputs of the network in the order of the classes of {data.name}, got "
            f"{describe_mismatch(last.outputs, data.classes)}; make the topology with outputs=data.classes"
        )


def describe_mismatch(names: Sequence[str], expected: Sequence[str]) -> str:
    """Return where two sequences of names differ first, in words.

    Example:
        >>> describe_mismatch(["MYC", "TP53"], ["MYC", "EGFR"])
        "'TP53' as number 2, where the data have 'EGFR'"
    """
    for k, (own, other) in enumerate(zip(names, expected, strict=False), 1):
        if own != other:
            return f"{own!r} as number {k}, where the data have {other!r}"
    return f"{len(names)} names for {len(expected)} in the data"
