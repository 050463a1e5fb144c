"""Families of topologies: plain functions (n_in, n_out, *, fan_in= | density=, ..., seed=) -> Topology."""

from .random import biregular, constant_fan_in, erdos_renyi
from .registry import GENERATORS, from_recipe, generator, make, parameters, takes_seed
from .structured import dense, fibonacci, grouped, rotating

__all__ = [
    "GENERATORS",
    "biregular",
    "constant_fan_in",
    "dense",
    "erdos_renyi",
    "fibonacci",
    "from_recipe",
    "generator",
    "grouped",
    "make",
    "parameters",
    "rotating",
    "takes_seed",
]
