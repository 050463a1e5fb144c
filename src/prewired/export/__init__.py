"""Networks for elsewhere: ONNX files, C files, programs of torch; each is run and compared before it takes its place.

Without a C compiler a C file is not, which its result says.
"""

from .c_file.writer import c
from .layers import Layer, layers
from .onnx_file.writer import onnx
from .program import package, program

__all__ = ["Layer", "c", "layers", "onnx", "package", "program"]
