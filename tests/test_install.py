"""Installing: where the Makefile looks for the CPU build of torch, what setup.py asks for, what the wheel has."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTORCH = "https://download.pytorch.org/whl/cpu"
pytestmark = pytest.mark.skipif(not shutil.which("make") or sys.platform != "linux", reason="make's part for Linux")

# Stands for `python3`: `-m venv FOLDER` writes a pip that notes its arguments and succeeds if they contain $FOUND.
PYTHON = """#!/bin/sh
[ "$1" = -m ] || exit 0
mkdir -p "$3/bin"
cat > "$3/bin/pip" <<'PIP'
#!/bin/sh
echo "$@" >> pip-calls
case "$*" in *"$FOUND"*) exit 0;; esac
echo "ERROR: No matching distribution found" >&2
exit 1
PIP
chmod +x "$3/bin/pip"
"""


def make(folder, target, *variables, **environment):
    shutil.copy(ROOT / "Makefile", folder)
    python = folder / "python3"
    python.write_text(PYTHON)
    python.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "MAKE", "MFLAGS"))}
    command = ["make", target, f"PYTHON={python}", *variables]
    return subprocess.run(command, cwd=folder, env={**clean, **environment}, capture_output=True, text=True)


def pip_calls(folder):
    return (folder / "pip-calls").read_text().splitlines()


def test_torch_comes_from_the_places_pip_is_configured_for(tmp_path):
    result = make(tmp_path, ".venv/torch", FOUND="torch==")
    assert result.returncode == 0, result.stderr
    assert pip_calls(tmp_path) == ["install --quiet torch==2.13.0+cpu"]
    assert "make: installing torch==2.13.0+cpu where pip is configured to look" in result.stdout


def test_else_torch_comes_from_pytorchs_own_index(tmp_path):
    result = make(tmp_path, ".venv/torch", FOUND="--extra-index-url")
    assert result.returncode == 0, result.stderr
    assert pip_calls(tmp_path)[1:] == [f"install --quiet --extra-index-url {PYTORCH} torch==2.13.0+cpu"]
    assert f"make: not found there; installing torch==2.13.0+cpu from {PYTORCH}" in result.stdout


def test_else_make_stops_and_says_what_to_do(tmp_path):
    result = make(tmp_path, ".venv/torch", FOUND="nothing")
    assert result.returncode != 0
    for words in ("expected to install torch==2.13.0+cpu", PYTORCH, "PIP_FIND_LINKS=", ".venv/torch.log"):
        assert words in result.stderr
    assert "No matching distribution" in (tmp_path / ".venv" / "torch.log").read_text()
    assert not (tmp_path / ".venv" / "torch").exists()


def test_the_cuda_build_is_never_asked_for_unless_it_is_named(tmp_path):
    make(tmp_path, "install", FOUND="nothing")
    assert all("torch==2.13.0+cpu" in call for call in pip_calls(tmp_path))
    (tmp_path / "pip-calls").unlink()
    make(tmp_path, ".venv/torch", "TORCH=torch==2.13.0", FOUND="torch==")
    assert pip_calls(tmp_path) == ["install --quiet torch==2.13.0"]


def test_an_old_python_is_one_clear_error(tmp_path):
    old = "#!/bin/sh\nexit 1\n"
    (tmp_path / "old").write_text(old)
    (tmp_path / "old").chmod(0o755)
    result = make(tmp_path, ".venv/torch", f"PYTHON={tmp_path / 'old'}")
    assert result.returncode != 0
    assert "expected Python 3.11 or newer" in result.stderr


def test_make_says_what_it_does_while_it_compiles(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "setup.py").touch()
    result = make(tmp_path, "install", FOUND="install")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("make: ")]
    assert [line.split()[1] for line in lines] == ["making", "installing", "compiling"]
    assert all(line.endswith(("minutes)", "seconds)")) for line in lines)
    assert pip_calls(tmp_path)[-1] == "install --quiet --no-build-isolation --editable .[dev]"


def wheel(folder, name, version):
    """Write a wheel that has nothing in it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("has_torch", [True, False])
def test_a_real_pip_and_a_folder_that_stands_for_pytorchs_index(has_torch, tmp_path):
    index = tmp_path / "index" / "torch"
    index.mkdir(parents=True)
    if has_torch:
        built = wheel(index, "torch", "2.13.0+cpu")
        (index / "index.html").write_text(f'<a href="{built.name.replace("+", "%2B")}">{built.name}</a>')
    (tmp_path / "empty" / "torch").mkdir(parents=True)
    (tmp_path / "empty" / "torch" / "index.html").write_text("")
    shutil.copy(ROOT / "Makefile", tmp_path)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "MAKE", "MFLAGS"))}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": (tmp_path / "empty").as_uri()}
    command = ["make", ".venv/torch", f"PYTHON={sys.executable}", f"TORCH_INDEX={(tmp_path / 'index').as_uri()}"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.returncode == 0) == has_torch, result.stderr
    assert "not found there" in result.stdout
    assert has_torch or "expected to install" in result.stderr


def test_the_build_uses_the_torch_of_the_environment_and_asks_for_one_only_without(tmp_path):
    """As pip asks: setuptools runs setup.py and names what the build needs."""
    pytest.importorskip("setuptools")
    (tmp_path / "src" / "prewired").mkdir(parents=True)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src/prewired/_version.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    code = (
        "import importlib.util, sys, sysconfig; from setuptools import build_meta\n"
        "for folder in sys.argv[1:]:\n"  # where torch may lie, while no torch can be imported
        "    sysconfig.get_path = lambda *a, folder=folder, **k: folder\n"
        "    importlib.util.find_spec = lambda *a, **k: None\n"
        "print(build_meta.get_requires_for_build_wheel())"
    )

    def requirements(*arguments):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1]

    assert requirements() == "[]"
    assert requirements("/nowhere") == "['torch>=2.10']"
    assert requirements(sysconfig.get_path("platlib")) == "[]"  # not importable, but there to compile against


@pytest.mark.slow
def test_the_wheel_has_all_files_of_the_package(tmp_path):
    """Built from a copy, so that the working tree gets no build folder."""
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in", "csrc", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "-w", "out", "."]
    subprocess.run(command, cwd=tmp_path, check=True)
    (path,) = (tmp_path / "out").glob("prewired-*.whl")
    files = set(zipfile.ZipFile(path).namelist())
    source = ROOT / "src"
    data = {p.relative_to(source).as_posix() for p in (source / "prewired").rglob("*") if p.is_file()}
    data = {name for name in data if "__pycache__" not in name and not name.endswith((".so", ".pyd"))}
    assert data <= files
    assert {"prewired/py.typed", "prewired/ops/break_even.json"} <= files
    assert {name.split(".")[0] for name in files if name.endswith(".so")} == {
        "prewired/ops/_kernels",
        "prewired/metrics/_internal/_rows",
    }
