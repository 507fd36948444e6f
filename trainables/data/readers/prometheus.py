"""Prometheus: the JSON that a range query answers (`/api/v1/query_range`), one file or a folder of them."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import UNREADABLE, files_of, path_of
from trainables.data.readers.reader import Reader, Say
from trainables.data.readers.samples import MS, Samples
from trainables.data.wording import number_of
from trainables.errors import DataError
from trainables.settings import DataSettings

_SUFFIXES = (".json", ".json.gz")


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give the series of all answers as one table.

    An answer without a metric name (that of `rate(...)` or `sum(...)`) is named after its file, or after the
    folder directly below `data.path` that holds it: answers for successive stretches of time go into one folder.
    One answer at a time is in memory; Prometheus gives at most 11,000 points a series in each.
    """
    root = path_of(data)
    samples = Samples(str(root))
    histograms = 0
    for path in files_of(root, _SUFFIXES, "answers of /api/v1/query_range"):
        inside = path.relative_to(root).parts if root.is_dir() else (path.name,)
        histograms += _add(samples, path, inside[0].split(".")[0])
    if histograms:
        say(f"{number_of(histograms, 'native histogram')} left out: query quantiles instead (histogram_quantile).")
    yield samples.wide(say)


READER = Reader(
    about="Prometheus, Thanos, Mimir or VictoriaMetrics: JSON of a range query, a file or a folder",
    example="prometheus answers/ --incidents incidents.csv",
    recordings=recordings,
    labelled=False,
)


def _add(samples: Samples, path: Path, name: str) -> int:
    """Take the series of one answer; return how many native histograms it holds."""
    histograms = 0
    for number, series in enumerate(_matrix(path)):
        place = f"{path}: data.result[{number}]"
        if not isinstance(series, dict) or not isinstance(series.get("metric"), dict):
            raise DataError(f"{place}: a series with 'metric' and 'values' is needed, found {_short(series)}")
        labels = {str(key): str(value) for key, value in series["metric"].items()}
        histograms += "histograms" in series
        pairs = series.get("values", [])
        try:
            times = np.asarray([float(pair[0]) for pair in pairs])
            values = np.asarray([float(pair[1]) for pair in pairs])
        except (TypeError, ValueError, IndexError, KeyError) as err:
            raise DataError(f"{place}: values must be pairs of seconds and a number as text: {err}") from err
        if not np.isfinite(times).all():
            raise DataError(f"{place}: a time is not finite")
        samples.add(labels.pop("__name__", name), labels, np.round(times * 1e3).astype(np.int64) * MS, values)
    return histograms


def _matrix(path: Path) -> list[Any]:
    """Return the series of an answer, or the error that it is."""
    try:
        packed = path.read_bytes()
        answer = json.loads(gzip.decompress(packed) if path.suffix == ".gz" else packed)
    except (*UNREADABLE, json.JSONDecodeError) as err:
        raise DataError(f"{path}: not a JSON file: {err}") from err
    if not isinstance(answer, dict) or "status" not in answer:
        raise DataError(f"{path}: not an answer of Prometheus' HTTP API: 'status' and 'data' are needed")
    if answer["status"] != "success":
        said = ": ".join(str(answer[key]) for key in ("errorType", "error") if answer.get(key))
        raise DataError(f"{path}: the query failed and this is its error, not its answer: {said}")
    found = answer.get("data")
    kind = found.get("resultType") if isinstance(found, dict) else None
    if kind != "matrix" or not isinstance(found, dict) or not isinstance(found.get("result"), list):
        raise DataError(
            f"{path}: resultType must be 'matrix', found {kind!r}; ask /api/v1/query_range with start, end and step"
        )
    return list(found["result"])


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:57]}..."
