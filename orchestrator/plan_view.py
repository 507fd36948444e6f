"""The plan as people read it, before the start and for --dry-run: cells, draws, rows, slots, disk, time."""

from collections import Counter
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from orchestrator.cell_search import startup_candidates
from orchestrator.estimate import Costs, Estimate, estimate
from orchestrator.external import external_lines
from orchestrator.memory_plan import memory_lines, weights_lines
from orchestrator.plan import SweepPlan
from orchestrator.racing import racing_is_on
from orchestrator.resources import Machine, Slots
from orchestrator.spec import RACING_MIN_DRAWS
from trainables.data import hold_out
from trainables.data.parts import preparation_notes
from trainables.data.series import UNLABELLED, LabelledSeries
from trainables.data.wording import number_of
from trainables.trial import EvaluationSettings

REFERENCE_DETECTORS = ("random", "always_alarm", "moving_variance", "pca")


def print_plan(
    plan: SweepPlan,
    series: Mapping[str, LabelledSeries],
    machine: Machine,
    slots: Slots,
    console: Console,
    costs: Costs | None = None,
    *,
    binding: bool = True,
) -> None:
    """Print the plan of a sweep; see `plan_lines` for what it refuses."""
    lines = plan_lines(plan, series, machine, slots, costs, binding=binding)
    console.print(_cells(plan))
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def plan_lines(
    plan: SweepPlan,
    series: Mapping[str, LabelledSeries],
    machine: Machine,
    slots: Slots,
    costs: Costs | None = None,
    *,
    binding: bool = True,
) -> list[str]:
    """Return everything beside the table of cells, one statement a line; `costs` as the probe measured them.

    `binding` as in `memory_lines`.

    Raises
    ------
    PlanError
        A cell does not fit the memory it may use.
    WeightsError
        Weights that are here are not usable.
    """
    spec = plan.spec
    cost = estimate(plan, series, slots, costs)
    lines = []
    for source in spec.sources:
        lines.append(_source_line(series[source.source_name]))
        telemetry = series[source.source_name]
        lines += [f"  {note}" for note in telemetry.notes]
        lines += [f"  {note}" for note in preparation_notes(telemetry, plan.settings[source.source_name])]
        lines += _hold_out_lines(series[source.source_name], plan.settings[source.source_name])
    lines += external_lines(plan, series)
    lines += [
        f"rows: {plan.rows} from {number_of(plan.trials, 'trial')} in {number_of(len(plan.cells), 'cell')}",
        _slot_line(machine, slots, plan),
        *(f"GPU without trials: {note}" for note in slots.notes),
        *memory_lines(plan, series, slots, binding=binding),
        *weights_lines(plan),
        f"disk: about {cost.disk_bytes / 1e6:.0f} MB",
        *_time_lines(cost, spec.resources.price_per_gpu_hour),
        _search_line(plan),
        _racing_line(plan),
    ]
    if not set(REFERENCE_DETECTORS) & set(spec.detectors):
        lines.append(f"note: no reference row to beat; add one of {', '.join(REFERENCE_DETECTORS)}")
    return lines


