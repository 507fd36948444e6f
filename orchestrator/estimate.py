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

REPORT_S = 30.0
"""Report from the rows of one sweep."""

FIXED_S = {
    "random": 0.05, "always_alarm": 0.05, "moving_variance": 0.1, "pca": 0.3,
    "isolation_forest": 0.7, "random_forest": 0.7, "gradient_boosting": 1.0, "logistic_regression": 0.5,
    "lstm_ae": 5.0,
}  # fmt: skip
"""Seconds a draw of detectors whose cost hardly depends on the shots; the user's own count as OWN_S."""

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
        for draws, part in ((plan.selection_rows(cell), "validation"), (len(cell.report_draws), "test")):
            busy += draws * _draw_seconds(cell, data, channels, len(series[cell.source]), part)
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
        "other detectors a fixed time a draw",
    )


def _is_unmeasured(cell: Cell) -> bool:
    return cell.detector.startswith("moment_") and cell.settings.get("backbone", "bundled") != "bundled"


def _draw_seconds(cell: Cell, data: DataSettings, channels: int, rows: int, part: str) -> float:
    if not cell.detector.startswith("moment_"):
        return FIXED_S.get(cell.detector, OWN_S)
    size = data.window / 32 * channels / 88
    scored = _count(data, "reference", rows) + _count(data, part, rows)
    if cell.detector == "moment_lora":
        most = cell.settings.get("max_window_passes")
        passes = min(10 * cell.shots, most if isinstance(most, int) else 512)
        return size * (passes * TRAIN_S + scored * SCORE_S)
    return size * (cell.shots + scored) * SCORE_S


def _count(data: DataSettings, part: str, rows: int) -> int:
    """Windows of a part: its cap, or a quarter of all rows at the scoring stride."""
    cap: int | None = getattr(data.max_score_windows, part)
    available = rows // (4 * data.score_stride)
    return available if cap is None else min(cap, available)
