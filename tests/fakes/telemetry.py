"""Simulated telemetry as a table that somebody might bring."""

from pathlib import Path

import numpy as np
import pandas as pd

from trainables.data.series import LabelledSeries


def table_of(series: LabelledSeries, rows: slice = slice(None)) -> pd.DataFrame:
    """Timestamps and raw features of some rows, without labels."""
    features = dict(zip(series.columns, series.values[rows].T, strict=True))  # noqa: PD011
    frame = pd.DataFrame(features)
    frame.insert(0, "timestamp", pd.DatetimeIndex(series.timestamps[rows]).tz_localize("UTC"))
    return frame


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table by its suffix."""
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def read_scored(path: Path) -> pd.DataFrame:
    """Scored rows, scores as float32 with NaN where there is none."""
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, keep_default_na=True)
    stamps = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"], utc=True)).tz_localize(None)
    score = frame["score"].to_numpy(dtype=np.float32, na_value=np.nan)
    return frame.assign(timestamp=stamps.to_numpy(dtype="datetime64[ns]"), score=score)
