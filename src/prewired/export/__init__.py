"""Export networks: ONNX files, C files, programs of torch. Every file is run and compared before it is put in place.

If no C compiler is found, the C file is written but not verified; the returned CFile says so. Importing this package
registers the compiled operators, which a program of torch needs when it is loaded.
"""

from .c_file.writer import CFile, c
from .layer_chain import Layer, list_layers
from .onnx_file.writer import OnnxFile, onnx
from .torch_program import load_program, package, program

__all__ = ["CFile", "Layer", "OnnxFile", "c", "list_layers", "load_program", "onnx", "package", "program"]
