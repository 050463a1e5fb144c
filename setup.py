"""The two compiled parts: the kernels (torch operators through the LibTorch stable ABI) and row sums for the metrics.

Neither part uses CPython, so one wheel serves every Python version. The build needs torch's headers and libraries, not
a running torch. `pip install .` builds in an environment of its own. That environment cannot import the torch that the
user has installed, but setup.py finds its files. If no torch is installed, pip installs one for the build.
"""

import importlib.util
import site
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FLAGS = ["-O3", "-std=c++20", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra"]
NEEDED = "torch>=2.10"


def find_torch() -> Path | None:
    """Return the folder of an installed torch: importable, or in the environment whose Python runs this."""
    spec = importlib.util.find_spec("torch")
    folders = [Path(spec.origin).parent] if spec and spec.origin else []
    places = [sysconfig.get_path("platlib"), sysconfig.get_path("purelib"), site.getusersitepackages()]
    folders += [Path(place) / "torch" for place in places]
    return next((f for f in folders if (f / "include/torch/csrc/stable/library.h").exists()), None)


class BuildExtensions(build_ext):
    """Stop with a remedy if there is no torch to compile against."""

    def run(self) -> None:
        if TORCH is None:
            raise SystemExit(f"expected {NEEDED} to compile prewired against, got none; pip install torch first")
        super().run()


TORCH = find_torch()

kernels = Extension(
    "prewired.ops._kernels",
    sources=["csrc/kernels.cpp"],
    depends=["csrc/loops.h", "csrc/plans.h"],
    include_dirs=[str(TORCH / "include")] if TORCH else [],
    library_dirs=[str(TORCH / "lib")] if TORCH else [],
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

setup(
    ext_modules=[kernels, rows],
    cmdclass={"build_ext": BuildExtensions},
    setup_requires=[] if TORCH else [NEEDED],  # setuptools hands this to pip, which installs it for the build
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
