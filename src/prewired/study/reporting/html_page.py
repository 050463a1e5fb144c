"""A report as one HTML page, which opens offline."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ...generators import from_recipe
from ...io.atomic_write import replacing
from ...topology import Recipe
from ..statistics import Row
from . import page
from .all_tables import build_tables
from .page import Block, Bullets, Code, Heading, Paragraph, figures
from .page.row_groups import is_sparse
from .report_data import PRIMARY_METRIC, Report
from .sentences import describe_findings
from .table_files import describe_setup

PAGE_NAME = "report.html"
MOST_PICTURES = 600  # of layers; for more only the first graph of each family in a cell is drawn


def write_page(report: Report, folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write report.html, for which the graphs are made again from their recipes.

    Args:
        report: the report.
        folder: where to write it; the study's own, as the page says how to run it again.
        progress: called with (graphs drawn, graphs in all).

    Returns:
        The path of the page.
    """
    path = Path(folder) / PAGE_NAME
    thumbnails = draw_thumbnails(report, progress)
    title = f"Study on {', '.join(report.study.facts[name].name for name in report.study.config.data)}"
    text = page.write_document(title, list(build_blocks(report, thumbnails, str(folder))))
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def build_blocks(report: Report, thumbnails: Mapping[str, np.ndarray], folder: str) -> Iterator[Block]:
    """Yield the blocks of the page, in order."""
    study = report.study
    rows = study.rows
    recipes = {digest: str(Recipe.from_json(text)) for digest, text in study.recipes.items()}
    texts = describe_findings(report)
    n_answers = len(report.analysis.primary)
    yield Heading("The answer")
    yield Bullets(tuple(texts[:n_answers]))
    yield Heading("What was asked")
    yield from (Paragraph(text) for text in _describe_question(report))
    yield Heading("What else was found")
    yield Bullets(tuple(texts[n_answers:]))
    yield Heading("Figures")
    if any(map(is_sparse, rows)):
        yield figures.draw_score_by_metric(rows, thumbnails, recipes)
        yield figures.draw_score_by_density(rows)
        yield figures.draw_training_curves(rows)
        yield figures.draw_speed_by_density(rows)
        yield figures.draw_cost_frontier(rows)
    else:
        yield Paragraph(
            "No run of a sparse network is finished yet, so there is nothing to draw beside the dense networks."
        )
    yield Heading("Tables")
    yield from build_tables(report)
    yield Heading("How it was run")
    yield Bullets(tuple(describe_setup(report)))
    yield Paragraph("To run it again, or to go on with it, and to make this page:")
    yield Code(format_command(report, folder))


def format_command(report: Report, folder: str) -> str:
    """The lines that reproduce a study: its file, and what to do with it."""
    name = Path(folder).resolve().name
    lines = [f"{field} = {_format_toml(value)}" for field, value in report.study.config.to_dict().items()]
    text = "\n".join(lines)
    where = shlex.quote(name)
    return f"cat > {where}.toml <<'END'\n{text}\nEND\nprewired study {where}.toml -o {where}\nprewired report {where}"


def draw_thumbnails(report: Report, progress: Callable[[int, int], None] | None = None) -> dict[str, np.ndarray]:
    """Thumbnails of the graphs of a study, by digest."""
    sparse = [row for row in report.study.rows if row.digests]
    digests = _list_digests(sparse)
    if len(digests) > MOST_PICTURES:
        digests = _list_digests([row for row in sparse if not row.graph_seed])
    known_digests = [digest for digest in digests if digest in report.study.recipes]
    thumbnails = {}
    for done, digest in enumerate(known_digests, 1):
        thumbnails[digest] = page.draw_thumbnail(from_recipe(Recipe.from_json(report.study.recipes[digest])))
        if progress is not None:
            progress(done, len(known_digests))
    return thumbnails


def _list_digests(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(digest for row in rows for digest in row.digests))


def _describe_question(report: Report) -> Iterator[str]:
    config = report.study.config
    cells = (
        f"{len(config.edges)} numbers of edges"
        if config.edges
        else f"densities {', '.join(map(str, config.densities))}"
    )
    yield (
        "Does the accuracy of a network with sparse, fixed wiring depend on the graph, or on its density alone? "
        f"{len(config.families)} families of graphs were trained ({cells}) beside a dense network of equal width and "
        "one of equal parameters. Graphs are compared only with graphs of equally many edges in every layer. The "
        f"metric chosen beforehand is the {PRIMARY_METRIC.replace('_', ' ')}."
    )
    variants = []
    if "permuted" in config.controls:
        variants.append(
            "each family also with its inputs permuted, which takes away what it owes to reading neighbouring inputs "
            "together and leaves its spectrum as it is"
        )
    if "shuffled" in config.controls:
        variants.append("each family also with the edges of a layer shuffled, which leaves only its density")
    if config.inits:
        variants.append("each family also with initial weights as if its layers were dense")
    if variants:
        yield f"Controls: {'; '.join(variants)}."


def _format_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_format_toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)  # the same escapes as TOML's
