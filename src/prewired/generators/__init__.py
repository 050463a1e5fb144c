"""Families of topologies: plain functions (n_in, n_out, *, fan_in= | density=, ..., seed=) -> Topology."""

from ._internal.costs import Cost, estimate_cost
from ._internal.multistage import make_network
from ._internal.registry import (
    AVAILABLE_SIZES,
    GENERATORS,
    NETWORK_FAMILIES,
    from_recipe,
    get_family,
    lookup,
    make,
    parameters,
    share_changed,
    takes_seed,
)
from ._internal.transforms import TRANSFORMS
from .circulants import circulant, random_circulant
from .cutting import cut
from .degree_distributions import lognormal, power_law, profile
from .degree_sequence import degree_sequence
from .expanders import lps, margulis
from .geometries import array_code, generalized_hexagon, generalized_quadrangle, projective_plane
from .ldpc import n_of_m, peg
from .lifts import lift, permutations, ramanujan
from .multistage_layers import butterfly_stage, de_bruijn, flat_butterfly, kautz, radix, shuffle
from .multistage_networks import benes, butterfly, de_bruijn_tower, grouped_shuffle, lps_tower, radix_net
from .null_models import permute_inputs, shuffle_edges, shuffle_within_layer
from .preferential_attachment import barabasi_albert
from .products import block_lift, kronecker
from .random import biregular, constant_fan_in, constant_fan_out, erdos_renyi, erdos_renyi_p
from .rewiring import Rewiring, rewire
from .small_world import receptive_field, swap_ladder, watts_strogatz
from .structured import dense, fibonacci, grouped, rotating
from .swap_walk import swap_edges
from .windows import banded, toeplitz, window2d

__all__ = [
    "AVAILABLE_SIZES",
    "GENERATORS",
    "NETWORK_FAMILIES",
    "TRANSFORMS",
    "Cost",
    "Rewiring",
    "array_code",
    "banded",
    "barabasi_albert",
    "benes",
    "biregular",
    "block_lift",
    "butterfly",
    "butterfly_stage",
    "circulant",
    "constant_fan_in",
    "constant_fan_out",
    "cut",
    "de_bruijn",
    "de_bruijn_tower",
    "degree_sequence",
    "dense",
    "erdos_renyi",
    "erdos_renyi_p",
    "estimate_cost",
    "fibonacci",
    "flat_butterfly",
    "from_recipe",
    "generalized_hexagon",
    "generalized_quadrangle",
    "get_family",
    "grouped",
    "grouped_shuffle",
    "kautz",
    "kronecker",
    "lift",
    "lognormal",
    "lookup",
    "lps",
    "lps_tower",
    "make",
    "make_network",
    "margulis",
    "n_of_m",
    "parameters",
    "peg",
    "permutations",
    "permute_inputs",
    "power_law",
    "profile",
    "projective_plane",
    "radix",
    "radix_net",
    "ramanujan",
    "random_circulant",
    "receptive_field",
    "rewire",
    "rotating",
    "share_changed",
    "shuffle",
    "shuffle_edges",
    "shuffle_within_layer",
    "swap_edges",
    "swap_ladder",
    "takes_seed",
    "toeplitz",
    "watts_strogatz",
    "window2d",
]
