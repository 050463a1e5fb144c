"""The page in Chromium: quiet, offline, drawn, sortable, usable by keyboard, on a phone, in the dark, unscripted."""

import os
import runpy
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from prewired.study.reporting.page import resolve

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright to drive a browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = os.environ.get("AXE_CORE", "")  # the path of axe.min.js
ARGS = ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
EXPLORER = "figure:has(.walk)"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def demo():
    return runpy.run_path(str(Path(__file__).with_name("test_page.py")))


@pytest.fixture(scope="module")
def url(demo, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(demo["demo_page"](), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[f"--{name}" for name in (*ARGS, "disable-component-update", "disable-sync")]
        )
        yield running
        running.close()


@contextmanager
def watch(browser, url):
    """Opens the page; at the end nothing may have been said on the console and nothing but the file been asked for."""
    contexts, said, asked = [], [], []

    def opened(viewport=DESKTOP, *, n_figures=None, **options):
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        for figure in page.locator("figure.card").all()[:n_figures]:
            figure.scroll_into_view_if_needed()
            figure.locator(".main-svg").first.wait_for()
        page.evaluate("scrollTo(0, 0)")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert {address for address in asked if not address.startswith(("data:", "blob:"))} <= {url}


@pytest.fixture
def visit(browser, url):
    with watch(browser, url) as opened:
        yield opened


@pytest.fixture(scope="module")
def drawn_page(browser, url):
    """One page for all tests that leave its figures as they are."""
    with watch(browser, url) as opened:
        yield opened()


@pytest.fixture(scope="module")
def undrawn_page(browser, url):
    """One page for all tests that look at no figure."""
    with watch(browser, url) as opened:
        yield opened(n_figures=0)


def column(page, table, k):
    return page.locator(table).first.locator(f"tbody tr > :nth-child({k})").all_inner_texts()


def test_every_plot_has_its_points(drawn_page):
    counts = drawn_page.locator("figure.card .plot").evaluate_all(
        "plots => plots.map(p => p.querySelectorAll('.point').length)"
    )
    assert len(counts) == 5
    assert min(counts) >= 30
    assert drawn_page.locator("figure.card .plot .js-line").count() >= 3 * 12


def test_a_table_sorts_by_mouse_and_by_keyboard(undrawn_page):
    page = undrawn_page
    head = page.locator("table.sortable").first.locator("thead th")
    before = column(page, "table.sortable", 1)
    head.nth(2).locator("button").click()
    assert head.nth(2).get_attribute("aria-sort") == "ascending"
    sizes = column(page, "table.sortable", 3)
    assert sizes == [*(f"{k * 100} kB" for k in range(1, 13)), "1.5 MB"]
    head.nth(2).locator("button").press("Enter")
    assert head.nth(2).get_attribute("aria-sort") == "descending"
    assert column(page, "table.sortable", 3) == sizes[::-1]
    head.nth(1).locator("button").press("Space")
    assert head.nth(2).get_attribute("aria-sort") is None
    accuracies = column(page, "table.sortable", 2)
    assert accuracies[-1] == "-"  # what is absent comes last
    numbers = [float(text.split()[0]) for text in accuracies[:-1]]
    assert numbers == sorted(numbers)
    head.nth(0).locator("button").click()
    assert sorted(before) != column(page, "table.sortable", 1)  # family 2 before family 10
    assert column(page, "table.sortable", 1) == ["absent", *(f"family {k}" for k in range(1, 13))]


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
def test_the_theme_follows_the_system_and_the_button(visit, scheme):
    page = visit(n_figures=1, color_scheme=scheme)

    def lightness():
        red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        return red + green + blue

    assert (lightness() > 600) == (scheme == "light")
    before = page.locator(".main-svg").first.evaluate("svg => svg.style.background")
    button = page.get_by_role("button", name="Dark theme")
    assert button.get_attribute("aria-pressed") == str(scheme == "dark").lower()
    button.click()
    assert button.get_attribute("aria-pressed") == str(scheme != "dark").lower()
    assert (lightness() > 600) == (scheme != "light")
    page.wait_for_function("before => document.querySelector('.main-svg').style.background !== before", arg=before)


@pytest.mark.parametrize("width", [320, *(pytest.param(n, marks=pytest.mark.slow) for n in (390, 768, 1280))])
def test_nothing_is_wider_than_the_screen(visit, width):
    page = visit({"width": width, "height": 844})
    for details in page.locator("main details").all():
        details.evaluate("d => d.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.locator("figure.card .plot svg.main-svg").evaluate_all("s => Math.max(...s.map(e => e.clientWidth))")
    assert 0.6 * min(width, 900) < wide < width


def test_the_keyboard_reaches_the_skip_link_first_and_then_the_rest(visit):
    page = visit(n_figures=0)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("[document.activeElement.tagName, document.activeElement.textContent]"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert ["BUTTON", "size"] in reached
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.slow
def test_arrow_keys_move_along_the_points(visit):
    page = visit()
    slider = page.get_by_role("slider")
    panel = page.locator(".graph:not(.pinned)")
    slider.focus()
    page.keyboard.press("Home")
    first, value = panel.inner_text(), slider.get_attribute("aria-valuetext")
    assert value.startswith("erdos_renyi, 1 of 30, x 0.")
    centres = """figure => [".ring", ".plot .point"].map(part => [...figure.querySelectorAll(part)].map(e => {
        const box = e.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }))"""
    (ring,), points = page.locator(EXPLORER).evaluate(centres)
    assert min(points) == pytest.approx(ring, abs=2)  # the leftmost point has the ring
    assert page.locator(f"{EXPLORER} .hoverlayer .hovertext").text_content().startswith("erdos_renyi")
    page.keyboard.press("ArrowRight")
    assert panel.inner_text() != first
    assert "2 of 30" in slider.get_attribute("aria-valuetext")
    page.keyboard.press("End")
    assert "30 of 30" in slider.get_attribute("aria-valuetext")
    assert panel.locator("img").count() == 2
    assert panel.locator("img").first.evaluate("image => image.complete && image.naturalWidth") == 64
    assert panel.locator("img").nth(1).evaluate("image => image.naturalHeight") == 64


@pytest.mark.slow
def test_pointing_shows_a_graph_and_a_click_keeps_it(visit):
    page = visit()
    figure = page.locator(EXPLORER)
    figure.scroll_into_view_if_needed()
    points = figure.locator(".plot .point")
    shown = figure.locator(".graph:not(.pinned) .name")

    def at(k):
        box = points.nth(k).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    page.mouse.move(*at(3))
    page.wait_for_function("() => document.querySelector('.graph .name').textContent === 'biregular'")
    page.mouse.click(*at(3))
    pinned = figure.locator(".graph.pinned")
    pinned.wait_for()
    kept = pinned.inner_text()
    page.mouse.move(*at(12))
    page.wait_for_function("() => document.querySelector('.graph .name').textContent !== 'biregular'")
    assert shown.inner_text() != pinned.locator(".name").inner_text()
    assert pinned.inner_text() == kept
    pinned.get_by_role("button", name="Unpin").press("Enter")
    assert pinned.count() == 0


def test_choices_change_the_plot_as_python_does(drawn_page, demo):
    rows, pictures, recipes = demo["demo"]()
    wanted = demo["figures"].draw_score_by_metric(rows, pictures, recipes)
    figure = drawn_page.locator(EXPLORER)
    chosen = {"Metric": "algebraic connectivity", "Density": "20 %", "Setting": "fashion_mnist, permuted"}
    for label, option in chosen.items():
        figure.get_by_label(label, exact=True).select_option(option)
    plain = resolve(wanted.spec, chosen)
    drawn = figure.locator(".plot").evaluate("p => p.data.map(t => [t.name, t.x, t.y])")
    assert [name for name, _, _ in drawn] == [trace["name"] for trace in plain["data"]]
    for (_, x, y), trace in zip(drawn, plain["data"], strict=True):
        assert x == pytest.approx(trace["x"], rel=1e-5)
        assert y == pytest.approx(trace["y"], rel=1e-5)
    title = figure.locator(".xtitle").text_content()
    assert title == "algebraic connectivity" == plain["layout"]["xaxis"]["title"]["text"]
    assert "20 %" in figure.locator(".graph").inner_text()
    for label in chosen:
        figure.get_by_label(label, exact=True).select_option(index=0)


@pytest.mark.slow
def test_a_metric_without_values_and_hidden_families_leave_an_empty_plot(visit):
    page = visit()
    figure = page.locator(EXPLORER)
    figure.get_by_label("Metric", exact=True).select_option("dead inputs")
    page.wait_for_function("() => document.querySelector('.walk').hidden")
    assert figure.locator(".graph").count() == 0
    figure.get_by_label("Metric", exact=True).select_option("normalized spectral gap")
    assert figure.locator(".plot .point").count() == 30
    family = figure.get_by_role("button", name="biregular", exact=True)
    family.press("Space")
    assert family.get_attribute("aria-pressed") == "false"
    assert page.evaluate("document.activeElement.dataset.name") == "biregular"  # the focus stays
    assert figure.locator(".plot .point").count() == 27
    assert "of 27" in figure.locator(".walk").inner_text()
    figure.get_by_role("button", name="Hide all").click()
    assert figure.locator(".plot .point").count() == 0
    figure.get_by_role("button", name="Show all").click()
    assert figure.locator(".plot .point").count() == 30


def test_hostile_names_stay_texts(drawn_page, demo):
    page = drawn_page
    figure = page.locator(EXPLORER)
    assert figure.get_by_role("button", name=demo["HOSTILE"], exact=True).count() == 1
    points = figure.locator(".plot").evaluate("(p, name) => p.data.findIndex(t => t.name === name)", demo["HOSTILE"])
    figure.locator(".plot").evaluate("(p, k) => Plotly.Fx.hover(p, [{curveNumber: k, pointNumber: 0}])", points)
    assert demo["HOSTILE"] in figure.locator(".hoverlayer .hovertext").text_content()
    assert page.locator("a[href^=javascript]").count() == 0
    figure.get_by_role("slider").focus()
    titles = [figure.locator(".graph .name").inner_text()]
    for _ in range(29):
        page.keyboard.press("ArrowLeft")
        titles.append(figure.locator(".graph .name").inner_text())
    assert titles.count(demo["HOSTILE"]) == 3


@pytest.mark.slow
def test_figures_have_names_for_those_who_listen(visit):
    page = visit()
    for title in ("Score by density", "Score of every graph against a metric", "What accuracy costs"):
        assert page.get_by_role("figure", name=title, exact=True).count() == 1
        assert page.get_by_role("img", name=title).count() == 1
    assert page.get_by_role("table", name="Scores", exact=True).count() == 1
    assert page.get_by_role("navigation", name="Contents").count() == 1
    assert page.get_by_role("combobox", name="Metric").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1


def test_without_script_text_and_numbers_are_there(browser, url):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    assert page.locator("noscript").count() == 1
    figure = page.locator("figure.card").nth(1)
    assert "A point is a graph" in figure.inner_text()
    assert not figure.locator("select").first.is_visible()
    figure.locator("summary").click()
    assert figure.locator("tbody tr").first.is_visible()
    assert figure.locator("tbody tr").count() == 180
    context.close()


def test_code_is_copied(visit):
    page = visit(n_figures=0, permissions=["clipboard-read", "clipboard-write"])
    page.bring_to_front()  # a page without focus may not write to the clipboard
    page.clock.install()  # so that "Copied" stays, however slow the machine is
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("prewired study --data fashion_mnist")


def test_it_is_there_at_once(undrawn_page):
    first = undrawn_page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert first < 1500


@pytest.mark.slow
def test_printing_draws_every_plot_and_opens_every_table(visit):
    page = visit(n_figures=0)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function("() => document.querySelectorAll('.plot .main-svg').length >= 5")
    assert page.locator("main details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("main details[open]").count() == 0


@pytest.mark.skipif(not AXE, reason="needs AXE_CORE, the path of axe.min.js")
@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(visit, scheme, viewport):
    page = visit(viewport, color_scheme=scheme)
    for details in page.locator("main details").all():
        details.evaluate("d => d.open = true")
    page.evaluate(Path(AXE).read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [(rule["id"], [node["html"][:120] for node in rule["nodes"]]) for rule in found] == []


@pytest.mark.slow
def test_a_picture_is_saved(visit):
    page = visit()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").first.click()
    assert download.value.suggested_filename == "Score by density.png"
    assert Path(download.value.path()).read_bytes()[:4] == b"\x89PNG"
