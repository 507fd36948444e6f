"""One observer that fails costs one warning; everybody else goes on."""

import logging
from pathlib import Path

import pytest

from orchestrator.callbacks.base import CellSummary, Observers, SweepSummary, count_statuses
from tests.fakes.plans import make_cell, make_result, make_sweep_plan, report_trial

EVENTS = ("on_start", "on_trial_start", "on_row", "on_cell_done", "on_finish")


class Recording:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def __getattr__(self, name: str):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *arguments: self.heard.append(name)


class FailingAt:
    """Raises at one event; does nothing at the others."""

    def __init__(self, event: str) -> None:
        self.event = event
        self.calls = 0

    def __getattr__(self, name: str):
        if not name.startswith("on_"):
            raise AttributeError(name)

        def hear(*arguments: object) -> None:
            if name == self.event:
                self.calls += 1
                raise OSError("planted")

        return hear


def tell_everything(observers: Observers) -> None:
    cell = make_cell()
    trial = report_trial(cell)
    observers.on_start(make_sweep_plan(cell))
    for draw in cell.report_draws:
        observers.on_trial_start(trial)
        observers.on_row(trial, make_result(trial, draw))
    observers.on_cell_done(cell, CellSummary({"ok": 2}, "average_precision"))
    observers.on_finish(SweepSummary(Path("run"), {"ok": 2}))


@pytest.mark.parametrize("event", EVENTS)
def test_an_observer_that_fails_is_warned_about_once_and_the_others_hear_everything(event, caplog):
    failing, before, after = FailingAt(event), Recording(), Recording()
    with caplog.at_level(logging.WARNING):
        tell_everything(Observers([before, failing, after]))
    expected = ["on_start", "on_trial_start", "on_row", "on_trial_start", "on_row", "on_cell_done", "on_finish"]
    assert expected == before.heard
    assert expected == after.heard
    assert 1 == failing.calls
    assert [f"FailingAt is switched off: {event} failed with OSError: planted"] == [
        record.getMessage() for record in caplog.records
    ]


def test_what_stops_the_sweep_itself_passes_through_the_guard():
    class Interrupting(Recording):
        def on_row(self, *arguments: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tell_everything(Observers([Interrupting()]))


def test_a_summary_counts_rows_of_every_status():
    trial = report_trial(make_cell())
    rows = [make_result(trial, 100), make_result(trial, 101, None, "failed"), make_result(trial, 102)]
    assert {"ok": 2, "failed": 1} == count_statuses(rows)
    assert 3 == SweepSummary(Path("run"), count_statuses(rows)).rows
