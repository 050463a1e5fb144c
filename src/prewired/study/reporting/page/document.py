"""One HTML file that needs nothing beside it: text, tables and plots, with the styles and scripts they use."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from ..table import Table
from . import block_html
from .blocks import Block, Bullets, Code, Figure, Heading, LayerPicture, Paragraph
from .figure_spec import embed

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
_NO_SCRIPT = "The plots need JavaScript; the numbers of each are in the table below it."
_HINT = " Drag in a plot to look closer, double-click to see all of it again."
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}
</style>
<script>document.documentElement.className = "js";</script>
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
<header><div class="bar"><h1>{title}</h1></div></header>
<div class="columns">
{contents}
<main id="main" tabindex="-1">
{no_script}
{body}
</main>
</div>
<footer><p>Written by prewired. All of this page is in one file; it reads nothing else.{hint}</p></footer>
{scripts}
</body>
</html>
"""


def write_document(title: str, blocks: Sequence[Block]) -> str:
    """A page that opens offline, in any browser, on any screen.

    It has a table of contents, a light and a dark theme, tables that sort, and plots that answer to choices; a policy
    in it forbids every request. What comes from blocks is escaped.

    Args:
        title: of the page.
        blocks: what it says, in order.

    Returns:
        The text of the HTML file, to be written as UTF-8; about 5 MB with a figure, which needs Plotly's script.

    Raises:
        ModuleNotFoundError: for a figure without plotly installed.

    Example:
        >>> text = write_document("A study", [Heading("Results"), Paragraph("Nothing was found, at `n < 3`.")])
        >>> text.startswith("<!DOCTYPE html>"), "<code>n &lt; 3</code>" in text
        (True, True)
    """
    figures = [block for block in blocks if isinstance(block, Figure)]
    scripts = [_read_own("page.js")]
    if figures:
        scripts += [read_plotly(), _read_own("cards.js"), _read_own("plots.js")]
    return _PAGE.format(
        policy=POLICY,
        title=escape(title),
        style=_read_own("style.css"),
        contents=_write_contents(blocks),
        no_script=f'<noscript><p class="note">{_NO_SCRIPT}</p></noscript>' if figures else "",
        hint=_HINT if figures else "",
        body="\n".join(_write_body(blocks)),
        scripts="\n".join([*_collect_layers(figures), *(f"<script>\n{script}\n</script>" for script in scripts)]),
    )


def read_plotly() -> str:
    """The text of Plotly's script, from the plotly package."""
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("expected plotly for the page's figures; pip install 'prewired[study]'") from error
    return get_plotlyjs()


def _read_own(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _write_contents(blocks: Sequence[Block]) -> str:
    entries = "\n".join(
        f'<li class="l{block.level}"><a href="#b{place}">{block_html.write_inline(block.text)}</a></li>'
        for place, block in enumerate(blocks)
        if isinstance(block, Heading) and block.level <= 3
    )
    if not entries:
        return ""
    return f'<nav aria-label="Contents"><details open><summary>Contents</summary><ul>\n{entries}\n</ul></details></nav>'


def _write_body(blocks: Sequence[Block]) -> Iterator[str]:
    level, is_open = 1, False
    for place, block in enumerate(blocks):
        name = f"b{place}"
        if isinstance(block, Heading):
            level = block.level
            if level == 2:
                yield f'{"</section>" if is_open else ""}<section aria-labelledby="{name}">'
                is_open = True
        yield _write_block(block, name, level)
    if is_open:
        yield "</section>"


def _write_block(block: Block, name: str, level: int) -> str:
    match block:
        case Heading():
            return block_html.write_heading(block, name)
        case Paragraph():
            return block_html.write_paragraph(block, name)
        case Bullets():
            return block_html.write_bullets(block, name)
        case Code():
            return block_html.write_code(block, name)
        case Table():
            return block_html.write_table(block, name)
        case Figure():
            return block_html.write_figure(block, name, min(level + 1, 6))


def _collect_layers(figures: Sequence[Figure]) -> list[str]:
    """The layers of all cards as one script element of data, each once."""
    store: dict[str, LayerPicture] = {}
    for figure in figures:
        store |= figure.cards.store if figure.cards else {}
    entries = {key: [b64encode(layer.png).decode("ascii"), layer.caption] for key, layer in store.items()}
    return [f'<script type="application/json" id="layers">{embed(entries)}</script>'] if entries else []