def _cells(plan: SweepPlan) -> Table:
    table = Table(title=f"Plan of {plan.spec.name}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("detector", "source", "labels", "shots", "folds", "candidates x draws", "report draws", "rows"):
        table.add_column(heading, justify="right" if heading in {"folds", "report draws", "rows"} else "left")
    for source in plan.spec.sources:
        for name, detector in plan.spec.detectors.items():
            cells = [cell for cell in plan.cells if (cell.detector, cell.source) == (name, source.source_name)]
            if not cells:
                continue  # it runs on other sources
            searched = next((cell for cell in cells if cell.candidates), None)
            draws = plan.selection_rows(searched) // searched.candidates if searched else 0
            table.add_row(
                name,
                source.source_name,
                detector.labels,
                ", ".join(str(shots) for shots in sorted({cell.shots for cell in cells})),
                str(len({cell.fold for cell in cells})),
                f"{searched.candidates} x {draws}" if searched else "-",
                str(len(plan.spec.few_shot.report_seeds.draws)),
                str(sum(plan.selection_rows(cell) + len(cell.report_draws) for cell in cells)),
            )
    return table


def _source_line(series: LabelledSeries) -> str:
    kind = "simulated telemetry" if series.simulated else "telemetry"
    rows = ((1, "faulty"), (0, "normal"), (UNLABELLED, "unlabelled"))
    labels = ", ".join(f"{count:,} {word}" for label, word in rows if (count := int((series.labels == label).sum())))
    return (
        f"source {series.name}: {kind}, {len(series):,} rows x {series.values.shape[1]} features every "
        f"{series.step_s:g} s, {number_of(len(series.events), 'fault')} of "
        f"{number_of(len(series.fault_types), 'type')} (rows: {labels})"
    )


def _hold_out_lines(series: LabelledSeries, settings: EvaluationSettings) -> list[str]:
    if settings.split.hold_out is None:
        return []
    each = Counter(fold.kind for fold in hold_out.folds(series, settings.data.window, settings.split) if fold)
    folds = ", ".join(f"{kind} {count}" for kind, count in each.items())
    return [f"  held out by {settings.split.hold_out}, half of the folds unseen and half seen: {folds}"]


def _slot_line(machine: Machine, slots: Slots, plan: SweepPlan) -> str:
    cpu = f"slots on this machine: {slots.concurrent} trials at once ({machine.cpus} CPUs, {slots.threads} a trial)"
    wants_gpu = sorted({cell.detector for cell in plan.cells if cell.gpu})
    if not slots.gpu:
        return f"{cpu}; no GPU" + (f", {', '.join(wants_gpu)} run on the CPU" if wants_gpu else "")
    cap = plan.spec.resources.gpu_memory_gb
    cards = ", ".join(f"{gpu.name} {gpu.total_gb:.0f} GB" for gpu in machine.gpus)
    return (
        f"{cpu}; {slots.gpu} of them on GPUs ({cards}): {slots.trials_per_gpu} a GPU of {cap:g} GB each, "
        f"Ray fraction {slots.gpu_fraction:g}"
    )


def _time_lines(cost: Estimate, price: float | None) -> list[str]:
    """Say hours, hours of cards and money, and what they rest on."""
    if cost.seconds is None or cost.gpu_hours is None:
        return [f"time: no estimate ({cost.basis})"]
    minutes = max(cost.seconds / 60, 0.5)
    time = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    lines = [f"time: roughly {time} (basis: {cost.basis})"]
    if cost.gpu_hours:
        money = "" if price is None else f", {price * cost.gpu_hours:.2f} at {price:g} an hour"
        lines.append(f"GPU hours: roughly {cost.gpu_hours:.2g}{money}")
    elif price is not None:
        lines.append("GPU hours: none, no GPU is used; price_per_gpu_hour says nothing here")
    return lines


def _search_line(plan: SweepPlan) -> str:
    search = plan.spec.search
    if not any(cell.candidates for cell in plan.cells):
        return "search: none, no detector has a space"
    if search.sampler == "random":
        return f"search: random, {search.candidates} candidates a searched cell"
    startup = startup_candidates(search.candidates)
    random = "mostly random: " if search.candidates <= startup else ""
    return f"search: {random}{search.candidates} candidates a searched cell, the first {startup} a random start-up"


def _racing_line(plan: SweepPlan) -> str:
    spec = plan.spec
    draws = spec.few_shot.selection_seeds.count
    if not any(cell.candidates for cell in plan.cells):
        return "racing: off, nothing is searched"
    if not spec.search.racing:
        return "racing: off, search.racing is false"
    if spec.few_shot.seeds == "searched":
        return "racing: off, few_shot.seeds: searched has no draws in common to compare on"
    if not racing_is_on(wanted=True, draws=draws):
        return f"racing: off, {draws} selection draws; a signed-rank test needs {RACING_MIN_DRAWS}"
    return f"racing: on, a configuration that is surely worse on the same draws stops early ({draws} draws)"
