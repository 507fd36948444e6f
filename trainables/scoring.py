"""A winner on new telemetry: every row of a table gets a score, an alarm and its channels, or a reason why not."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables._features import RECENT, squashed
from trainables.data.assemble import IRREGULAR, RawColumns, assemble
from trainables.data.readers.columns import repeated
from trainables.data.readers.table import read_columns, segment_names
from trainables.data.series import UNLABELLED, LabelledSeries, Quality
from trainables.data.splits import run_starts, whole_windows
from trainables.data.windows import Windows
from trainables.errors import DetectorError, WinnerError
from trainables.held_out import checked_scores
from trainables.protocol import ChannelErrors, Detector
from trainables.winner_manifest import Manifest

CHUNK = 1024
"""Windows at a time: bounds memory to some 100 MB at 88 channels and 512 steps."""

SHOWN = 3
"""Channels named in a row."""

JITTER = 0.02
"""A step that is off by more than this share of the winner's own is worth a note."""


@dataclass(frozen=True, slots=True, eq=False)
class NewTelemetry:
    """A table, ready to be scored.

    Attributes
    ----------
    series
        Rows in order of time within segments, with the winner's columns in the winner's order.
    windows
        Those that can be scored.
    reason : str [T]
        Why the window that ends at a row is not scored; empty where it is.
    notes
        What reading changed or noticed, one sentence each.
    """

    series: LabelledSeries
    windows: Windows
    reason: NDArray[np.str_]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredTelemetry:
    """The table of answers and what it cost.

    Attributes
    ----------
    rows
        Columns `timestamp`, `segment`, `score` (float32), `alarm`, `channels`, `reason`; one row for each of the
        telemetry. Score and alarm are null where there is a reason.
    seconds
        Wall clock of scoring, reading left out.
    own_channels
        True if the detector itself says which channels its score comes from.
    """

    rows: pd.DataFrame
    seconds: float
    own_channels: bool


def read_telemetry(path: Path, manifest: Manifest, timezone: str | None = None) -> NewTelemetry:
    """Read a table as the winner's own telemetry was read: the same columns, filling and scaling.

    Parameters
    ----------
    path
        CSV, CSV.gz or Parquet with `timestamp`, the winner's columns and perhaps `segment`; all else is ignored.
    manifest
        Of the winner.
    timezone
        IANA zone of timestamps without an offset; default: as in the sweep.

    Raises
    ------
    DataError
        The file cannot be used as it is.
    WinnerError
        A column is missing, or the table has another sampling step.
    """
    series, notes = _series(path, manifest, timezone)
    notes += _check_step(path, series, manifest)
    length = manifest.window
    starts = run_starts(series.segment)
    whole = whole_windows(starts, length)
    known = np.concatenate([[0], np.cumsum(~np.isnan(series.values).all(axis=1))])  # [T + 1]
    rows = np.arange(len(series))
    has_values = known[1:] > known[np.maximum(rows - length + 1, 0)]
    reason = np.where(has_values, "", "not scored: the window has no value").astype(object)
    for row in np.flatnonzero(~whole):
        reason[row] = _too_short(series, int(row), int(row - starts[row]) + 1, length)
    table = manifest.scaler.apply(series.values, series.segment)
    table.flags.writeable = False
    windows = Windows(
        table, np.flatnonzero(whole & has_values), length, series.columns, series.step_s, times=series.timestamps
    )
    return NewTelemetry(series, windows, reason.astype(np.str_), notes)


def score_telemetry(
    detector: Detector, manifest: Manifest, telemetry: NewTelemetry, *, on_chunk: Iterable[int] | None = None
) -> ScoredTelemetry:
    """Score every window that can be; `on_chunk` is what is iterated over, for a progress bar.

    Raises
    ------
    DetectorError
        The detector broke its contract.
    """
    windows, rows = telemetry.windows, len(telemetry.series)
    score = np.full(rows, np.nan, dtype=np.float32)
    channels = np.full(rows, "", dtype=object)
    started = time.perf_counter()
    for first in chunks(windows) if on_chunk is None else on_chunk:
        part = windows.take(np.arange(first, min(first + CHUNK, len(windows))))
        score[part.ends] = checked_scores(detector, part)
        channels[part.ends] = list(_channels(detector, manifest, part))
    seconds = time.perf_counter() - started
    scored = telemetry.reason == ""
    frame = pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex(telemetry.series.timestamps).tz_localize("UTC"),
            "segment": np.asarray(telemetry.series.segments, dtype=np.str_)[telemetry.series.segment],
            "score": pd.array(score, dtype="Float32"),
            "alarm": pd.array(score.astype(np.float64) >= manifest.threshold, dtype="boolean"),
            "channels": channels,
            "reason": telemetry.reason,
        }
    )
    frame.loc[~scored, ["score", "alarm"]] = pd.NA
    return ScoredTelemetry(frame, seconds, isinstance(detector, ChannelErrors))


