"""Settings of data, split, few-shot draws and threshold, as the sweep file spells them.

They live here, not in the orchestrator, because `run_trial` obeys them; `orchestrator.spec`
composes them into the sweep file, so each key has one definition and one set of bounds.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(ge=1)]
Stride = Annotated[int, Field(ge=1, le=100_000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
MissingRule = Literal["hold", "median", "zero"]
SourceName = Literal[
    "simulated",
    "table",
    "prometheus",
    "openmetrics",
    "long_csv",
    "rcaeval",
    "nezha",
    "nezha_traces",
    "eadro",
    "sockshop_rcd",
    "smd",
    "asd",
]
"""Readers of telemetry; `trainables.data.readers.READERS` has one for each name."""


class Settings(BaseModel):
    """Frozen values; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WindowCaps(Settings):
    """Most windows of each part, evenly spaced over the part; null takes all of them."""

    reference: PositiveInt | None = 512
    validation: PositiveInt | None = 500
    test: PositiveInt | None = 2000


class MissingByColumn(Settings):
    """One rule for all columns and others for columns matching a glob pattern (the first match counts)."""

    default: MissingRule = "hold"
    columns: dict[str, MissingRule] = {}


FaultType = Literal[
    "cpu_contention",
    "memory_leak",
    "network_delay",
    "packet_loss",
    "disk_pressure",
    "connection_pool_exhaustion",
    "gc_pauses",
    "slow_query",
    "cache_failure",
    "pod_restart",
    "traffic_surge",
    "config_error",
    "deadlock",
    "noisy_neighbour",
]
"""Kinds of faults that the simulator knows."""


class SimulatorSettings(Settings):
    """What simulated telemetry is like; docs/simulator.md compares the defaults with real systems.

    Times are in rows of 15 seconds. A system of n services has 8 n features.
    """

    services: Annotated[int, Field(ge=2, le=500)] = Field(
        default=11, description="Services; beyond 11 they are copies of the ten behind the gateway."
    )
    requests_per_s: Annotated[float, Field(ge=0.1, le=1e6)] = Field(
        default=60, description="Requests a second at the gateway, on average over a day."
    )
    faults_per_1000_rows: Annotated[float, Field(gt=0, le=12.5)] | None = Field(
        default=None, description="How often faults come; null: every kind once in 2,500 rows."
    )
    fault_mix: Annotated[dict[FaultType, Annotated[float, Field(ge=0, le=1e6)]], Field(min_length=1)] | None = Field(
        default=None, description="Weights of the kinds of faults that occur; null: all alike, each once a round."
    )
    severity: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] = Field(
        default=(1.0, 2.1), description="Least and most of what a fault's effect is multiplied by."
    )
    overlap: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0, description="Share of faults during which a second one begins."
    )
    label_delay: tuple[Annotated[int, Field(ge=0, le=500)], Annotated[int, Field(ge=0, le=500)]] = Field(
        default=(0, 4), description="Fewest and most rows after which a fault is noted."
    )
    label_jitter: Annotated[int, Field(ge=0, le=500)] = Field(
        default=3, description="Most rows that the noted end is off, either way."
    )
    unnoted: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0, description="Share of faults that nobody noted: their rows are labelled normal."
    )
    drift: Annotated[float, Field(ge=0, le=20)] = Field(
        default=1, description="Size of wandering levels and of what deployments change for good."
    )
    deployment_every: Annotated[int, Field(ge=10, le=10_000_000)] | None = Field(
        default=600, description="Rows from one deployment to the next on average; null: none."
    )

    @model_validator(mode="after")
    def _in_order(self) -> "SimulatorSettings":
        for name, (low, high) in (("severity", self.severity), ("label_delay", self.label_delay)):
            if low > high:
                raise ValueError(f"{name} must be [least, most], got [{low:g}, {high:g}]")
        if self.fault_mix is not None and not any(self.fault_mix.values()):
            raise ValueError("fault_mix gives every kind of fault the weight 0")
        return self

    def weight(self, kind: str) -> float:
        """How often a kind of fault occurs, in units of its own."""
        if self.fault_mix is None:
            return 1.0
        return next((weight for name, weight in self.fault_mix.items() if name == kind), 0.0)


