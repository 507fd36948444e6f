"""What a sweep will cost before it starts: rough seconds and bytes, with the measurements they rest on."""

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
class Estimate:
    """Rough cost of a sweep.

    Attributes
    ----------
    seconds
        Wall clock with these slots; None where a backbone was never measured or a GPU does the work.
    disk_bytes
        Run folder, report included.
    basis
        What the seconds rest on.
    """

    seconds: float | None
    disk_bytes: int
    basis: str


def estimate(plan: SweepPlan, series: Mapping[str, LabelledSeries], slots: Slots) -> Estimate:
    """Return the rough cost of a plan on these slots."""
    disk = REPORT_BYTES + plan.rows * ROW_BYTES
    busy = 0.0
    for cell in plan.cells:
        disk += WINNER_BYTES
        data = plan.settings[cell.source].data
        channels = series[cell.source].values.shape[1]
        test = _count(data, "test", len(series[cell.source]))
        disk += len(cell.report_draws) * (SCORE_BYTES[0] + SCORE_BYTES[1] * test)
        size = data.window / 32 * channels / 88
        validation = _count(data, "validation", len(series[cell.source]))
        reference = _count(data, "reference", len(series[cell.source]))
        if cell.kind in {"moment_zero_shot", "moment_linear_probe"}:
            busy += size * (cell.shots + reference + validation + test) * SCORE_S
        fits = FITS if cell.labels == "all" else 1
        busy += plan.selection_rows(cell) * _draw_seconds(cell, size, reference + validation, fits=1)
        busy += len(cell.report_draws) * _draw_seconds(cell, size, reference + test, fits=fits)
    unmeasured = sorted({str(cell.settings["backbone"]) for cell in plan.cells if _is_unmeasured(cell)})
    if unmeasured:
        return Estimate(None, disk, f"none: backbone {', '.join(unmeasured)} was not measured here")
    if slots.gpu and any(cell.gpu for cell in plan.cells):
        return Estimate(None, disk, "none: GPU detectors were not measured on this card")
    seconds = START_S + busy / slots.concurrent + REPORT_S
    return Estimate(
        seconds,
        disk,
        "bundled backbone at 28 ms a training and 10 ms a scored window (32 steps x 88 channels, one CPU thread), "
        "other detectors a fixed time a fit",
    )


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


def _count(data: DataSettings, part: str, rows: int) -> int:
    """Windows of a part: its cap, or a quarter of all rows at the scoring stride."""
    cap: int | None = getattr(data.max_score_windows, part)
    available = rows // (4 * data.score_stride)
    return available if cap is None else min(cap, available)
