"""Families of topologies: plain functions (n_in, n_out, *, fan_in= | density=, ..., seed=) -> Topology."""

from .circulants import circulant, random_circulant
from .controls import permute_inputs, shuffle_edges, shuffle_within_layer
from .cutting import cut
from .degrees import degree_sequence
from .expanders import lps, margulis
from .geometries import array_code, generalized_hexagon, generalized_quadrangle, projective_plane
from .hubs import barabasi_albert
from .ldpc import n_of_m, peg
from .lifts import lift, permutations, ramanujan
from .local import receptive_field, swap_ladder, watts_strogatz
from .multilayer import wired
from .operations import OPERATIONS
from .products import block_lift, kronecker
from .profiles import lognormal, power_law, profile
from .random import biregular, constant_fan_in, constant_fan_out, erdos_renyi, erdos_renyi_p
from .registry import (
    GENERATORS,
    SHAPES,
    STAGES,
    from_recipe,
    generator,
    known,
    make,
    parameters,
    share_changed,
    takes_seed,
)
from .rewiring import Rewired, rewire
from .stages import benes, butterfly, de_bruijn_tower, grouped_shuffle, lps_tower, radix_net
from .structured import dense, fibonacci, grouped, rotating
from .switches import butterfly_stage, de_bruijn, flat_butterfly, kautz, radix, shuffle
from .walk import swap_edges
from .windows import banded, toeplitz, window2d

__all__ = [
    "GENERATORS",
    "OPERATIONS",
    "SHAPES",
    "STAGES",
    "Rewired",
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
    "fibonacci",
    "flat_butterfly",
    "from_recipe",
    "generalized_hexagon",
    "generalized_quadrangle",
    "generator",
    "grouped",
    "grouped_shuffle",
    "kautz",
    "known",
    "kronecker",
    "lift",
    "lognormal",
    "lps",
    "lps_tower",
    "make",
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
    "wired",
]
