"""Spans of Nezha and TraStrainer as metrics: requests and latencies by service, every 4 s over the last 30 s.

``<date>/trace/HH_MM_trace.csv`` (TraceID, SpanID, ParentID, PodName, StartTimeUnixNano, EndTimeUnixNano, Duration in
microseconds) and a list of faults. TrainTicket's 28 services give 88 columns: the request rate, the latency inside
the service and the latency that its callers saw (network delay shows only there); for the service that requests
enter through, quantiles instead of the callers' view; and the rate of all spans.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import folder_of, missing
from trainables.data.readers.nezha_faults import annotate, day_of, read_faults, service_of
from trainables.data.readers.number_csv import read_numbers
from trainables.data.readers.reader import Reader, Say, recording
from trainables.data.readers.timestamps import to_utc
from trainables.errors import DataError
from trainables.settings import DataSettings

STEP_S: Final = 4
INTERVAL_S: Final = 30
"""A row covers the spans that ended in the 30 s up to its time."""

PAUSE_S: Final = 60
"""Without a span for longer than this, minutes are missing: rows pause too, until an interval is whole again."""

QUANTILES: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
_IDS = ("TraceID", "SpanID", "ParentID", "PodName")


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give each folder of traces as one recording."""
    root = folder_of(data)
    days = sorted({path.parent.parent for path in root.rglob("trace/*_trace.csv")})
    if not days:
        raise missing(root, ["trace/HH_MM_trace.csv"], "traces of Nezha or TraStrainer")
    doubled = 0
    for day in days:
        faults = read_faults(day, root, say)
        spans, repeats = _spans(sorted((day / "trace").glob("*_trace.csv")))
        doubled += repeats
        seconds = _grid(spans["end_s"].to_numpy())
        if not len(seconds):
            raise DataError(f"{day / 'trace'}: the spans do not fill one interval of {INTERVAL_S} s")
        features = _features(spans, seconds)
        said = annotate(seconds, INTERVAL_S, faults, day_of(seconds))
        yield recording(
            str(day / "trace"),
            seconds.astype("datetime64[s]"),
            np.column_stack(list(features.values())),
            list(features),
            segment="/".join(day.relative_to(root).parts) or day.resolve().name,
            labels=said.labels,
            fault_type=said.fault_type,
            service=said.service,
            quality=said.quality,
        )
    say("Missing latencies mean that a service had no call in 30 s.")
    if doubled:
        say(f"{doubled} repeated spans left out.")


READER = Reader(
    about="Nezha or TraStrainer spans as request rates and latencies every 4 s: trace/HH_MM_trace.csv and a fault list",
    example="nezha_traces train_ticket/2023-01-30",
    recordings=recordings,
    streams="by recording",
)


def _spans(paths: list[Path]) -> tuple[pd.DataFrame, int]:
    """Return the spans of all files in order of their end, each with its parent's service and latency."""
    frames = []
    for path in paths:
        frame = read_numbers(path, time="EndTimeUnixNano", text=(*_IDS, "OperationName"))
        lacking = [name for name in (*_IDS, "Duration") if name not in frame]
        if lacking:
            raise DataError(f"{path}: columns {', '.join(lacking)} are missing, found: {', '.join(frame.columns[:8])}")
        ends = to_utc(
            frame["EndTimeUnixNano"].to_numpy(), None, str(path), lambda row: f"line {row + 2}", "EndTimeUnixNano"
        )
        frames.append(frame[[*_IDS, "Duration"]].assign(end_s=ends.astype(np.int64) / 1e9))
    spans = pd.concat(frames, ignore_index=True)
    whole = len(spans)
    spans = spans.drop_duplicates(["TraceID", "SpanID"])
    repeats = whole - len(spans)
    pods = {pod: service_of(pod) for pod in spans["PodName"].unique()}
    spans = spans.assign(service=spans["PodName"].map(pods), ms=spans["Duration"] / 1e3)
    parents = spans[["TraceID", "SpanID", "service", "ms"]]
    parents.columns = pd.Index(["TraceID", "ParentID", "caller", "caller_ms"])
    return spans.merge(parents, on=["TraceID", "ParentID"], how="left").sort_values("end_s"), repeats


def _grid(ends: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the times of rows whose interval is covered, epoch seconds [T]."""
    breaks = np.flatnonzero(np.diff(ends) > PAUSE_S)
    firsts, lasts = ends[np.append(0, breaks + 1)], ends[np.append(breaks, len(ends) - 1)]
    stretches = [
        np.arange(np.ceil((first + INTERVAL_S) / STEP_S), np.floor(last / STEP_S) + 1)
        for first, last in zip(firsts, lasts, strict=True)
    ]
    return (np.concatenate(stretches) * STEP_S).astype(np.int64)


def _features(spans: pd.DataFrame, seconds: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return each feature [T]; a service's requests are its spans whose caller is another service or nobody."""
    entering = spans[spans["caller"] != spans["service"]]
    doors = entering.loc[entering["ParentID"] == "root", "service"].value_counts()
    door = doors.index[0] if len(doors) else None
    features: dict[str, NDArray[np.float64]] = {}
    for service in sorted(map(str, entering["service"].unique())):
        calls = entering[entering["service"] == service]
        first, last = _bounds(calls["end_s"].to_numpy(), seconds)
        features[f"{service}_requests_per_s"] = (last - first) / INTERVAL_S
        features[f"{service}_server_latency_mean_ms"] = _mean(calls["ms"].to_numpy(), first, last)
        if service == door:
            for name, values in _quantiles(calls["ms"].to_numpy(), first, last).items():
                features[f"{service}_server_latency_{name}_ms"] = values
        else:
            features[f"{service}_client_latency_mean_ms"] = _mean(calls["caller_ms"].to_numpy(), first, last)
    first, last = _bounds(spans["end_s"].to_numpy(), seconds)
    features["all_spans_per_s"] = (last - first) / INTERVAL_S
    return features


def _bounds(ends: NDArray[np.float64], seconds: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and one past the last span of each row's interval (T - 30, T]."""
    return np.searchsorted(ends, seconds - INTERVAL_S, side="right"), np.searchsorted(ends, seconds, side="right")


def _mean(values: NDArray[np.float64], first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean of values[first:last] of each row without missing ones; NaN where there is none."""
    known = ~np.isnan(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    number = counts[last] - counts[first]
    return np.where(number > 0, (sums[last] - sums[first]) / np.maximum(number, 1), np.nan)


def _quantiles(
    values: NDArray[np.float64], first: NDArray[np.intp], last: NDArray[np.intp]
) -> dict[str, NDArray[np.float64]]:
    out = np.full((len(first), len(QUANTILES)), np.nan)
    for row in np.flatnonzero(last > first):
        out[row] = np.quantile(values[first[row] : last[row]], [share for _, share in QUANTILES])
    return {name: out[:, number] for number, (name, _) in enumerate(QUANTILES)}
