import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from analysis.errors import AnalysisError
from analysis.report import app, build_report, markdown_text
from tests.fakes.run_folder import FakeSweep, make_run, without_metrics

SMALL = {"random": {0: 0.0}, "pca": {0: 0.8}, "random_forest": {20: 0.9, 100: 1.2}, "moment_lora": {20: 0.9, 100: 1.6}}

FORESTS = {"isolation_forest": {0: 0.7, 20: 0.9}, "moment_lora": {20: 0.9}}
LATE, LOST = (100, 101, 102), ("oom", "planted")

HOSTILE = "</script><script>document.title='pwned'</script><img src=x onerror=alert(1)>\"'`|$x$ %{x} " + "long" * 60


class Parsed(HTMLParser):
    """Elements that could fetch or run something, and all text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("report") / "run", FakeSweep(skill=SMALL, draws=6, candidates=3))
    build_report([folder])
    return folder


@pytest.fixture(scope="module")
def page(run):
    return Parsed((run / "report" / "index.html").read_text())


def test_the_page_asks_nothing_of_any_network(page):
    fetching = [(tag, a) for tag, a in page.tags if a.get("src") or (tag == "link" and a.get("href") != "data:,")]
    assert [] == fetching
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links
    assert all(link.startswith(("#", "figures/")) for link in links)


def test_plotly_is_embedded_once_and_the_page_stays_below_eight_megabytes(run):
    text = (run / "report" / "index.html").read_text()
    assert 1 == text.count("* plotly.js v")
    assert len(text.encode()) < 8e6


def test_simulated_data_say_so_in_the_header_of_both_forms(run, page):
    assert "SIMULATED DATA" in page.text
    assert "SIMULATED DATA" in (run / "report" / "report.md").read_text()


def test_results_of_the_bundled_backbone_are_not_called_those_of_the_foundation_model(page):
    assert "backbone are not results of the foundation model" in page.text


def test_a_leaking_split_is_headed_so(tmp_path):
    run = make_run(tmp_path / "run", FakeSweep(skill={"pca": {0: 1.0}}, draws=2, split_by="random_windows"))
    text = Parsed(build_report([run]).read_text()).text
    assert "LEAKING SPLIT: windows were dealt to the parts at random" in text
    assert "an audit looked at the rows" not in text


def test_the_page_says_what_the_leak_audit_looked_at(page):
    assert "no row, and no fault, is in two of the parts" in page.text


def test_an_untrained_backbone_is_called_untrained(tmp_path):
    import json

    run = make_run(tmp_path / "run", FakeSweep(skill={"moment_lora": {20: 1.0}}, draws=2, searched=()))
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"weights": {"bundled": {"trained": False}}}))
    text = Parsed(build_report([run]).read_text()).text
    assert "results of the bundled untrained backbone are not results of the foundation model" in text


def test_every_section_of_the_menu_exists(page):
    ids = {a.get("id") for _, a in page.tags}
    targets = {a["href"].removeprefix("#") for tag, a in page.tags if tag == "a" and a["href"].startswith("#")}
    assert {"verdict", "curves", "leaderboard", "compared", "faults", "delay", "timeline", "search", "cost", "failures",
            "provenance", "method"} <= targets <= ids  # fmt: skip


def test_figures_and_tables_lie_beside_the_page(run):
    figures = {path.name for path in (run / "report" / "figures").iterdir()}
    assert {"learning_curve-windows.svg", "learning_curve-windows.pdf",
            "differences-moment_lora.svg"} <= figures  # fmt: skip
    tables = {path.stem for path in (run / "report" / "tables").glob("*.csv")}
    assert {"levels", "leaderboard", "pairs", "headlines", "fault_types", "optimism", "cost", "failures", "worst",
            "alerts"} <= tables  # fmt: skip


def test_the_leaderboard_csv_agrees_with_the_page(run, page):
    board = pd.read_csv(run / "report" / "tables" / "leaderboard.csv")
    for value in board["estimate"]:
        assert f"{value:.3f}" in page.text


def test_the_markdown_names_only_files_that_exist(run):
    report = run / "report"
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (report / "report.md").read_text())
    assert len(pictures) >= 6
    assert all((report / name).is_file() for name in pictures)


def test_the_latex_has_every_table_of_the_markdown_with_equal_columns_in_each_row(run):
    tex = (run / "report" / "tables.tex").read_text()
    tables = re.findall(r"\\begin\{longtable\}\{([lr]+)\}(.*?)\\end\{longtable\}", tex, re.DOTALL)
    assert len(re.findall(r"^\| ?:?---", (run / "report" / "report.md").read_text(), re.MULTILINE)) == len(tables)
    for columns, body in tables:
        rows = [line for line in body.splitlines() if line.endswith(r" \\") and "caption" not in line]
        assert {len(columns)} == {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows}
    assert r"moment\_lora" in tex


def test_selection_results_are_marked_not_for_claims(page):
    assert "Not for claims." in page.text


def test_rows_and_score_files_make_the_same_bytes_elsewhere_without_the_metrics_of_the_rows(run, tmp_path):
    def contents(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    moved = shutil.copytree(run, tmp_path / "elsewhere" / "run", ignore=shutil.ignore_patterns("report"))
    without_metrics(moved, {"report", "select"})
    build_report([moved])
    first, second = contents(run / "report"), contents(moved / "report")
    assert list(first) == list(second)
    assert [] == [name for name in first if first[name] != second[name]]


def test_hostile_names_are_escaped_everywhere(tmp_path):
    skill = {"random": {0: 0.0}, HOSTILE: {20: 1.0}, "moment_" + HOSTILE: {20: 1.0}}
    run = make_run(
        tmp_path / "run",
        FakeSweep(
            name=HOSTILE, sources=(HOSTILE, "b"), skill=skill, draws=2, fault_types=(HOSTILE, "cpu"), searched=(),
            bad={(HOSTILE, 20, 101): ("failed", HOSTILE)},
        ),
    )  # fmt: skip
    text = build_report([run]).read_text()
    parsed = Parsed(text)
    assert "pwned" in text
    assert [] == [a for _, a in parsed.tags if "onerror" in a]
    assert [] == [tag for tag, _ in parsed.tags if tag == "img"]
    assert 2 == len([a for tag, a in parsed.tags if tag == "script" and a.get("type") is None])
    assert "<script" not in (run / "report" / "report.md").read_text()
    assert all(re.fullmatch(r"[a-z0-9_.-]+", p.name) for p in (run / "report" / "figures").iterdir())


def test_an_incomplete_run_is_headed_incomplete_and_claims_nothing(tmp_path):
    absent = tuple(("random_forest", 100, draw) for draw in (103, 104, 105))
    run = make_run(tmp_path / "run", FakeSweep(skill=SMALL, draws=6, absent=absent, searched=()))
    text = Parsed(build_report([run]).read_text()).text
    assert "incomplete: 33 of 36 draws" in text
    assert "beats every" not in text
    assert "no row yet" in text


def test_a_failed_draw_is_named_with_its_reason(tmp_path):
    bad = {("moment_lora", 20, 103): ("oom", "OutOfMemoryError: 9 GB asked for")}
    run = make_run(tmp_path / "run", FakeSweep(skill=SMALL, draws=6, bad=bad, searched=()))
    text = Parsed(build_report([run]).read_text()).text
    assert "OutOfMemoryError: 9 GB asked for" in text
    assert "5 of 6" in text


def test_real_data_carry_no_banner_of_simulation(tmp_path):
    run = make_run(tmp_path / "run", FakeSweep(skill={"random": {0: 0.0}}, draws=2, simulated=False))
    assert "SIMULATED" not in Parsed(build_report([run]).read_text()).text


@pytest.mark.parametrize(
    "sweep",
    [
        FakeSweep(skill=SMALL, draws=1, candidates=2),
        FakeSweep(skill={"pca": {0: 0.9}}, draws=2, bad={("pca", 0, draw): ("timeout", "") for draw in (100, 101)}),
        FakeSweep(skill={"always_alarm": {0: 0.0}}, draws=3),
        FakeSweep(skill=SMALL, draws=2, folds=2, sources=("a", "b"), candidates=2),
        FakeSweep(skill=SMALL, draws=3, seeds="searched", searched=()),
        FakeSweep(skill=FORESTS, draws=3, searched=(), bad={("isolation_forest", 20, d): LOST for d in LATE}),
        FakeSweep(skill=FORESTS, draws=3, searched=(), bad={("moment_lora", 20, d): LOST for d in LATE}),
        FakeSweep(skill=FORESTS, draws=3, searched=(), bad={("isolation_forest", 0, d): LOST for d in LATE}),
    ],
    ids=["one draw", "nothing ok", "all draws equal", "folds and sources", "searched seeds", "an opponent failed",
         "the challenger failed", "its 0 shots failed"],
)  # fmt: skip
def test_unusual_runs_make_a_page_and_no_crash(tmp_path, sweep):
    assert build_report([make_run(tmp_path / "run", sweep)]).stat().st_size > 1e6


@pytest.mark.parametrize("metric", ["f1", "oracle_f1", "event_recall", "false_alarms_per_day"])
def test_any_metric_can_come_first(tmp_path, metric):
    run = make_run(tmp_path / "run", FakeSweep(skill=SMALL, draws=3, searched=(), objective=metric))
    assert build_report([run]).stat().st_size > 1e6


def test_two_runs_make_one_report_beside_the_first(tmp_path):
    runs = [make_run(tmp_path / name, FakeSweep(skill={"random": {0: 0.0}, "pca": {0: 1.0}}, draws=2)) for name in "ab"]
    index = build_report(runs)
    assert runs[0] / "report-of-2-runs" / "index.html" == index
    assert "pca [b]" in Parsed(index.read_text()).text


def test_the_command_prints_the_page_and_keeps_other_files_of_the_folder(run, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    command = [sys.executable, "-m", "analysis.report", str(run), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (str(tmp_path / "index.html"), "") == (done.stdout.strip(), done.stderr)
    assert "keep" == (tmp_path / "mine.txt").read_text()
    written = [path for path in sorted((run / "report").rglob("*")) if path.is_file()]
    assert 20 < len(written)
    for path in written:  # by processes of its own or not: the same bytes
        assert path.read_bytes() == (tmp_path / path.relative_to(run / "report")).read_bytes()


@pytest.mark.parametrize(("fault", "message"), [
    ("os._exit(9)", "a process that wrote figures was ended from outside"),
    ("open('/dev/full', 'w').write('a' * 99999)", "cannot write the report: No space left"),
])  # fmt: skip
def test_figures_that_cannot_be_written_beside_the_report_are_one_message_and_exit_code_two(
    run, tmp_path, fault, message
):
    code = (
        f"import os, analysis.report\nanalysis.figures.PaperFigure.savefig = lambda *_, **__: {fault}\n"
        "analysis.report.PROCESSES = 2\nanalysis.report.app()"
    )
    command = [sys.executable, "-c", code, str(run), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (2, 1) == (done.returncode, len(done.stderr.strip().splitlines())), done.stderr
    assert message in done.stderr


def test_a_folder_that_is_no_run_is_one_message_and_exit_code_two(tmp_path):
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert 2 == result.exit_code
    assert 1 == len(result.output.strip().splitlines())
    assert "not a run folder" in result.output


def test_a_place_that_cannot_be_written_is_an_error_of_the_analysis(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AnalysisError, match="cannot write the report"):
        build_report([run], output=tmp_path / "file" / "report")


def test_help_has_an_example():
    assert "Example: python -m analysis.report" in CliRunner().invoke(app, ["--help"]).output


def test_markdown_shows_what_it_would_otherwise_obey():
    assert r"a \| &lt;b&gt; \[x\](y) \`c\` moment_lora" == markdown_text("a | <b>\n[x](y) `c` moment_lora")


def test_building_a_report_loads_neither_torch_nor_ray_nor_wandb():
    code = (
        "import sys, analysis.report, analysis.recompute; "
        "print(sorted({'torch', 'ray', 'wandb', 'momentfm', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()
