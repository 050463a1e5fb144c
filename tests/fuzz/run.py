"""`make fuzz`: mutate good files of every kind with a seed, read them, and report every error that is not clean.

An error is clean if it is a ValueError or FileNotFoundError of one line, and comes within some seconds and megabytes.
Each file is written to a folder before it is read, so that the file of a crash is there afterwards.
"""

import argparse
import faulthandler
import random
import resource
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutations import mutate
from readers import CLEAN, READERS, Reader

MAX_SECONDS = 60
MAX_BYTES = 8 << 30
CORPUS = Path(__file__).parent / "corpus"


def list_good_files(reader: Reader, folder: Path) -> list[Path]:
    """Write the good files of a reader, and add those of the corpus, which once broke a reader."""
    source = folder / "good" / reader.name.replace(" ", "_")
    source.mkdir(parents=True)
    reader.write(source)
    return [*sorted(source.iterdir()), *sorted((CORPUS / source.name).glob("*"))]


def read_one(reader: Reader, path: Path) -> str:
    """Read a file; return "read", "refused", or a line about an error that is not clean."""
    try:
        reader.read(path)
    except CLEAN as error:
        lines = str(error).splitlines()
        return "refused" if len(lines) == 1 else f"{type(error).__name__} of {len(lines)} lines: {str(error)!r:.200}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)!r:.200}"
    return "read"


def fuzz(reader: Reader, folder: Path, count: int, seed: int) -> dict[str, int]:
    """Read `count` mutated files; return how often each outcome came. Files of unclean errors stay in the folder."""
    good = list_good_files(reader, folder)
    for path in good:
        if path.parent.parent != CORPUS and (outcome := read_one(reader, path)) != "read":
            raise AssertionError(f"{reader.name}: expected {path.name} to be read, got {outcome}: {path}")
    source = random.Random(f"{seed} {reader.name}")
    outcomes: dict[str, int] = {}
    for k in range(count):
        model = source.choice(good)
        path = folder / f"{reader.name.replace(' ', '_')}-{seed}-{k}{''.join(model.suffixes)}"
        path.write_bytes(mutate(model.read_bytes(), source))
        faulthandler.dump_traceback_later(MAX_SECONDS, exit=True)
        outcome = read_one(reader, path)
        faulthandler.cancel_dump_traceback_later()
        if outcome in ("read", "refused"):
            path.unlink()
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def main() -> int:
    """Fuzz the readers that are named, or all; return 1 if an error was not clean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"readers, among {', '.join(READERS)}; default all")
    parser.add_argument("--count", type=int, default=1500, help="files per reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the files are written; default a temporary folder")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    n_unclean = 0
    for name in options.names or READERS:
        outcomes = fuzz(READERS[name], folder, options.count, options.seed)
        n_read, n_refused = outcomes.pop("read", 0), outcomes.pop("refused", 0)
        n_unclean += sum(outcomes.values())
        print(f"{name:12} {n_read:7,} read  {n_refused:7,} refused  {sum(outcomes.values()):5,} unclean", flush=True)
        for outcome, n in sorted(outcomes.items(), key=lambda item: -item[1]):
            print(f"    {n:5,} x {outcome}")
    print(f"{n_unclean:,} unclean errors; files of such errors are in {folder}")
    return 1 if n_unclean else 0


if __name__ == "__main__":
    sys.exit(main())
