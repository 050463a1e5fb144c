"""The sections of docs/benchmarks.md on networks as files, and on ways to run them."""

from statistics import fmean
from typing import Any

from .tables import MISSING, number, table

FILES = """A network {sizes} at {density:.0%}, near-biregular with a dense output layer, and a dense one, trained on
MNIST for {epochs} epochs (Adam, rate 0.001), once for each of {seeds} seeds. Bytes on disk; the share of them that is
not weights (or values, scales and biases); the test accuracy of the network that `pw.load` makes of the file, mean,
lowest and highest of the seeds; and the largest change from the network that was trained. An accuracy near 98 % on
{images:,} images is known to about 0.3 points: rows of one network can be compared, dense and sparse hardly."""
RUNTIMES = """The same sizes and density, one thread, each way on the same images of MNIST; before it was timed each
gave the outputs of prewired on all {images:,} test images, as far as "difference" says (largest difference over
largest output; 1e-5 was allowed; int8 in C is compared with int8 in prewired, and that with float32). Microseconds an
image at batch 1 and 64, and in brackets time of `torch, dense` / time of the way. Bytes of the network's file, of a C
file once it is compiled; onnxruntime's own library takes {library:,} bytes more. `onnxruntime, dense` is how ONNX
files usually come, [shipping.md](shipping.md) explains the other forms; "auto for" says which form each layer took
when the best was chosen for that batch. C is the file of `pw.export.c`."""


def files(part: dict[str, Any]) -> list[str]:
    """Bytes and accuracy of each kind of file."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for record in part["records"]:
        rows.setdefault(record["file"], []).append(record)
    trained = {"dense": rows["dense, float32"], "sparse": rows["sparse, float32, recipes"]}
    lines = []
    for name, records in sorted(rows.items(), key=lambda row: -row[1][0]["bytes"]):
        size, accuracies = records[0]["bytes"], [100 * record["accuracy"] for record in records]
        before = [100 * record["accuracy"] for record in trained[name.partition(",")[0]]]
        change = max((a - b for a, b in zip(accuracies, before, strict=True)), key=abs)
        spread = f"{fmean(accuracies):.2f} ({min(accuracies):.2f} to {max(accuracies):.2f})"
        lines.append((name, f"{size:,}", f"{1 - records[0]['weights'] / size:.1%}", spread, f"{change:+.2f}"))
    sizes = "-".join(map(str, part["sizes"]))
    seeds = len(trained["dense"])
    text = FILES.format(
        sizes=sizes, density=part["density"], epochs=part["epochs"], seeds=seeds, images=part["n_images"]
    )
    heads = "file", "bytes", "not weights", "test accuracy [%]", "largest change"
    return ["## Networks as files", text, table(heads, lines)]


def runtimes(part: dict[str, Any]) -> list[str]:
    """Time per image of each way to run a network."""
    batches = sorted({record["batch"] for record in part["records"]})
    found = {(r["family"], r["way"], r["batch"]): r for r in part["records"]}
    blocks = ["## Ways to run a network", RUNTIMES.format(images=part["n_images"], library=part["library"])]
    for family, differences in part["differences"].items():
        lines = []
        for way, difference in differences.items():
            timed = [found[family, way, batch] for batch in batches]
            cells = [f"{number(1e6 * r['seconds'] / r['batch'])} ({number(r['ratio'])})" for r in timed]
            lines.append((way, f"{timed[0]['bytes']:,}", *cells, f"{difference:.0e}" if difference else MISSING))
        heads = (family, "bytes", *(f"batch {batch} [us]" for batch in batches), "difference")
        blocks.append(table(heads, lines))
    return blocks
