"""Run a sweep: `python -m orchestrator.sweep SPEC`. Parse, load, plan, run; exit 0, 1, 2, 130 or 143.

0 complete; 1 complete, but some draws failed; 2 bad input, nothing started, or the run folder could not be written any
more; 130, 143 interrupted, state kept.
"""

from orchestrator import environment, interrupts

if __name__ == "__main__":
    interrupts.leave_at_once()  # the imports below take seconds
    environment.check_core()  # before they fail with a traceback

import logging
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.callbacks.wandb_account import mode_of
from orchestrator.errors import OrchestratorError, SpecError
from orchestrator.estimate import constant_costs
from orchestrator.memory_plan import plan_memory
from orchestrator.new_run import made, new_run
from orchestrator.options import Backend, RunOptions
from orchestrator.plan import make_plan
from orchestrator.plan_view import print_plan
from orchestrator.probe import probe as measured_costs
from orchestrator.resources import local_machine, plan_slots
from orchestrator.results import candidates_at_first
from orchestrator.spec import SweepSpec, load_spec
from orchestrator.storage import SPEC, RunFolder
from orchestrator.time_budget import fitted, seconds_of
from trainables.data import LabelledSeries, load_source
from trainables.data.big_tables import remove_abandoned
from trainables.errors import TrainablesError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def sweep(  # noqa: PLR0917  (typer: one argument per option)
    spec: Annotated[Path | None, typer.Argument(help="Sweep file (YAML).", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option(help="Run folder; must not exist or be empty. Default: runs/NAME-TIME.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Read this table instead of the file's data.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change one key; repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, start nothing.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Time a few steps of each cell here; the plan then rests on that.")
    ] = False,
    time_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Cut candidates and draws to fit 15m, 2h or 1h30m; says what.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Run what this run folder lacks.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="With --resume: failed draws again.")] = False,
    extend: Annotated[int, typer.Option(min=0, help="With --resume: N more candidates than at first.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="With --resume: although code or data changed.")] = False,
    address: Annotated[str | None, typer.Option(help="Address of a running Ray cluster.")] = None,
    backend: Annotated[Backend, typer.Option(help="inline: in this process, for a debugger.")] = "ray",
    quiet: Annotated[bool, typer.Option("--quiet", help="No plan, no progress.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every trial in detail.")] = False,
) -> None:
    """Run the sweep that SPEC describes, or finish the one in --resume RUN."""
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a file has no width: nothing is cut or wrapped there
    _configure_logging(logging.DEBUG if verbose else logging.WARNING)
    options = RunOptions(backend, address, quiet, verbose, resume is not None, retry_failed, force)
    try:
        _refuse_combinations(
            options, spec=spec, output=output, overrides=overrides, probe=probe, time_budget=time_budget, extend=extend
        )
        budget_s = None if time_budget is None else seconds_of(time_budget)
        checked = load_spec(_spec_path(spec, resume), overrides=overrides or [], data=data)
        run_dir = resume or new_run(checked.name, output)
        forecast = Forecast(probe, budget_s)
        longer = _extended(checked, run_dir, extend) if extend else checked
        code = _run(longer, run_dir, options, console, forecast, dry_run=dry_run)
    except (OrchestratorError, TrainablesError) as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err
    except KeyboardInterrupt as err:
        raise typer.Exit(130) from err
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class Forecast:
    """How the time of a sweep is known, and what it must not exceed."""

    probe: bool
    budget_s: float | None


def _run(
    spec: SweepSpec, run_dir: Path, options: RunOptions, console: Console, forecast: Forecast, *, dry_run: bool
) -> int:
    on_gpu = {name: detector.gpu for name, detector in spec.detectors.items()}
    environment.check(environment.needed(on_gpu, backend=options.backend, tracking=spec.tracking.wandb.mode))
    mode_of(spec.tracking.wandb)  # a dry run, too, says what a start would refuse
    if not dry_run:
        remove_abandoned()
    series = _load(spec)
    plan = make_plan(spec, series)
    machine = local_machine()
    starts_here = not (dry_run or options.resume or options.cluster)  # the engine knows what a resume still runs
    slots = plan_slots(machine, spec.resources, needs_gpu=starts_here and any(cell.gpu for cell in plan.cells))
    cards_held = bool(machine.gpus) and not slots.gpu
    binding = not (options.cluster or cards_held)  # elsewhere or later there may be a card
    if binding:
        plan_memory(plan, series, on_gpu=slots.gpu > 0)  # refuses what cannot fit, also when no plan is printed
    costs = measured_costs(plan, series, slots) if forecast.probe else constant_costs(plan, series, slots)
    cuts: list[str] = []
    if forecast.budget_s is not None:
        plan, cuts = fitted(plan, costs, slots, forecast.budget_s)
    if dry_run or not options.quiet:
        print_plan(plan, series, machine, slots, console, costs, binding=binding)
        if options.cluster:
            line = f"note: slots, memory and time above are those of this machine, not of the cluster {options.cluster}"
            console.print(line, soft_wrap=True, highlight=False)
    for line in cuts:
        console.print(line, soft_wrap=True, highlight=False)
    if dry_run and not options.resume:
        return 0
    from orchestrator.engine import resume_lines, run  # noqa: PLC0415  (a new dry run needs no engine)

    if dry_run:
        for line in resume_lines(plan, series, run_dir, options):
            console.print(line, soft_wrap=True, highlight=False)
        return 0

    with nullcontext() if options.resume else made(run_dir):
        return run(plan, series, run_dir, options)


def _load(spec: SweepSpec) -> Mapping[str, LabelledSeries]:
    return {source.source_name: load_source(source) for source in spec.sources}


def _configure_logging(level: int) -> None:
    console = logging.StreamHandler()
    console.setLevel(level)  # of its own: libraries log INFO that only sweep.log should hold
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", handlers=[console])


def _refuse_combinations(options: RunOptions, *, extend: int, **only_new: object) -> None:
    names = {"spec": "SPEC", "output": "--output", "overrides": "--set"}
    names |= {"probe": "--probe", "time_budget": "--time-budget"}
    if options.resume:
        wrong = [name for name in names if only_new[name]]
        if wrong:
            raise SpecError([f"--resume continues a run as it was planned; leave out {names[wrong[0]]}"])
        return
    wrong = [names[name] for name in ("probe", "time_budget") if only_new[name]]
    if wrong and options.cluster:
        raise SpecError([f"{wrong[0]} measures this machine, not the cluster {options.cluster}; leave out one of both"])
    alone = {"--retry-failed": options.retry_failed, "--extend": extend, "--force": options.force}
    wrong = [name for name, value in alone.items() if value]
    if wrong:
        raise SpecError([f"{wrong[0]} goes with --resume RUN"])


def _spec_path(spec: Path | None, resume: Path | None) -> Path:
    if resume is not None:
        with RunFolder(resume, resume=True):  # refused before anything is read or printed
            return resume / SPEC
    if spec is None:
        raise SpecError(["give a sweep file, for example search_spaces/fewshot.yaml, or --resume RUN"])
    return spec


def _extended(spec: SweepSpec, run: Path, more: int) -> SweepSpec:
    """Return a search of `more` candidates beyond those that the run began with: said twice, it adds them once."""
    now = spec.search.candidates
    search = spec.search.model_copy(update={"candidates": max(now, (candidates_at_first(run) or now) + more)})
    return spec.model_copy(update={"search": search})


if __name__ == "__main__":
    app()
