"""What a sweep will cost before it starts: seconds and bytes, and what they rest on.

Seconds of a draw are rough constants measured on another machine (`constant_costs`), or measured here by
`orchestrator.probe`; this module adds them up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.plan import Cell, SweepPlan
from orchestrator.resources import Slots
from trainables.data.series import LabelledSeries
from trainables.settings import DataSettings

TRAIN_S = 0.028
SCORE_S = 0.010
"""Seconds a window of 32 steps x 88 channels, bundled backbone, one CPU thread, fp32."""

START_S = 12.0
"""Until the first trial runs."""

REPORT_S = 15.0
"""Report from the rows of one sweep."""

SPENT = 0.6
"""Share of its window passes that LoRA takes before its held-out shots stop it."""

FITS = 4
"""Fits of a report draw of a detector that learns from faults: its own, and three for a threshold out of fold."""

SERVED_S = 0.5
"""A draw of frozen MOMENT whose windows another draw has computed."""

FIT_S = {
    "random": 0.01, "always_alarm": 0.01, "moving_variance": 0.01, "pca": 0.05,
    "isolation_forest": 0.2, "random_forest": 0.9, "gradient_boosting": 0.2, "logistic_regression": 0.05,
    "lstm_ae": 1.0,
}  # fmt: skip
"""Seconds a fit of detectors whose cost depends little on the shots; the user's own count as OWN_S."""

OWN_S = 1.0

ROW_BYTES = 1_500
SCORE_BYTES = (5_000, 16)
"""Bytes of a score file: fixed part and per window."""

WINNER_BYTES = 1_000_000
"""A saved detector: 0.1 MB of an adapter of the bundled backbone, 2.6 MB of two forests of 200 trees."""

REPORT_BYTES = 12_000_000
"""Self-contained report with its scripts, figures and tables."""


@dataclass(frozen=True, slots=True)
class CellCost:
    """Seconds of a selection draw and of a report draw, and of what a cell computes once for all its draws."""

    select: float
    report: float
    once: float = 0.0


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs by name of the cell, or why there are none; and what they rest on."""

    cells: Mapping[str, CellCost]
    basis: str
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cost of a sweep.

    Attributes
    ----------
    seconds
        Wall clock with these slots; None where a backbone was never measured or a GPU does the work.
    gpu_hours
        Hours that the cards are held, all together; 0 without cards, None where the seconds are.
    disk_bytes
        Run folder, report included.
    basis
        What the seconds rest on, or why there are none.
    """

    seconds: float | None
    gpu_hours: float | None
    disk_bytes: int
    basis: str


def estimate(
    plan: SweepPlan, series: Mapping[str, LabelledSeries], slots: Slots, costs: Costs | None = None
) -> Estimate:
    """Return the cost of a plan on these slots; without `costs` by the constants of this module."""
    costs = constant_costs(plan, series, slots) if costs is None else costs
    disk = _disk_bytes(plan, series)
    if costs.unknown:
        return Estimate(None, None, disk, costs.unknown)
    seconds = sweep_seconds(plan, costs, slots)
    return Estimate(seconds, slots.cards * seconds / 3600, disk, costs.basis)


def sweep_seconds(plan: SweepPlan, costs: Costs, slots: Slots) -> float:
    """Return the wall clock of a plan: its slots busy to the end, of all kinds or of the kind that has most to do."""
    busy = {True: 0.0, False: 0.0}
    for cell in plan.cells:
        cost = costs.cells[cell.name]
        seconds = plan.selection_rows(cell) * cost.select + len(cell.report_draws) * cost.report + cost.once
        busy[cell.gpu and slots.gpu > 0] += seconds
    on_cards = busy[True] / slots.gpu if slots.gpu else 0.0
    return START_S + max(on_cards, sum(busy.values()) / slots.concurrent) + REPORT_S


def constant_costs(plan: SweepPlan, series: Mapping[str, LabelledSeries], slots: Slots) -> Costs:
    """Return rough costs from the constants of this module: nothing is measured."""
    unmeasured = sorted({str(cell.settings["backbone"]) for cell in plan.cells if _is_unmeasured(cell)})
    if unmeasured:
        return Costs({}, "", f"backbone {', '.join(unmeasured)} was not measured here; --probe does")
    if slots.gpu and any(cell.gpu for cell in plan.cells):
        return Costs({}, "", "GPU detectors were not measured on this card; --probe does")
    return Costs(
        {cell.name: _constant_cost(plan, cell, series[cell.source]) for cell in plan.cells},
        "constants: bundled backbone at 28 ms a training and 10 ms a scored window (32 steps x 88 channels, one CPU "
        "thread), other detectors a fixed time a fit; --probe measures here",
    )


def _constant_cost(plan: SweepPlan, cell: Cell, series: LabelledSeries) -> CellCost:
    data = plan.settings[cell.source].data
    size = data.window / 32 * series.values.shape[1] / 88
    reference, validation, test = (windows_of(data, part, len(series)) for part in ("reference", "validation", "test"))
    frozen = cell.kind in {"moment_zero_shot", "moment_linear_probe"}
    fits = FITS if cell.labels == "all" else 1
    return CellCost(
        select=_draw_seconds(cell, size, validation, fits=1),
        report=_draw_seconds(cell, size, reference + test, fits=fits),
        once=size * (cell.shots + reference + validation + test) * SCORE_S if frozen else 0.0,
    )


def _disk_bytes(plan: SweepPlan, series: Mapping[str, LabelledSeries]) -> int:
    total = REPORT_BYTES + plan.rows * ROW_BYTES
    for cell in plan.cells:
        data, rows = plan.settings[cell.source].data, len(series[cell.source])
        for part, draws in (("test", len(cell.report_draws)), ("validation", plan.selection_rows(cell))):
            total += draws * (SCORE_BYTES[0] + SCORE_BYTES[1] * windows_of(data, part, rows))
        total += WINNER_BYTES
    return total


def _is_unmeasured(cell: Cell) -> bool:
    return cell.kind.startswith("moment_") and cell.settings.get("backbone", "bundled") != "bundled"


def _draw_seconds(cell: Cell, size: float, scored: int, *, fits: int) -> float:
    """Seconds of a draw; `size` in windows of 32 steps x 88 channels."""
    if cell.kind == "moment_lora":
        most = cell.settings.get("max_window_passes")
        passes = SPENT * min(10 * cell.shots, most if isinstance(most, int) else 512)
        return size * (fits * passes * TRAIN_S + scored * SCORE_S)
    if cell.kind.startswith("moment_"):
        return SERVED_S
    return fits * FIT_S.get(cell.kind, OWN_S)


def windows_of(data: DataSettings, part: str, rows: int) -> int:
    """Return the windows of a part: its cap, or a quarter of all rows at the scoring stride."""
    cap: int | None = getattr(data.max_score_windows, part)
    available = rows // (4 * data.score_stride)
    return available if cap is None else min(cap, available)
