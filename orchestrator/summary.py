"""What the command line prints last: rows by status, cells without a result, the report, how to go on."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

FAILED = ("failed", "timeout", "oom", "interrupted")
"""Statuses that make the exit code 1; pruned draws were raced out on purpose."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sweep ended.

    Attributes
    ----------
    statuses
        Rows by status.
    missing
        Planned rows that do not exist.
    failures
        Name of each cell whose report draws cannot run -> the reason.
    interrupt_code
        130 or 143 after a signal, else 0.
    """

    statuses: Mapping[str, int]
    missing: int
    failures: Mapping[str, str]
    interrupt_code: int = 0

    @property
    def failed(self) -> int:
        """Rows of draws that failed."""
        return sum(self.statuses.get(status, 0) for status in FAILED)

    @property
    def exit_code(self) -> int:
        """Return 0 if all is well, 1 if draws failed or are missing, 130 or 143 after a signal."""
        return self.interrupt_code or int(bool(self.failed or self.missing))


def print_summary(run: Path, outcome: Outcome, report: Path | None, console: Console | None = None) -> None:
    """Print the summary: not wrapped, so that paths and commands can be copied."""
    out = console or Console(soft_wrap=True, highlight=False, markup=False)
    counts = ", ".join(f"{number} {status}" for status, number in sorted(outcome.statuses.items())) or "none"
    planned = sum(outcome.statuses.values()) + outcome.missing
    out.print(f"rows: {counts}; {outcome.missing} of {planned} missing")
    for cell, reason in outcome.failures.items():
        out.print(f"no report draws of {cell}: {reason}")
    if outcome.failed:
        out.print(f"reasons: column `reason` of {run / 'results.parquet'}; full traces: {run / 'traces'}")
    if report is not None:
        out.print(f"report: {report}")
    command = f"python -m orchestrator.sweep --resume {shlex.quote(str(run))}"
    if outcome.interrupt_code:
        out.print(f"interrupted; go on with: {command}")
    elif outcome.failed:
        out.print(f"run the failed draws again with: {command} --retry-failed")
