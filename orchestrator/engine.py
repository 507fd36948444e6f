"""run: a plan -> a run folder with rows, scores, manifest and report, and the exit code."""

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import optuna

from orchestrator.backends import Workplace, cluster_address, make_backend
from orchestrator.callbacks.base import Observer, Observers, SweepSummary
from orchestrator.callbacks.progress import Progress
from orchestrator.driver import Driver
from orchestrator.errors import PlanError, RunFolderError
from orchestrator.interrupts import Interrupts, SweepInterrupt
from orchestrator.log_file import log_file
from orchestrator.options import RunOptions
from orchestrator.plan import SweepPlan
from orchestrator.provenance import Provenance, manifest, provenance
from orchestrator.resources import Machine, local_machine, plan_slots
from orchestrator.results import candidates_at_first, read_manifest
from orchestrator.rows import SweepFacts
from orchestrator.storage import LOG, SPEC, RunFolder
from orchestrator.summary import Outcome, print_summary
from orchestrator.weights import ResolvedWeights, resolve_weights, worker_folders
from trainables.data.series import LabelledSeries

logger = logging.getLogger(__name__)


def run(
    plan: SweepPlan,
    series: Mapping[str, LabelledSeries],
    run_dir: Path,
    options: RunOptions,
    observers: Sequence[Observer] | None = None,
    *,
    with_report: bool = True,
) -> int:
    """Run what the run folder lacks and return the exit code of the command line.

    Parameters
    ----------
    plan
        What to run.
    series
        Telemetry by source name.
    run_dir
        The run folder: new or empty, or with `options.resume` one that exists.
    options
        How to run it.
    observers
        Who watches; default: progress on standard error, and the tracker that the sweep file asks for.
    with_report
        Build the report at the end.

    Returns
    -------
    int
        0 complete; 1 complete, but some draws or the report failed; 130 or 143 after SIGINT or SIGTERM.

    Raises
    ------
    RunFolderError
        The folder cannot be used, or was made by other code or data (without `options.force`).
    PlanError
        This machine or cluster cannot run the plan.
    WeightsError
        A backbone cannot be had.
    """
    started = time.monotonic()
    if options.backend == "ray":
        options = replace(options, address=cluster_address(options.address))
    audience = Observers(_default_observers(plan, run_dir, options) if observers is None else observers)
    weights = resolve_weights(plan)
    origin = provenance(plan, weights)
    interrupts = Interrupts()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with RunFolder(run_dir, resume=options.resume) as folder:
        driver = Driver(
            plan, folder, _facts(plan, series, origin), audience, retry_failed=options.retry_failed, force=options.force
        )
        earlier = _earlier_fingerprints(folder, origin, options, nothing_to_do=driver.is_over)
        with log_file(run_dir / LOG), interrupts.caught():
            started_work = not driver.is_over or folder.lacks_results
            if started_work:
                machine = local_machine()
                if not driver.is_over:
                    folder.write_text(SPEC, plan.spec.to_yaml())
                    folder.write_manifest(
                        manifest(plan, origin, machine, weights, earlier, candidates_at_first(run_dir))
                    )
                audience.on_start(plan, folder.records)
                try:
                    _work(driver, folder, _workplace(driver, series, machine, weights, options), interrupts, options)
                except BaseException as err:
                    broken = Outcome(driver.statuses, driver.missing, driver.failures, interrupts.exit_code)
                    audience.on_finish(replace(_summary(run_dir, broken, started, None), interrupted=True))
                    if isinstance(err, PlanError) and not options.resume and not driver.statuses:
                        folder.discard()
                    raise
            outcome = Outcome(driver.statuses, driver.missing, driver.failures, interrupts.exit_code)
            report, problem = None, None
            try:
                if with_report and interrupts.arrived is None:
                    report, problem = _report(run_dir, interrupts)
            finally:
                if started_work:
                    _tell_end(audience, _summary(run_dir, outcome, started, report), interrupts)
                outcome = replace(outcome, interrupt_code=interrupts.exit_code)
                print_summary(run_dir, outcome, report)
    if problem:
        sys.stderr.write(f"{problem}\n")
    return outcome.exit_code or int(problem is not None)