class DataSettings(Settings):
    """One source of telemetry and how windows are cut from it.

    `window` is in time steps, a multiple of MOMENT's patch of 8, at most its 512.
    """

    name: str | None = Field(default=None, min_length=1, description="Name in rows; default: file stem or 'simulated'.")
    source: SourceName = "simulated"
    path: Path | None = Field(
        default=None, description="The table, or the file or folder of another source; relative to the sweep file."
    )
    incidents: Path | None = Field(default=None, description="Incidents: start, end, service, type.")
    rows: Annotated[int, Field(ge=1000, le=10_000_000)] = Field(
        default=10_000, description="Rows of simulated telemetry."
    )
    seed: Seed = Field(default=0, description="Seed of simulated telemetry.")
    simulator: SimulatorSettings = SimulatorSettings()
    timezone: str | None = Field(default=None, description="IANA zone of timestamps that carry no offset; default UTC.")
    segments: Literal["all"] | tuple[str, ...] = "all"
    drop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="Columns left out: names or glob patterns such as *_uptime."
    )
    window: Annotated[int, Field(ge=8, le=512, multiple_of=8)] = 32
    support_stride: Stride = 1
    score_stride: Stride = 4
    max_score_windows: WindowCaps = WindowCaps()
    normalise: Literal["zscore", "minmax", "robust"] = "zscore"
    missing: MissingRule | MissingByColumn = "hold"

    @model_validator(mode="after")
    def _path_goes_with_files(self) -> "DataSettings":
        if self.source != "simulated" and self.path is None:
            raise ValueError(f"source {self.source} needs a path (or --data PATH)")
        if self.source == "simulated" and (self.path is not None or self.incidents is not None):
            raise ValueError("source simulated takes neither path nor incidents; use source: table")
        if self.source != "simulated" and self.simulator != SimulatorSettings():
            raise ValueError(f"simulator describes simulated telemetry, source is {self.source}; leave it out")
        return self

    @property
    def source_name(self) -> str:
        """The name that rows carry."""
        if self.name is not None:
            return self.name
        if self.path is None:
            return "simulated"
        return self.path.name.split(".")[0]


class PartShares(Settings):
    """Shares of the fault events (and of fault-free stretches) that each part gets; they sum to 1."""

    support: Annotated[float, Field(gt=0, lt=1)] = 0.5
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.25
    test: Annotated[float, Field(gt=0, lt=1)] = 0.25

    @model_validator(mode="after")
    def _sum_to_one(self) -> "PartShares":
        total = self.support + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"support + validation + test must be 1, got {total:g}")
        return self


class SplitSettings(Settings):
    """How telemetry is divided into support pool, validation and test.

    `random_windows` leaks on purpose: it exists so that the report can show how much it flatters.
    `hold_out` asks what happens on a kind of fault that nobody labelled: for each of `kinds` a fold without any fault
    of that kind in the support and validation parts, and one with them, both judged on the same test windows; with
    several `folds` in every rotation of the parts.
    """

    by: Literal["event", "run", "random_windows"] = "event"
    folds: Annotated[int, Field(ge=1, le=1000)] = 1
    parts: PartShares = PartShares()
    hold_out: Literal["fault_type", "service"] | None = None
    kinds: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all"

    @model_validator(mode="after")
    def _hold_out_stands_alone(self) -> "SplitSettings":
        if self.hold_out is None and self.kinds != "all":
            raise ValueError("kinds says what hold_out leaves out; add hold_out: fault_type (or service)")
        if self.hold_out is not None and self.by != "event":
            raise ValueError("hold_out leaves whole faults out: it needs by: event")
        if len(set(self.kinds)) < len(self.kinds) and self.kinds != "all":
            raise ValueError(f"kinds must differ, got {list(self.kinds)}")
        return self


class SeedRange(Settings):
    """Draw numbers first, first + 1, ..., first + count - 1."""

    first: Seed
    count: Annotated[int, Field(ge=1, le=10_000)]

    @property
    def draws(self) -> tuple[int, ...]:
        """The draw numbers."""
        return tuple(range(self.first, self.first + self.count))


class FewShotSettings(Settings):
    """Which labelled windows (shots) a detector may see, and how often that is repeated."""

    shots: Annotated[tuple[Annotated[int, Field(ge=0, le=10_000_000)], ...], Field(min_length=1)] = (0, 100, 500)
    unit: Literal["windows", "events"] = "windows"
    shortage: Literal["refuse", "cap"] = "refuse"
    balance: Literal["balanced", "natural"] = "balanced"
    seeds: Literal["replicated", "searched"] = "replicated"
    selection_seeds: SeedRange = SeedRange(first=0, count=3)
    report_seeds: SeedRange = SeedRange(first=100, count=10)

    @model_validator(mode="after")
    def _apart_and_unique(self) -> "FewShotSettings":
        if len(set(self.shots)) < len(self.shots):
            raise ValueError(f"shots must differ, got {list(self.shots)}")
        shared = set(self.selection_seeds.draws) & set(self.report_seeds.draws)
        if shared:
            raise ValueError(f"selection_seeds and report_seeds share draws {sorted(shared)}; claims need fresh draws")
        return self


class ThresholdSettings(Settings):
    """Where an alarm begins; never chosen on test scores or test labels.

    `reference_quantile`: that quantile of the scores of the unlabelled reference.
    `reference_alarms_per_day`: the lowest threshold that keeps the reference within that many alarms a day.
    `support_f1`: best F1 on out-of-fold scores of the support set (detectors that use fault labels),
    the reference quantile for the others.
    """

    rule: Literal["reference_quantile", "reference_alarms_per_day", "support_f1"] = "reference_quantile"
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.995
    alarms_per_day: Annotated[float, Field(gt=0, le=86_400)] = 24.0
