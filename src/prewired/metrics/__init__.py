"""Metrics: plain functions of a topology, or of a list of topologies, that return a float or a Measurement."""

from .communities import barber_modularity, modularity
from .cuts import Cut, conductance, sweep_cut
from .cycles import four_cycle_ratio, four_cycles, girth, latapy_clustering, robins_alexander_clustering
from .degrees import (
    connected_components,
    dead_inputs,
    dead_outputs,
    density,
    duplicate_inputs,
    duplicate_outputs,
    fan_in_cv,
    fan_in_gini,
    fan_in_max,
    fan_in_min,
    fan_out_cv,
    fan_out_gini,
    fan_out_max,
    fan_out_min,
)
from .distances import diameter, mean_path_length
from .expander_bounds import imdb, is_ramanujan, narc, perron_difference, ramanujan_difference, random_ratio, rbgp_gap
from .expander_mixing import mixing_deviation
from .laplacian import algebraic_connectivity, fiedler_vector, normalized_algebraic_connectivity
from .measurement import Measurement
from .paths import effective_receptive_field, log_path_kernel_trace, log_paths, path_counts, path_cv, path_kernel_trace
from .product_spectrum import normalized_product_spectral_gap, product_spectral_gap, relative_product_spectral_gap
from .random_matrix import biregular_law, bulk, singular_value_density, singular_values
from .reachability import (
    dead_hidden_units,
    effective_edges,
    effective_nodes,
    reachable_share,
    receptive_field,
    unreachable_inputs,
    unreachable_outputs,
)
from .registry import METRICS, NETWORK_METRICS, WEIGHTED_METRICS, measure, measure_network
from .scatter import scatter
from .spectrum import (
    is_biregular,
    leading_singular_values,
    normalized_spectral_gap,
    ramanujan_ratio,
    relative_spectral_gap,
    spectral_gap,
)
from .weighted import effective_rank, relative_weighted_spectral_gap, stable_rank, weighted_spectral_gap

__all__ = [
    "METRICS",
    "NETWORK_METRICS",
    "WEIGHTED_METRICS",
    "Cut",
    "Measurement",
    "algebraic_connectivity",
    "barber_modularity",
    "biregular_law",
    "bulk",
    "conductance",
    "connected_components",
    "dead_hidden_units",
    "dead_inputs",
    "dead_outputs",
    "density",
    "diameter",
    "duplicate_inputs",
    "duplicate_outputs",
    "effective_edges",
    "effective_nodes",
    "effective_rank",
    "effective_receptive_field",
    "fan_in_cv",
    "fan_in_gini",
    "fan_in_max",
    "fan_in_min",
    "fan_out_cv",
    "fan_out_gini",
    "fan_out_max",
    "fan_out_min",
    "fiedler_vector",
    "four_cycle_ratio",
    "four_cycles",
    "girth",
    "imdb",
    "is_biregular",
    "is_ramanujan",
    "latapy_clustering",
    "leading_singular_values",
    "log_path_kernel_trace",
    "log_paths",
    "mean_path_length",
    "measure",
    "measure_network",
    "mixing_deviation",
    "modularity",
    "narc",
    "normalized_algebraic_connectivity",
    "normalized_product_spectral_gap",
    "normalized_spectral_gap",
    "path_counts",
    "path_cv",
    "path_kernel_trace",
    "perron_difference",
    "product_spectral_gap",
    "ramanujan_difference",
    "ramanujan_ratio",
    "random_ratio",
    "rbgp_gap",
    "reachable_share",
    "receptive_field",
    "relative_product_spectral_gap",
    "relative_spectral_gap",
    "relative_weighted_spectral_gap",
    "robins_alexander_clustering",
    "scatter",
    "singular_value_density",
    "singular_values",
    "spectral_gap",
    "stable_rank",
    "sweep_cut",
    "unreachable_inputs",
    "unreachable_outputs",
    "weighted_spectral_gap",
]
