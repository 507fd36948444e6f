"""Progress for people: a live table on a terminal; elsewhere one plain line a finished cell and one a failure."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.callbacks._tally import FAILURES, CellTally, Tally, spoken
from orchestrator.callbacks.base import CellSummary, Row, SweepSummary
from orchestrator.plan import Cell, SweepPlan, TrialPlan
from orchestrator.results import Cell as Value
from orchestrator.results import trace_file
from trainables.trial import WindowScores

SAME_FAILURE_LINES = 5
"""Failures with the same reason in one cell that get a line each; further ones are counted."""

REFRESHES_PER_SECOND = 2


class Progress:
    """Shows a sweep while it runs, on standard error.

    Parameters
    ----------
    run
        The run folder: lines of failures name the file of their full trace.
    console
        Where to; default standard error.
    quiet
        Show nothing.
    verbose
        One line for every draw as well.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        run: Path,
        console: Console | None = None,
        *,
        quiet: bool = False,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._console = console or Console(stderr=True)
        self._quiet = quiet
        self._verbose = verbose
        self._clock = clock
        self._tally: Tally | None = None
        self._live: Live | None = None
        self._same: Counter[tuple[str, str]] = Counter()

    def on_start(self, plan: SweepPlan, rows: Sequence[Row] = ()) -> None:
        """Begin the live table where there is a terminal."""
        self._tally = Tally(plan, rows, self._clock)
        if rows:
            self._line(f"resumed: {self._tally.done} of {plan.rows} rows are there")
        if self._console.is_terminal and not self._quiet:
            self._live = Live(
                get_renderable=self._view,
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def on_trial_start(self, trial: TrialPlan) -> None:
        """Count the trial as running."""
        self._counts.started(trial)

    def on_row(self, trial: TrialPlan, row: Row, scores: WindowScores | None = None) -> None:  # noqa: ARG002
        """Count the row; a failure gets a line with its reason."""
        self._counts.add(trial, row)
        name = f"{trial.cell.name} {row['phase']} draw {row['draw']}"
        if row["status"] in FAILURES:
            self._failure(trial.cell.name, name, row)
        elif self._verbose:
            value = row.get(self._counts.metric)
            shown = f"{self._counts.metric} {value:.4f}" if isinstance(value, float) else "no value"
            self._line(f"{row['status']}  {name}: {shown}{_settings(_parameters(row))}")

    def on_cell_done(self, cell: Cell, summary: CellSummary) -> None:
        """Print the line of the finished cell."""
        tally = self._counts.finish(cell)
        place = f"[{self._counts.finished_cells}/{len(self._counts.cells)}]"
        self._line(f"{place} {cell.name}: {_outcome(tally, summary)}")

    def on_finish(self, summary: SweepSummary) -> None:  # noqa: ARG002
        """Take the live table away; the summary is printed by the command line."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def _counts(self) -> Tally:
        if self._tally is None:
            raise RuntimeError("on_start must be the first call")
        return self._tally

    def _failure(self, cell: str, name: str, row: Row) -> None:
        reason = " ".join(str(row.get("reason") or "no reason given").split())
        self._same[cell, reason] += 1
        seen = self._same[cell, reason]
        if seen > SAME_FAILURE_LINES:
            return
        more = "; further failures like this one are counted, not shown" if seen == SAME_FAILURE_LINES else ""
        trace = trace_file(self._run, str(row["trial"]), int(row["draw"] or 0))
        self._line(f"{row['status']}  {name}: {reason}; trace: {trace}{more}")

    def _line(self, text: str) -> None:
        """Print one line, neither wrapped nor coloured, above the live table if there is one."""
        if not self._quiet:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _view(self) -> RenderableType:
        counts = self._counts
        if counts.finished_cells == len(counts.cells):
            return Text(f"{counts.plan.spec.name}: all cells are done; making the report", style="bold")
        left = counts.seconds_left()
        title = f"{counts.plan.spec.name}: {counts.done} of {counts.plan.rows} rows"
        title += f", {counts.failed} failed" if counts.failed else ""
        title += f", about {spoken(left)} left" if left is not None else ""
        table = Table("cell", "rows", "running", "failed", f"best {counts.metric} so far", box=None, pad_edge=False)
        active = sorted(
            (tally for tally in counts.cells.values() if not tally.finished and (tally.done or tally.running)),
            key=lambda tally: not tally.running,
        )
        shown = active[: max(self._console.height - 6, 3)]
        for tally in shown:
            best = counts.best(tally)
            table.add_row(
                tally.cell.name,
                f"{tally.done}/{tally.planned}",
                str(len(tally.running) or ""),
                str(tally.failed or ""),
                "" if best is None else f"{best:.3f}",
            )
        waiting = len(counts.cells) - counts.finished_cells - len(shown)
        foot = f"{counts.finished_cells} cells done, {len(shown)} shown, {waiting} more to do"
        return Group(Text(title, style="bold"), table, Text(foot, style="dim"))


def _outcome(tally: CellTally, summary: CellSummary) -> str:
    good = summary.statuses.get("ok", 0)
    parts = ["no report draw succeeded" if summary.report is None else f"{summary.metric} {summary.report:.3f}"]
    if summary.selection is not None:
        parts.append(f"validation {summary.selection:.3f}{_settings(summary.parameters)}")
    parts.append(f"{good} of {tally.done} rows ok")
    bad = {status: count for status, count in summary.statuses.items() if status != "ok" and count}
    parts += [f"{count} {status}" for status, count in sorted(bad.items())]
    parts.append(spoken(summary.seconds))
    return ", ".join(parts)


def _settings(parameters: Mapping[str, Value]) -> str:
    if not parameters:
        return ""
    shown = (
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in parameters.items()
    )
    return f" with {' '.join(shown)}"


def _parameters(row: Row) -> dict[str, Value]:
    return {name.removeprefix("param."): value for name, value in row.items() if name.startswith("param.")}
