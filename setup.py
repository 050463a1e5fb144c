"""The compiled parts: the kernels, as torch operators through the LibTorch stable ABI, and row sums for the metrics.

No CPython in either: one wheel serves every version.
"""

from setuptools import Extension, setup
from torch.utils.cpp_extension import include_paths, library_paths

FLAGS = ["-O3", "-std=c++20", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra"]

kernels = Extension(
    "prewired.ops._kernels",
    sources=["csrc/kernels.cpp"],
    depends=["csrc/loops.h"],
    include_dirs=include_paths(),
    library_dirs=library_paths(),
    libraries=["torch_cpu"],
    define_macros=[("TORCH_TARGET_VERSION", "0x020a000000000000")],
    extra_compile_args=FLAGS,
    py_limited_api=True,
)
rows = Extension(
    "prewired.metrics._internal._rows",
    sources=["csrc/rows.cpp"],
    extra_compile_args=[*FLAGS, "-pthread"],
    extra_link_args=["-pthread"],
    py_limited_api=True,
)

setup(ext_modules=[kernels, rows], options={"bdist_wheel": {"py_limited_api": "cp311"}})
