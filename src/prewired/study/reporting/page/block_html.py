"""From blocks to HTML, a function per kind of block; ids are `b<place>`, with a suffix for their parts."""

from __future__ import annotations

import re
from html import escape

from ..table import Table
from .blocks import Bullets, Choice, Code, Figure, Heading, Paragraph
from .figure_spec import embed
from .table_cells import find_numeric_columns, write_cell


def write_inline(text: str) -> str:
    """Escaped text with what stands between backticks as code.

    Example:
        >>> write_inline("`n < 3` & more")
        '<code>n &lt; 3</code> &amp; more'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def write_heading(block: Heading, name: str) -> str:
    """A heading that links can point at."""
    return f'<h{block.level} id="{name}" tabindex="-1">{write_inline(block.text)}</h{block.level}>'


def write_paragraph(block: Paragraph, name: str) -> str:
    """A paragraph."""
    return f'<p id="{name}">{write_inline(block.text)}</p>'


def write_bullets(block: Bullets, name: str) -> str:
    """A list."""
    return f'<ul id="{name}">{"".join(f"<li>{write_inline(item)}</li>" for item in block.items)}</ul>'


def write_code(block: Code, name: str) -> str:
    """Lines of code; the page's script adds the button that copies them."""
    region = f'id="{name}" tabindex="0" role="region" aria-label="code"'
    return f'<div class="code"><pre {region}><code>{escape(block.text)}</code></pre></div>'


def write_table(block: Table, name: str) -> str:
    """A table in a region that scrolls by itself; the page's script makes its header sort."""
    numeric = find_numeric_columns(block.lines) or [False] * len(block.header)
    head = "".join(
        f'<th scope="col"{mark}>{escape(text).replace(chr(10), "<br>")}</th>'
        for text, mark in zip(block.header, (' class="n"' if is_number else "" for is_number in numeric), strict=True)
    )
    body = "\n".join(
        f"<tr>{''.join(write_cell(t, first=k == 0, numeric=numeric[k]) for k, t in enumerate(line))}</tr>"
        for line in block.lines
    )
    notes = "".join(f"<li>{write_inline(note)}</li>" for note in block.notes)
    return (
        f'<div class="table"><div class="scroll" tabindex="0" role="region" aria-labelledby="{name}">\n'
        f'<table class="sortable"><caption id="{name}">{escape(block.title)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + "</div>"
    )


def write_figure(block: Figure, name: str, level: int) -> str:
    """A plot with its selects, its cards and its table; all but the plot is there without the script.

    Args:
        block: the figure.
        name: its id.
        level: of the heading that is its title.
    """
    parts = {"spec": block.spec, "title": block.title}
    if block.cards:
        cards = block.cards
        parts["cards"] = {"titles": cards.titles, "names": cards.names, "facts": cards.facts, "layers": cards.layers}
    selects = "".join(_write_select(choice, f"{name}-c{place}") for place, choice in enumerate(block.choices))
    label = escape(f"{block.title}. {block.description}")
    return (
        f'<figure class="card" id="{name}" aria-labelledby="{name}-t">\n'
        f'<figcaption><h{level} id="{name}-t">{escape(block.title)}</h{level}>'
        f"<p>{write_inline(block.description)}</p></figcaption>\n"
        + (f'<div class="controls scripted">{selects}</div>\n' if selects else "")
        + f'<div class="frame scripted"><div class="plot" role="img" aria-label="{label}"></div></div>\n'
        + f"<details><summary>The numbers of this figure</summary>{write_table(block.table, f'{name}-n')}</details>\n"
        + f'<script type="application/json">{embed(parts)}</script>\n</figure>'
    )


def _write_select(choice: Choice, name: str) -> str:
    options = "".join(f'<option value="{escape(text)}">{escape(text)}</option>' for text in choice.options)
    label = escape(choice.label)
    select = f'<select id="{name}" data-choice="{label}" autocomplete="off">{options}</select>'
    return f'<div class="control"><label for="{name}">{label}</label>{select}</div>'
