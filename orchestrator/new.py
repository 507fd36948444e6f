"""Write a sweep file that fits a table: `python -m orchestrator.new --data FILE [--incidents FILE]`."""

from orchestrator import environment

if __name__ == "__main__":
    environment.check_core()  # before the imports below fail with a traceback

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.errors import OrchestratorError
from orchestrator.estimate import Estimate, estimate
from orchestrator.fitted_spec import EFFORTS, Effort, spec_text
from orchestrator.new_file import refuse_existing, write_new
from orchestrator.plan import SweepPlan, make_plan
from orchestrator.resources import local_machine, plan_slots
from orchestrator.spec import spec_from_text
from trainables.data import load_source
from trainables.data.inspection import Inspection, Suggestion, inspect_series
from trainables.data.inspection.command import SIMULATED, settings_of
from trainables.data.inspection.finding import SEVERITIES
from trainables.data.wording import number_of
from trainables.errors import ProtocolError, TrainablesError
from trainables.settings import DataSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

LONG_S = 3 * 3600.0
"""A first sweep should not take longer than a morning on this machine; with less effort if need be."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A sweep file as text, its plan, what it will cost, and the effort it makes."""

    text: str
    plan: SweepPlan
    cost: Estimate
    effort: Effort


@app.command()
def new(
    data: Annotated[str, typer.Option(help="The table: CSV, CSV.gz or Parquet; or: simulated.")],
    incidents: Annotated[
        Path | None, typer.Option(help="CSV with start, end or duration, service, type; for a table without labels.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Reader of the data, where it is no table; trainables.data convert lists them."),
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA zone of times without an offset; default UTC.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Sweep file to write; default: NAME.yaml, in search_spaces if there is one.")
    ] = None,
) -> None:
    """Write a commented sweep file that fits a table and runs as it is.

    \b
    python -m orchestrator.new --data metrics.parquet --incidents incidents.csv
    python -m orchestrator.new --data telemetry.csv --output search_spaces/shop.yaml
    python -m orchestrator.new --data simulated
    """  # noqa: D301  (typer's mark for lines that stay as they are)
    try:
        settings = settings_of(data, incidents, timezone, source)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", settings.source_name).strip("-._") or "sweep"
        target = output or _default(name)
        refuse_existing(target)
        inspection = inspect_series(load_source(settings), settings)
        fitted = fit(name, inspection, target)
        write_new(target, fitted.text)
    except (OrchestratorError, TrainablesError) as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err
    for line in summary(target, inspection, fitted):
        typer.echo(line)


def fit(name: str, inspection: Inspection, target: Path) -> Fitted:
    """Return a sweep file to be written to `target`, read back and planned, with as much effort as the time allows.

    Raises
    ------
    ProtocolError
        The table cannot carry a sweep.
    """
    if inspection.suggestion is None:
        raise ProtocolError("\n".join([inspection.refusal, *_incidents(inspection)]))
    for effort in EFFORTS:
        text = spec_text(name, inspection, inspection.suggestion, target.parent, effort)
        plan, cost = _planned(text, inspection.suggestion, inspection, target)
        fitted = Fitted(text, plan, cost, effort)
        if cost.seconds is None or cost.seconds <= LONG_S:
            break
    return fitted


def summary(target: Path, inspection: Inspection, fitted: Fitted) -> list[str]:
    """Return what was written and why, one statement a line."""
    size = f"{number_of(fitted.plan.trials, 'trial')} in {number_of(len(fitted.plan.cells), 'cell')}"
    lines = [f"{target}: {size}, {_time(fitted.cost)}"]
    suggestion = inspection.suggestion
    if suggestion is not None:
        lines += [f"  {key} {value}: {suggestion.reasons[key]}" for key, value in _chosen(suggestion)]
    if fitted.effort != EFFORTS[0]:
        lines.append(
            f"  search.candidates {fitted.effort.candidates}: more would take longer than {LONG_S / 3600:g} h here"
        )
    lines += _incidents(inspection)
    if inspection.prospects is not None:
        lines += inspection.prospects.claims
    severe, warning = ([it.kind for it in inspection.findings if it.severity == each] for each in SEVERITIES[:2])
    if severe or warning:
        where = _arguments(suggestion.data) if suggestion else SIMULATED
        named = f" ({', '.join(severe)})" if severe else ""
        told = f"{len(severe)} severe{named}, {len(warning)} to know"
        lines.append(f"findings: {told}: python -m trainables.data inspect {where}")
    command = f"python -m orchestrator.sweep {target}"
    return [*lines, f"look: {command} --dry-run", f"run:  {command}"]


def _incidents(inspection: Inspection) -> list[str]:
    """Return what is odd about the file of incidents, by line."""
    return [finding.what for finding in inspection.findings if finding.kind == "incidents"]


def _arguments(data: DataSettings) -> str:
    """Return what the inspection has to be given for the same table."""
    words = [str(data.path or SIMULATED)]
    words += ["--source", data.source] if data.source not in ("table", SIMULATED) else []
    words += ["--incidents", str(data.incidents)] if data.incidents else []
    words += ["--timezone", data.timezone] if data.timezone else []
    return shlex.join(words)


def _chosen(suggestion: Suggestion) -> list[tuple[str, str]]:
    data, split = suggestion.data, suggestion.split
    segments = (
        "all"
        if data.segments == "all"
        else f"[{', '.join(data.segments[:4])}{', ...' if len(data.segments) > 4 else ''}]"
    )
    values = {
        "data.segments": segments,
        "data.window": str(data.window),
        "data.score_stride": str(data.score_stride),
        "data.normalise": data.normalise,
        "split.by": split.by,
        "split.folds": str(split.folds),
        "few_shot.shots": str(list(suggestion.few_shot.shots)),
        "threshold.quantile": f"{suggestion.threshold.quantile:g}",
    }
    return [(key, value) for key, value in values.items() if key in suggestion.reasons]


def _time(cost: Estimate) -> str:
    if cost.seconds is None:
        return f"time not known ({cost.basis})"
    minutes = cost.seconds / 60
    return (
        f"about {minutes:.0f} min on this machine" if minutes < 120 else f"about {minutes / 60:.1f} h on this machine"
    )


def _planned(text: str, suggestion: Suggestion, inspection: Inspection, target: Path) -> tuple[SweepPlan, Estimate]:
    """Read the text back as a sweep file at `target` and plan it, as --dry-run does."""
    spec = spec_from_text(text, target)
    series = {source.source_name: suggestion.kept(inspection.series) for source in spec.sources}
    plan = make_plan(spec, series)
    return plan, estimate(plan, series, plan_slots(local_machine(), spec.resources, needs_gpu=False))


def _default(name: str) -> Path:
    folder = Path("search_spaces")
    return (folder if folder.is_dir() else Path()) / f"{name}.yaml"


if __name__ == "__main__":
    app()
