"""Run the benchmarks, all or some, and write docs/benchmarks.json, .md and .png.

python -m benchmarks                      everything, about half an hour
python -m benchmarks layer --rounds 5     one part; the others stay as they are in the JSON file
python -m benchmarks --render             the table and the picture again, from the JSON file alone
"""

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

from . import files, generation, layer, machine, network, plot, report, runtimes, spectra, sweep, wide

PARTS = {
    "layer": layer,
    "network": network,
    "wide": wide,
    "sweep": sweep,
    "generation": generation,
    "spectra": spectra,
    "files": files,
    "runtimes": runtimes,
}
DEFAULT = Path(__file__).parents[1] / "docs" / "benchmarks"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--rounds", type=int, help="samples per figure")
    parser.add_argument("--quick", action="store_true", help="few cells and 2 rounds: does it run at all?")
    parser.add_argument("--render", action="store_true", help="measure nothing, write .md and .png from the .json")
    parser.add_argument("--out", type=Path, default=DEFAULT, help="where to write, without suffix; docs/benchmarks")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"expected parts among {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    stored = arguments.out.with_suffix(".json")
    found = json.loads(stored.read_text()) if stored.exists() else {}
    chosen = [] if arguments.render else arguments.parts or list(PARTS)
    if chosen and not arguments.quick:
        print(f"about {sum(PARTS[name].MINUTES for name in chosen)} minutes: {', '.join(chosen)}", flush=True)
    for name in chosen:
        found[name] = _run(name, arguments.rounds, arguments.quick)
        stored.write_text(to_json(found))
    arguments.out.with_suffix(".md").write_text(report.markdown(found))
    if "layer" in found:
        plot.speedups(found["layer"], arguments.out.with_suffix(".png"))


def to_json(found: dict[str, Any]) -> str:
    """JSON with a record a line."""
    return re.sub(r"\{[^{}]*\}", lambda record: re.sub(r"\s+", " ", record[0]), json.dumps(found, indent=1)) + "\n"


def _run(name: str, rounds: int | None, quick: bool) -> dict[str, Any]:
    part = PARTS[name]
    rounds = rounds or (2 if quick else part.ROUNDS)
    busy = machine.busy()
    print(f"{name}: {rounds} rounds; {busy} of the processor is busy with something else", flush=True)
    start = time.perf_counter()
    measured = part.run(rounds, quick)
    minutes = (time.perf_counter() - start) / 60
    print(f"{name}: done in {minutes:.1f} minutes", flush=True)
    about = machine.describe() | {"busy before": busy}
    return {"rounds": rounds, "quick": quick, "minutes": round(minutes, 1), "machine": about, **measured}


if __name__ == "__main__":
    main()
