"""The one compiled part: the kernels, as torch operators through the LibTorch stable ABI (no CPython in them)."""

from setuptools import Extension, setup
from torch.utils.cpp_extension import include_paths, library_paths

kernels = Extension(
    "prewired._kernels",
    sources=["csrc/kernels.cpp"],
    depends=["csrc/loops.h"],
    include_dirs=include_paths(),
    library_dirs=library_paths(),
    libraries=["torch_cpu"],
    define_macros=[("TORCH_TARGET_VERSION", "0x020a000000000000")],
    extra_compile_args=["-O3", "-std=c++20", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra"],
    py_limited_api=True,
)

setup(ext_modules=[kernels], options={"bdist_wheel": {"py_limited_api": "cp311"}})