def chunks(windows: Windows) -> range:
    """Return the positions at which chunks begin."""
    return range(0, len(windows), CHUNK)


def deviations(manifest: Manifest, windows: Windows) -> NDArray[np.float64]:
    """Return how far the last 8 steps of each channel lie from the reference [N, C], in its standard deviations.

    Of arcsinh of scaled values, so that one spike does not hide what else moves. It describes the window and not
    the model: a detector may have looked at something else.
    """
    level = np.asarray([column.level for column in manifest.columns])
    spread = np.asarray([column.level_spread for column in manifest.columns])
    parts = [(x[:, -RECENT:].mean(axis=1) - level) / spread for x in squashed(windows)]
    return np.concatenate(parts) if parts else np.empty((0, len(level)))


def _channels(detector: Detector, manifest: Manifest, windows: Windows) -> Iterator[str]:
    """Yield the channels with the largest values of each window, largest first: "orders_cpu +5.2; cart_cpu -3.0"."""
    if isinstance(detector, ChannelErrors):
        values, sign = np.asarray(detector.channel_errors(windows)), ""
        if values.shape != (len(windows), windows.channels):
            raise DetectorError(
                f"channel_errors returned shape {values.shape}, expected ({len(windows)}, {windows.channels})"
            )
    else:
        values, sign = deviations(manifest, windows), "+"
    largest = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :SHOWN]
    for row, order in zip(values, largest, strict=True):
        yield "; ".join(f"{windows.columns[number]} {row[number]:{sign}.3g}" for number in order)


def _series(path: Path, manifest: Manifest, timezone: str | None) -> tuple[LabelledSeries, tuple[str, ...]]:
    wanted = tuple(column.name for column in manifest.columns)
    file = read_columns(path, timezone or manifest.timezone, only=wanted)
    values = file.values  # noqa: PD011  (not a pandas object)
    _check_columns(path, wanted, file.features, file.ignored)
    rows = len(file.timestamps)
    blank = repeated("", rows)
    order = [file.features.index(name) for name in wanted]
    raw = RawColumns(
        where=file.where,
        timestamps=file.timestamps,
        values=values[:, order],
        columns=wanted,
        labels=np.full(rows, UNLABELLED, dtype=np.int8),
        fault_type=blank,
        service=blank,
        segment=segment_names(file),
        quality=np.full(rows, int(Quality.OK), dtype=np.int8),
        line=file.line,
    )
    series = assemble(raw, path.name, drop_empty=False)
    unused = [name for name in file.ignored if name not in manifest.dropped]
    notes = [f"{len(unused)} columns that the winner does not use: {_listed(unused)}."] if unused else []
    return series, (*series.notes, *notes, *_filled(series, manifest))


def _check_columns(path: Path, wanted: tuple[str, ...], found: tuple[str, ...], others: tuple[str, ...]) -> None:
    """Refuse a table that lacks a column, naming for each the nearest of those that the winner does not know."""
    missing = [name for name in wanted if name not in found]
    if not missing:
        return
    said = []
    for name in missing[:8]:
        near = get_close_matches(name, others, n=1)
        said.append(f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
    raise WinnerError(
        f"{path}: {len(missing)} of the {len(wanted)} columns that the winner was fitted on "
        f"{'is' if len(missing) == 1 else 'are'} missing: {', '.join(said)}{more}"
    )


def _check_step(path: Path, series: LabelledSeries, manifest: Manifest) -> tuple[str, ...]:
    """Refuse a table with another sampling step: its windows would span another time than those learned from."""
    off = abs(series.step_s - manifest.step_s) / manifest.step_s
    said = f"a row every {series.step_s:g} s, the winner was fitted on one every {manifest.step_s:g} s"
    if off > IRREGULAR:
        raise WinnerError(f"{path}: {said}; resample the table to {manifest.step_s:g} s")
    return (f"The table has {said}.",) if off > JITTER else ()


def _filled(series: LabelledSeries, manifest: Manifest) -> tuple[str, ...]:
    """Say which columns were filled, the emptiest first."""
    share = np.isnan(series.values).mean(axis=0)
    if not share.any():
        return ()
    worst = [int(number) for number in np.argsort(-share, kind="stable")[:SHOWN] if share[number]]
    named = ", ".join(f"{series.columns[n]} {share[n]:.1%} by {manifest.columns[n].missing}" for n in worst)
    return (f"{int((share > 0).sum())} columns have missing values, filled as in the sweep (most: {named}).",)


def _too_short(series: LabelledSeries, row: int, steps: int, length: int) -> str:
    after_gap = "#" in series.segments[series.segment[row]]
    since = "the last gap" if after_gap else "the start of the segment"
    return f"not scored: {steps} of {length} steps since {since}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
