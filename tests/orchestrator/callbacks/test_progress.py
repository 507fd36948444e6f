"""What a person sees: plain lines off a terminal, a table on one, and a time left that is right."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.callbacks._tally import Tally, spoken
from orchestrator.callbacks.base import CellSummary, SweepSummary
from orchestrator.callbacks.progress import Progress
from tests.fakes.plans import METRIC, make_cell, make_result, make_sweep_plan, report_trial, select_trial
from trainables.metrics import METRICS

RUN = Path("runs/one")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def plain(**options: bool) -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    return Progress(RUN, Console(file=out, width=40), **options), out


def run_failing(progress: Progress, failures: int) -> None:
    cell = make_cell(draws=failures + 1)
    progress.on_start(make_sweep_plan(cell))
    for draw in cell.report_draws[:failures]:
        trial = report_trial(cell, draw)
        progress.on_trial_start(trial)
        progress.on_row(trial, make_result(trial, draw, None, "failed", "ValueError: a [planted] error that is long"))
    last = report_trial(cell, cell.report_draws[-1])
    progress.on_row(last, make_result(last, last.draws[0], 0.75))
    progress.on_cell_done(cell, CellSummary({"ok": 1, "failed": failures}, METRIC, report=0.75, seconds=200))
    progress.on_finish(SweepSummary(Path("run"), {"ok": 1, "failed": failures}))


def test_off_a_terminal_a_failure_and_a_finished_cell_are_one_unwrapped_uncoloured_line_each():
    progress, out = plain()
    run_failing(progress, failures=1)
    trace = f"trace: runs/one/traces/{report_trial(make_cell(draws=2), 100).id}-100.txt"
    assert (
        f"failed  moment_lora-simulated-f0-k20 report draw 100: ValueError: a [planted] error that is long; {trace}\n"
        "[1/1] moment_lora-simulated-f0-k20: average_precision 0.750, 1 of 2 rows ok, 1 failed, 3 min 20 s\n"
    ) == out.getvalue()


def test_the_same_failure_over_and_over_gets_five_lines():
    progress, out = plain()
    run_failing(progress, failures=50)
    lines = out.getvalue().splitlines()
    assert 6 == len(lines)
    assert lines[4].endswith("further failures like this one are counted, not shown")
    assert "50 failed" in lines[5]


def test_quiet_prints_nothing():
    progress, out = plain(quiet=True)
    run_failing(progress, failures=5)
    assert out.getvalue() == ""


def test_verbose_has_a_line_for_every_draw():
    progress, out = plain(verbose=True)
    run_failing(progress, failures=2)
    assert "ok  moment_lora-simulated-f0-k20 report draw 102: average_precision 0.7500\n" in out.getvalue()
    assert 4 == len(out.getvalue().splitlines())


def test_a_finished_search_names_the_winner_and_its_validation_score():
    progress, out = plain()
    cell = make_cell(candidates=1)
    progress.on_start(make_sweep_plan(cell))
    summary = CellSummary({"ok": 5}, METRIC, {"rank": 4, "learning_rate": 0.00123}, 0.8, None, 4.0)
    progress.on_cell_done(cell, summary)
    assert "no report draw succeeded, validation 0.800 with rank=4 learning_rate=0.00123" in out.getvalue()


def test_a_resumed_sweep_says_how_much_is_there():
    progress, out = plain()
    cell = make_cell()
    trial = report_trial(cell)
    progress.on_start(make_sweep_plan(cell), [make_result(trial, 100)])
    assert "resumed: 1 of 2 rows are there\n" == out.getvalue()


def test_on_a_terminal_a_table_shows_counts_best_and_time_left():
    out = io.StringIO()
    clock = Clock()
    progress = Progress(RUN, Console(file=out, width=120, height=30, force_terminal=True), clock=clock)
    searched, plain_cell = make_cell(candidates=2), make_cell("random_forest", draws=4)
    progress.on_start(make_sweep_plan(searched, plain_cell))
    first, second = select_trial(searched, 0), select_trial(searched, 1)
    progress.on_trial_start(first)
    progress.on_trial_start(second)
    for draw, value in zip(first.draws, (0.5, 0.6, 0.7), strict=True):
        progress.on_row(first, make_result(first, draw, value, seconds=2.0))
    progress.on_row(second, make_result(second, 0, None, "oom", "MemoryError: planted"))
    clock.now = 6.0
    console = Console(file=io.StringIO(), width=120)
    console.print(progress._view())
    progress.on_finish(SweepSummary(Path("run"), {}))
    view = console.file.getvalue()
    assert "tiny: 4 of 12 rows, 1 failed, about 16 s left" in view
    assert ["moment_lora-simulated-f0-k20", "4/8", "1", "1", "0.600"] == view.splitlines()[2].split()
    assert "0 cells done, 1 shown, 1 more to do" in view
    assert "oom  moment_lora-simulated-f0-k20 select draw 0: MemoryError: planted" in out.getvalue()


def test_best_so_far_needs_a_whole_block_of_good_draws():
    cell = make_cell(candidates=2)
    tally = Tally(make_sweep_plan(cell))
    lucky, whole = select_trial(cell, 0), select_trial(cell, 1)
    tally.add(lucky, make_result(lucky, 0, 0.99))
    tally.add(lucky, make_result(lucky, 1, None, "failed"))
    tally.add(lucky, make_result(lucky, 2, 0.99))
    assert tally.best(tally.cells[cell.name]) is None
    for draw in whole.draws:
        tally.add(whole, make_result(whole, draw, 0.4))
    assert 0.4 == pytest.approx(tally.best(tally.cells[cell.name]))


def test_a_metric_where_low_is_good_has_the_lowest_as_best():
    cell = make_cell(candidates=2)
    plan = make_sweep_plan(cell)
    low_is_good = next(name for name, metric in METRICS.items() if metric.direction == "min")
    tally = Tally(plan)
    tally.metric = low_is_good
    for candidate, value in ((0, 5.0), (1, 3.0)):
        trial = select_trial(cell, candidate)
        for draw in trial.draws:
            tally.add(trial, {**make_result(trial, draw), low_is_good: value})
    assert 3.0 == tally.best(tally.cells[cell.name])


def test_a_draw_that_runs_again_replaces_its_earlier_row():
    cell = make_cell()
    first, second = report_trial(cell, 100), report_trial(cell, 101)
    tally = Tally(make_sweep_plan(cell), [make_result(first, 100, None, "failed")])
    assert (1, 1) == (tally.done, tally.failed)
    tally.started(first)
    tally.add(first, make_result(first, 100, 0.25))
    tally.add(second, make_result(second, 101, 0.75))
    assert (2, 0) == (tally.done, tally.failed)
    assert 0.5 == tally.best(tally.cells[cell.name])
    assert not tally.cells[cell.name].running


def test_a_cell_that_an_earlier_start_completed_counts_as_done_until_it_is_opened_again():
    done, fresh = make_cell("pca"), make_cell()
    rows = [make_result(report_trial(done, draw), draw, None, "failed") for draw in done.report_draws]
    tally = Tally(make_sweep_plan(done, fresh), rows)
    assert 1 == tally.finished_cells
    tally.started(report_trial(done, 100))
    assert 0 == tally.finished_cells


def test_while_the_report_is_made_the_terminal_says_so():
    progress = Progress(RUN, Console(file=io.StringIO(), force_terminal=True))
    cell = make_cell()
    progress.on_start(make_sweep_plan(cell), [make_result(report_trial(cell, d), d) for d in cell.report_draws])
    assert "tiny: all cells are done; making the report" == str(progress._view())
    progress.on_finish(SweepSummary(Path("run"), {}))


def test_time_left_weighs_what_is_left_by_what_its_detector_costs():
    clock = Clock()
    cheap, dear, dear_later = make_cell("pca", draws=3), make_cell("moment_lora", 20), make_cell("moment_lora", 100)
    tally = Tally(make_sweep_plan(cheap, dear, dear_later), clock=clock)
    assert tally.seconds_left() is None
    tally.add(report_trial(cheap), make_result(report_trial(cheap), 100, seconds=1.0))
    tally.add(report_trial(dear), make_result(report_trial(dear), 100, seconds=10.0))
    clock.now = 5.5  # 11 busy seconds in 5.5: two at a time
    expected = (2 * 1.0 + 1 * 10.0 + 2 * 10.0) / 2
    assert expected == pytest.approx(tally.seconds_left())


def test_a_finished_cell_has_nothing_left_even_if_draws_were_raced_out():
    clock = Clock()
    cell = make_cell(candidates=2)
    tally = Tally(make_sweep_plan(cell), clock=clock)
    tally.add(report_trial(cell), make_result(report_trial(cell), 100))
    clock.now = 1.0
    assert tally.seconds_left() > 0
    tally.finish(cell)
    assert 0 == tally.seconds_left()


@given(st.floats(0, 1e6))
def test_spoken_seconds_read_back_to_within_a_minute(seconds):
    factor = {"s": 1, "min": 60, "h": 3600}
    words = spoken(seconds).split()
    total = sum(int(n) * factor[unit] for n, unit in zip(words[::2], words[1::2], strict=True))
    assert abs(total - seconds) <= (60 if "h" in words else 1)