def resume_lines(
    plan: SweepPlan, series: Mapping[str, LabelledSeries], run_dir: Path, options: RunOptions
) -> list[str]:
    """Return what `run` with `options.resume` would still do, for people; nothing is written, no weights resolved.

    Raises
    ------
    RunFolderError
        As `run`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    origin = provenance(plan, {})
    with RunFolder(run_dir, resume=True) as folder:
        driver = Driver(plan, folder, _facts(plan, series, origin), Observers([]), retry_failed=options.retry_failed)
        _earlier_fingerprints(folder, origin, options, nothing_to_do=driver.is_over)
    there = ", ".join(f"{count} {status}" for status, count in sorted(driver.statuses.items())) or "none"
    lines = [f"resume {run_dir}: {there}; {driver.missing} of {plan.rows} rows left"]
    return lines + [f"  {name}: {rows} rows left" for name, rows in driver.left.items()]


def _work(driver: Driver, folder: RunFolder, workplace: Workplace, interrupts: Interrupts, options: RunOptions) -> None:
    """Run what is missing; whatever happens, the rows that exist become `results.parquet`."""
    driver.start()
    try:
        if not driver.is_over:
            backend = make_backend(options.backend, address=options.address, verbose=options.verbose)
            backend.run(driver, workplace, interrupts)
    except SweepInterrupt:
        logger.info("interrupted by signal %s", interrupts.arrived)
    finally:
        folder.write_results()


def _tell_end(audience: Observers, summary: SweepSummary, interrupts: Interrupts) -> None:
    """Tell the observers; a signal ends the wait for one that is slow."""
    if interrupts.arrived is not None:
        audience.on_finish(summary)
        return
    with suppress(SweepInterrupt), interrupts.may_strike():
        audience.on_finish(summary)


def _report(run_dir: Path, interrupts: Interrupts) -> tuple[Path | None, str | None]:
    """Build the report of what is there; return its path, or why there is none."""
    from analysis.errors import AnalysisError  # noqa: PLC0415  (plotting libraries take a second to import)
    from analysis.report import build_report  # noqa: PLC0415

    try:
        with interrupts.may_strike():
            return build_report([run_dir]), None
    except SweepInterrupt:
        return None, None
    except AnalysisError as err:
        return None, f"the rows are complete, but there is no report: {err}"
    except Exception as err:  # hours of rows must not end in a trace because a drawing cannot be written
        logger.info("the report failed", exc_info=err)
        why = f"{type(err).__name__}: {err}"
        return None, f"the rows are complete, but there is no report: {why}; full trace: {run_dir / LOG}"


def _earlier_fingerprints(
    folder: RunFolder, origin: Provenance, options: RunOptions, *, nothing_to_do: bool
) -> tuple[str, ...]:
    """Return the fingerprints that rows of earlier starts carry.

    Raises
    ------
    RunFolderError
        Code, data or packages changed since, there is something to run, and nobody forces it.
    """
    if not options.resume:
        return ()
    if not folder.has_manifest:
        return ()  # the earlier start ended before it had one, hence before its first row
    before = read_manifest(folder.path)
    changes = origin.changes(before)
    if changes and not nothing_to_do and not options.force:
        shown = "\n".join(f"  {change}" for change in changes)
        raise RunFolderError(
            f"{folder.path}: made by something else than what would continue it:\n{shown}\n"
            f"undo the change, start a new run, or add --force: rows then carry another fingerprint"
        )
    listed = before.get("earlier_fingerprints")
    earlier = [str(name) for name in listed] if isinstance(listed, list) else []
    return (*earlier, str(before.get("fingerprint"))) if changes else tuple(earlier)


def _facts(plan: SweepPlan, series: Mapping[str, LabelledSeries], origin: Provenance) -> SweepFacts:
    return SweepFacts(
        sweep=plan.spec.name,
        unit=plan.spec.few_shot.unit,
        select_on=plan.spec.search.select_on,
        seeds=plan.spec.few_shot.seeds,
        simulated={name: one.simulated for name, one in series.items()},
        fingerprint=origin.fingerprint,
        weights=origin.weights,
    )


def _workplace(
    driver: Driver,
    series: Mapping[str, LabelledSeries],
    machine: Machine,
    weights: Mapping[str, ResolvedWeights],
    options: RunOptions,
) -> Workplace:
    plan, left = driver.plan, driver.left
    resources = plan.spec.resources
    here = options.backend == "inline" or options.address is None
    needs_gpu = here and not driver.is_over and any(cell.gpu for cell in plan.cells if cell.name in left)
    return Workplace(
        settings=plan.settings,
        series=series,
        machine=machine,
        slots=plan_slots(machine, resources, needs_gpu=needs_gpu),
        limits=resources,
        weights=worker_folders(weights),
        external={said.key: said for said in plan.external.values()},
    )


def _default_observers(plan: SweepPlan, run_dir: Path, options: RunOptions) -> list[Observer]:
    from orchestrator.callbacks.wandb import wandb_observer  # noqa: PLC0415

    tracker = wandb_observer(plan.spec.tracking.wandb, run_dir)
    progress: Observer = Progress(run_dir, quiet=options.quiet, verbose=options.verbose)
    return [progress] if tracker is None else [progress, tracker]


def _summary(run_dir: Path, outcome: Outcome, started: float, report: Path | None) -> SweepSummary:
    return SweepSummary(
        run=run_dir,
        statuses=outcome.statuses,
        missing=outcome.missing,
        interrupted=outcome.interrupt_code != 0,
        seconds=time.monotonic() - started,
        report=report,
    )
