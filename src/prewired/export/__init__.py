"""Networks for elsewhere: ONNX files, C files, programs of torch; each verified before it takes its place."""

from .c_file import c
from .layers import Layer, layers
from .onnx_file import onnx
from .program import package, program

__all__ = ["Layer", "c", "layers", "onnx", "package", "program"]
