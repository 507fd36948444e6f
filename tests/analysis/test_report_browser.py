"""The page in a real browser: nothing fails, nothing leaves the page, every figure is drawn, controls work."""

import shutil

import pytest

from analysis.report import build_report
from tests.fakes.run_folder import FakeSweep, make_run

CHROMIUM = shutil.which("chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e .[dev])")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed (apt-get install chromium)"),
]

HOSTILE = "<img src=http://example.org/x.png onerror=\"document.title='pwned'\"></script>\"'"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    skill = {"random": {0: 0.0}, HOSTILE: {20: 1.0}, "isolation_forest": {0: 0.7, 20: 0.8}, "moment_lora": {20: 2.0}}
    skill["external"] = {0: 0.6}  # the table beside its alerts is the widest of the page
    sweep = FakeSweep(skill=skill, draws=6, sources=("shop", HOSTILE), candidates=3, fault_types=("cpu", HOSTILE))
    return build_report([make_run(tmp_path_factory.mktemp("browser") / "run", sweep)])


@pytest.fixture
def opened(browser, index):
    pages = []

    def open_page(**context: object):
        page = browser.new_page(**context)
        page.problems = []
        page.on("console", lambda m: page.problems.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "request",
            lambda r: page.problems.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None,
        )
        page.goto(index.as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=60_000)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()


def test_every_figure_is_drawn_without_an_error_or_a_request(opened):
    page = opened()
    drawn = page.eval_on_selector_all(
        "figure[data-figure] .plot", "all => all.map(e => e.querySelectorAll('svg.main-svg').length)"
    )
    assert len(drawn) >= 7
    assert all(count > 0 for count in drawn)
    assert [] == page.problems


def test_no_button_of_a_figure_sends_it_anywhere(opened):
    page = opened()
    buttons = page.eval_on_selector_all(".modebar-btn", "all => all.map(b => b.dataset.title || b.ariaLabel)")
    assert {"Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Autoscale", "Reset axes"} == set(buttons)


def test_nothing_hostile_in_the_data_ran(opened):
    page = opened()
    assert "pwned" not in page.title()
    assert 0 == page.locator("img").count()


def test_controls_change_the_figure_and_work_from_the_keyboard(opened):
    page = opened()
    figure = page.locator("#figure-learning_curve")
    title = figure.locator(".xtitle")
    assert "labelled windows" in title.text_content()
    figure.get_by_label("labels counted as").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('#figure-learning_curve .xtitle').textContent.includes('faults')")
    figure.get_by_label("metric").select_option("f1")
    page.wait_for_function("document.querySelector('#figure-learning_curve .ytitle').textContent.includes('F1')")
    assert [] == page.problems


def test_hovering_a_point_says_interval_and_n(opened):
    page = opened(viewport={"width": 1200, "height": 900})
    page.locator("#figure-levels .plot").scroll_into_view_if_needed()
    page.evaluate("Plotly.Fx.hover(document.querySelector('#figure-levels .plot'), [{curveNumber: 1, pointNumber: 0}])")
    assert "n = 6 draws" in page.locator("#figure-levels .hoverlayer").text_content()


def test_a_phone_does_not_scroll_sideways(opened):
    page = opened(viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_dark_page_has_dark_figures(opened):
    page = opened(color_scheme="dark")
    assert "rgb(20, 23, 27)" == page.evaluate("getComputedStyle(document.body).backgroundColor")
    tick = page.locator("#figure-learning_curve .xtick text").first
    assert "rgb(230, 233, 238)" == tick.evaluate("e => getComputedStyle(e).fill")


def test_a_phone_shows_whole_titles_of_axes(opened):
    page = opened(viewport={"width": 390, "height": 844})
    titles = page.eval_on_selector_all(
        ".xtitle", "all => all.map(e => e.getBoundingClientRect()).filter(r => r.width).map(r => [r.left, r.right])"
    )
    assert len(titles) >= 7
    assert [] == [(left, right) for left, right in titles if left < 0 or right > 390]


def test_paper_is_black_on_white_whatever_the_screen_was(opened):
    page = opened(color_scheme="dark")
    page.emulate_media(media="print")
    assert "rgb(255, 255, 255)" == page.evaluate("getComputedStyle(document.body).backgroundColor")
    colours = page.eval_on_selector_all(".plot .xtick text, .xtitle", "all => all.map(e => getComputedStyle(e).fill)")
    assert {"rgb(0, 0, 0)"} == set(colours)


def test_tables_fit_on_paper(opened):
    """A4 landscape, margins of 1 cm: 1047 pixels."""
    page = opened(viewport={"width": 1047, "height": 718})
    page.emulate_media(media="print")
    wide = page.eval_on_selector_all("table", "all => all.map(t => t.scrollWidth).filter(w => w > 1047)")
    assert [] == wide


def test_print_hides_the_menu_and_shows_folded_tables(opened):
    page = opened()
    page.emulate_media(media="print")
    assert "none" == page.evaluate("getComputedStyle(document.querySelector('nav')).display")
    assert len(page.pdf()) > 50_000
