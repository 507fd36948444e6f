"""Rows and score files of a run folder: the truth of a sweep, readable without torch or ray.

`rows.jsonl` has one line a draw, appended by the driver; when a draw has several lines the last counts.
`scores/<trial>-<draw>.parquet` holds the window scores of a draw, `traces/<trial>-<draw>.txt` the full trace of
a draw that failed; both are written before its row.
`results.parquet` is made from the rows, with a fixed order of columns.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import RunFolderError
from orchestrator.json_lines import whole_lines
from trainables.trial import Phase, Status, WindowScores

SCHEMA_VERSION = 1

Cell = str | int | float | bool | None

IDENTITY = ("detector", "source", "fold", "shots", "phase", "trial", "draw")
"""Columns that name a draw: one row each."""

COLUMNS = (
    "sweep", "phase", "detector", "source", "fold", "shots", "shots_used", "unit", "draw", "trial", "candidate",
    "status", "reason", "attempts", "seed", "searched", "select_on", "seeds",
    "threshold", "threshold_rule",
    "support_windows", "support_normal_windows", "support_events", "reference_windows",
    "validation_labels", "validation_events", "test_windows", "test_events", "prevalence", "pool_share",
    "held_out", "exposure",
    "fit_seconds", "threshold_seconds", "score_seconds", "peak_host_mb", "peak_device_mb",
    "micro_batch", "checkpointing", "channels_at_once", "memory_halvings", "trainable_parameters", "effective_scale",
    "training_steps", "cache_saved_seconds", "device", "dtype", "kept_channels", "simulated", "fingerprint",
    "schema_version",
)  # fmt: skip
"""Fixed columns, in order; metrics follow under their own names, then `param.<name>`, sorted."""


TEXT = frozenset({
    "sweep", "phase", "detector", "source", "unit", "trial", "status", "reason", "select_on", "seeds",
    "threshold_rule", "held_out", "exposure", "device", "dtype", "kept_channels", "fingerprint",
})  # fmt: skip
"""Columns that may hold text, beside settings (`param.<name>`); all others are numbers."""

ALLOWED: Mapping[str, tuple[str, ...]] = {"phase": get_args(Phase), "status": get_args(Status)}
"""Columns of few values."""


def score_file(run: Path, trial: str, draw: int) -> Path:
    """Path of the window scores of a report draw."""
    return run / "scores" / f"{trial}-{draw}.parquet"


def trace_file(run: Path, trial: str, draw: int) -> Path:
    """Path of the full trace of a draw that failed."""
    return run / "traces" / f"{trial}-{draw}.txt"


def write_scores(run: Path, trial: str, draw: int, scores: WindowScores) -> Path:
    """Write the window scores of a draw atomically and return the path."""
    path = score_file(run, trial, draw)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: value for name, value in _score_columns(scores).items() if value is not None}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        pd.DataFrame(columns).to_parquet(file, index=False)
        file.flush()
        os.fsync(file.fileno())  # its row follows, and is on disk at once
    part.replace(path)
    return path


def read_scores(run: Path, trial: str, draw: int) -> WindowScores:
    """Read the window scores of a draw.

    Raises
    ------
    RunFolderError
        The file is missing or damaged.
    """
    path = score_file(run, trial, draw)
    again = f"--resume {run} --retry-failed runs its draw again"
    if not path.exists():
        raise RunFolderError(f"{path}: score file is missing; {again}")
    try:
        table = pq.ParquetFile(path).read()  # several times faster than pandas, which counts in a report
    except (OSError, pa.ArrowException) as err:
        raise RunFolderError(f"{path}: score file is damaged: {err}; {again}") from err
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    predicted = columns["predicted_type"].astype(np.str_) if "predicted_type" in columns else None
    return WindowScores(
        window_end=columns["window_end"].astype("datetime64[ns]"),
        segment=columns["segment"].astype(np.str_),
        event=columns["event"].astype(np.int32),
        fault_type=columns["fault_type"].astype(np.str_),
        label=columns["label"].astype(np.int8),
        score=columns["score"].astype(np.float32),
        predicted_type=predicted,
    )


def scores_are_whole(run: Path, trial: str, draw: int) -> bool:
    """Say whether the window scores of a draw can be read."""
    try:
        read_scores(run, trial, draw)
    except RunFolderError:
        return False
    return True


def row_line(row: Mapping[str, Cell]) -> str:
    """Return a row as one JSON line; refuses NaN, which JSON cannot hold."""
    return json.dumps(dict(row), allow_nan=False, ensure_ascii=False)


def read_rows(run: Path) -> pd.DataFrame:
    """Return the rows of a run, one a draw (the last line of each counts), fixed columns first.

    Raises
    ------
    RunFolderError
        No `rows.jsonl`, a line that is not a row (its number is named), or rows of a newer schema.
    """
    records = read_records(run)
    if not records:
        return pd.DataFrame(columns=list(COLUMNS))
    frame = pd.DataFrame.from_records(records)
    return frame.reindex(columns=_ordered(frame.columns))


def read_records(run: Path) -> list[dict[str, Cell]]:
    """Return the rows of a run as JSON holds them: one a draw, in the order in which draws were first written.

    The last line of a draw counts.

    Raises
    ------
    RunFolderError
        No `rows.jsonl`, a line that is not a row (its number is named), or rows of a newer schema.
    """
    path = run / "rows.jsonl"
    if not path.exists():
        raise RunFolderError(f"{run}: no rows.jsonl; this is not a run folder")
    records = {tuple(record[name] for name in IDENTITY): record for record in _parsed_lines(path)}
    return list(records.values())


def write_parquet(run: Path) -> Path:
    """Write `results.parquet` from the rows and return its path.

    A Parquet column has one type: a setting that is a name in one row and a number in another (`max_features`:
    sqrt, 0.2) is text there, as JSON would print it.
    """
    path = run / "results.parquet"
    part = path.with_suffix(".part")
    rows = read_rows(run)
    mixed = [name for name in rows.columns if name.startswith("param.") and len(_kinds(rows[name])) > 1]
    texts = {name: rows[name].map(_text, na_action="ignore") for name in mixed}
    rows.assign(**texts).to_parquet(part, index=False)
    part.replace(path)
    return path


def candidates_at_first(run: Path) -> int | None:
    """Return how many configurations a searched cell had when a run began; None before it has a manifest."""
    if not (run / "manifest.json").exists():
        return None
    found = read_manifest(run).get("candidates_at_first")
    return found if isinstance(found, int) else None


def read_manifest(run: Path) -> dict[str, object]:
    """Return `manifest.json`: fingerprint, data, versions, hardware, seeds.

    Raises
    ------
    RunFolderError
        The file is missing, no JSON object, or of a newer schema.
    """
    path = run / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise RunFolderError(f"{path}: missing; this is not a run folder") from err
    except json.JSONDecodeError as err:
        raise RunFolderError(f"{path}:{err.lineno}: not JSON: {err.msg}") from err
    except ValueError as err:
        raise RunFolderError(f"{path}: not a text file in UTF-8") from err
    if not isinstance(manifest, dict):
        raise RunFolderError(f"{path}: not the manifest of a run: it holds no keys")
    _refuse_newer(str(path), manifest.get("schema_version"))
    return manifest


def _refuse_newer(place: str, schema: object) -> None:
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise RunFolderError(f"{place}: of schema {schema}, this version reads up to {SCHEMA_VERSION}; update it")


def _kinds(values: "pd.Series[Any]") -> set[str]:
    """Return the kinds of values of a column: text, bool, number."""
    names = {str: "text", bool: "bool", int: "number", float: "number"}
    return {names.get(type(value), "other") for value in values.dropna()}


def _text(value: Cell) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _score_columns(scores: WindowScores) -> dict[str, object]:
    return {name: getattr(scores, name) for name in WindowScores.__dataclass_fields__}


def _parsed_lines(path: Path) -> list[dict[str, Cell]]:
    records: list[dict[str, Cell]] = []
    right: set[tuple[object, ...]] = set()  # names and types of rows: a sweep writes few kinds of them
    for number, line in enumerate(whole_lines(path), start=1):  # a draw whose line has no end has no row yet
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as err:  # no JSON, NaN in it, or no UTF-8
            raise RunFolderError(f"{path}:{number}: not a row: {err.msg} at column {err.colno}; {_MEND}") from err
        if isinstance(record, dict):
            _refuse_newer(f"{path}:{number}", record.get("schema_version"))
        kind = (*record, *map(type, record.values())) if isinstance(record, dict) else ()
        problem = (None if kind in right else _wrong_type(record)) or _wrong_word(record)
        if problem is not None:
            raise RunFolderError(f"{path}:{number}: not a row: {problem}; {_MEND}")
        right.add(kind)
        records.append(record)
    return records


_MEND = "put the line back as it was, or delete it: --resume then runs its draw again"


def _wrong_type(record: object) -> str | None:
    """Return what is wrong with the names and types of a line that a sweep cannot have written, or None."""
    if not isinstance(record, dict) or not set(IDENTITY) <= set(record):
        return f"needs {', '.join(IDENTITY)}"
    for name, value in record.items():
        if value is None or type(value) in _NUMBERS or (type(value) is str and _may_be_text(name)):
            continue
        return f"{name} is {value!r}, must be {'text or ' if _may_be_text(name) else ''}a number"
    for name in IDENTITY:
        if type(record[name]) is not (str if name in TEXT else int):
            return f"{name} is {record[name]!r}, must be {'text' if name in TEXT else 'a whole number'}"
    for name in ("candidate", "attempts", "schema_version"):
        if type(record.get(name)) not in _WHOLE_OR_NOT:
            return f"{name} is {record[name]!r}, must be a whole number"
    return None


def _wrong_word(record: Mapping[str, Cell]) -> str | None:
    """Return which text of a row is none of those that its column may hold, or None."""
    for name, allowed in ALLOWED.items():
        if name in record and record[name] not in allowed:
            return f"{name} is {record[name]!r}, must be one of {', '.join(allowed)}"
    return None


_NUMBERS = (int, float, bool)
_WHOLE_OR_NOT = (int, type(None))


def _may_be_text(name: str) -> bool:
    return name in TEXT or name.startswith("param.")


def _ordered(columns: pd.Index) -> list[str]:
    parameters = sorted(name for name in columns if name.startswith("param."))
    metrics = [name for name in columns if name not in COLUMNS and name not in parameters]
    return [*COLUMNS, *metrics, *parameters]
