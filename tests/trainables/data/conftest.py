"""Factories of small series, settings and files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from trainables.data.assemble import RawColumns, assemble
from trainables.data.series import LabelledSeries, Quality
from trainables.settings import DataSettings, FewShotSettings, PartShares, SplitSettings, ThresholdSettings, WindowCaps
from trainables.trial import EvaluationSettings

Span = tuple[int, int] | tuple[int, int, str] | tuple[int, int, str, str]
MakeSeries = Callable[..., LabelledSeries]
MakeSettings = Callable[..., EvaluationSettings]
WriteTable = Callable[..., DataSettings]


@pytest.fixture
def make_series() -> MakeSeries:
    """Build a series from fault spans; by default 600 rows, one segment, three channels of noise."""

    def build(
        faults: Sequence[Span] = (),
        rows: int = 600,
        segments: Sequence[tuple[str, int]] | None = None,
        guard: Sequence[tuple[int, int]] = (),
        suspect: Sequence[tuple[int, int]] = (),
        unlabelled: Sequence[tuple[int, int]] = (),
        channels: int = 3,
    ) -> LabelledSeries:
        segments = segments or [("all", rows)]
        rows = sum(count for _, count in segments)
        labels = np.zeros(rows, dtype=np.int8)
        fault_type, service = np.full(rows, "", dtype=object), np.full(rows, "", dtype=object)
        quality = np.full(rows, int(Quality.OK), dtype=np.int8)
        for start, stop, *named in faults:
            labels[start:stop] = 1
            fault_type[start:stop] = named[0] if named else "cpu"
            service[start:stop] = named[1] if len(named) > 1 else ""
        for start, stop in unlabelled:
            labels[start:stop] = -1
        for spans, value in ((guard, Quality.GUARD), (suspect, Quality.SUSPECT)):
            for start, stop in spans:
                quality[start:stop] = value
        rng = np.random.default_rng(7)
        raw = RawColumns(
            where="made.csv",
            timestamps=np.datetime64("2024-01-01", "ns") + np.arange(rows) * np.timedelta64(10, "s"),
            values=rng.normal(size=(rows, channels)).astype(np.float32),
            columns=tuple(f"c{i}" for i in range(channels)),
            labels=labels,
            fault_type=fault_type,
            service=service,
            segment=np.repeat(np.asarray([name for name, _ in segments], dtype=object), [n for _, n in segments]),
            quality=quality,
            line=lambda row: f"line {row + 2}",
        )
        return assemble(raw, "made")

    return build


@pytest.fixture
def make_settings() -> MakeSettings:
    """Build evaluation settings: window 8, strides 1, no caps, unless told otherwise."""

    def build(
        *,
        by: str = "event",
        folds: int = 1,
        parts: tuple[float, float, float] = (0.5, 0.25, 0.25),
        few_shot: dict[str, object] | None = None,
        caps: dict[str, int | None] | None = None,
        **data: object,
    ) -> EvaluationSettings:
        no_caps = {"reference": None, "validation": None, "test": None}
        settings = {
            "window": 8,
            "score_stride": 1,
            "max_score_windows": WindowCaps(**{**no_caps, **(caps or {})}),
        } | data
        return EvaluationSettings(
            data=DataSettings(**settings),
            split=SplitSettings(
                by=by, folds=folds, parts=PartShares(support=parts[0], validation=parts[1], test=parts[2])
            ),
            few_shot=FewShotSettings(**(few_shot or {})),
            threshold=ThresholdSettings(),
        )

    return build


@pytest.fixture
def write_table(tmp_path: Path) -> WriteTable:
    """Write bytes or text to a file and return the settings that read it."""

    def write(content: str | bytes, name: str = "table.csv", **data: object) -> DataSettings:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return DataSettings(source="table", path=path, **data)

    return write


@pytest.fixture
def six_faults(make_series: MakeSeries) -> LabelledSeries:
    """Six faults of 20 rows, two types, every 100 rows."""
    return make_series([(60 + 100 * i, 80 + 100 * i, ("cpu", "delay")[i % 2]) for i in range(6)], rows=640)
