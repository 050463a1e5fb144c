"""The pages for readers: their Python blocks run, their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "examples" / "reproductions" / "README.md"])
BLOCK = re.compile(r"^```python([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMES = {page: str(page.relative_to(ROOT)) for page in PAGES}
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WITH_CODE, ids=NAMES.get)
def test_the_python_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    """One after the other, as a reader would; a block marked ```python test=skip only has to compile."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "page"}
    text = page.read_text()
    for block in BLOCK.finditer(text):
        first_line = text[: block.start(2)].count("\n")
        code = compile("\n" * first_line + block[2], str(page), "exec")
        if "test=skip" not in block[1]:
            exec(code, namespace)


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_the_relative_links_of_a_page_exist(page):
    for link in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
