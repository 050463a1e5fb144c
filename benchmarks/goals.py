"""What was wanted beforehand, beside what is measured."""

from .generation import BIREGULAR
from .layer import FORWARD, STEP
from .peers import FEATURE_MAJOR, ROW_MAJOR

LAYER_GOALS = {  # density: row-major forward, forward+backward, feature-major forward, forward+backward
    0.01: (10, 11, 22, 25),
    0.05: (5, 6.5, 8, 10),
    0.1: (3.5, 4.2, 4.7, 5.5),
    0.2: (2.5, 2.8, 3, 3.3),
    0.3: (1.8, 2.0, 2.1, 2.3),
    0.5: (0.95, 0.95, 0.95, 0.95),
    1.0: (0.95, 0.95, 0.95, 0.95),
}
PEER_GOALS = {  # peer: contender, pass, at least so many times as fast
    "SparseProp": (ROW_MAJOR, STEP, 3),
    "torch CSR": (ROW_MAJOR, STEP, 4),
    "SparseLab": (ROW_MAJOR, STEP, 1),
    "MKL SpMM": (FEATURE_MAJOR, FORWARD, 1.3),
}
PEER_DENSITIES = (0.01, 0.2)
NETWORK_GOALS = {0.01: 11, 0.05: 5.5, 0.1: 3.8}  # density: times as fast as dense
WIDE_GOALS = {"65,536 random": {"ms": 180, "MB": 700}, "65,536 local": {"ms": 90, "MB": 700}}  # at most
GENERATION_GOALS = {(BIREGULAR, 10**6, 32): {"s": 10, "MB": 410}}  # at most; three times its own size
SPECTRA_GOALS = {("biregular", 10**6, 32): {"s": 120, "MB": 6000}}  # at most, for a relative error of 1e-6
