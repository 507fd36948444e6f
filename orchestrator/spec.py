"""The sweep file as frozen values: every key, its bounds and the rules between keys.

`load_spec` reports every mistake at once, each with file, line and column. Settings that a trial obeys come
from `trainables.settings`; the keys below are those that only a sweep knows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError

from orchestrator.detector_spec import DetectorSpec, read_detectors
from orchestrator.errors import SpecError
from orchestrator.overrides import apply_overrides, replace_data, resolve_paths
from orchestrator.problems import NO_SECRETS, Problems, looks_like_key, unknown
from orchestrator.yaml_source import KeyPath, Value, dump, load, parse
from trainables.metrics import METRICS
from trainables.settings import (
    DataSettings,
    FewShotSettings,
    PositiveInt,
    Seed,
    Settings,
    SplitSettings,
    ThresholdSettings,
)
from trainables.trial import EvaluationSettings

RACING_MIN_DRAWS = 6
"""A signed-rank test cannot fire on fewer paired draws: racing needs that many selection draws."""


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(unknown(f"metric {name!r}", name, METRICS))
    return name


class ObjectiveSettings(Settings):
    """What the search maximises or minimises; the direction is the metric's own."""

    metric: Annotated[str, AfterValidator(_known_metric)] = Field(
        default="average_precision", description="A name of trainables.metrics.METRICS."
    )


class SearchSettings(Settings):
    """How settings that have a space are searched, once per cell."""

    sampler: Literal["tpe", "random"] = "tpe"
    candidates: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=5, description="Configurations tried per searched cell."
    )
    seed: Seed = 0
    select_on: Literal["validation", "support_cv"] = Field(
        default="validation", description="Where a configuration is judged; validation labels count as labels spent."
    )
    racing: bool = Field(default=True, description="Drop a configuration that is surely worse; from 6 draws on.")


class ResourceSettings(Settings):
    """What a trial may use."""

    gpu_memory_gb: Annotated[float, Field(gt=0, le=10_000)] = Field(
        default=8, description="Cap of device memory a trial."
    )
    host_memory_gb: Annotated[float, Field(gt=0, le=10_000)] = Field(
        default=4, description="Memory of a trial on the CPU: MOMENT's training is divided to stay below it."
    )
    trials_per_gpu: PositiveInt | Literal["auto"] = Field(default=1, description="auto: as many as fit the card.")
    threads: PositiveInt = Field(default=1, description="CPU threads a trial; above 1 rows may differ in last digits.")
    draw_timeout_s: Annotated[float, Field(gt=0, le=604_800)] = Field(
        default=900, description="Seconds until a draw is ended; at most a week."
    )
    wait_for_nodes: bool = Field(
        default=False, description="Wait for nodes that can run what is left; without a GPU in the cluster ask for one."
    )
    price_per_gpu_hour: Annotated[float, Field(ge=0, le=100_000)] | None = Field(
        default=None, description="For the cost in plan and report."
    )


def _no_key(text: str) -> str:
    if looks_like_key(text):
        raise ValueError(NO_SECRETS)
    return text


def _project_name(name: str) -> str:
    wrong = sorted({character for character in name if character in "/\\#?%:" or not character.isprintable()})
    if wrong or len(name) > 128 or not name.strip():
        seen = f"; found {' '.join(map(repr, wrong))}" if wrong else ""
        raise ValueError(f"a W&B project has 1 to 128 characters, none of / \\ # ? % : or a control character{seen}")
    return name


def _entity_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name):
        raise ValueError("a W&B entity (user or team) has letters, digits, - _ and . alone")
    return name


class WandbSettings(Settings):
    """Weights & Biases; auto is online with a key and offline without."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: Annotated[str, AfterValidator(_project_name), AfterValidator(_no_key)] = "fewshot"
    entity: Annotated[str, AfterValidator(_entity_name), AfterValidator(_no_key)] | None = None


class TrackingSettings(Settings):
    """Trackers that watch the sweep; none of them can fail it."""

    wandb: WandbSettings = WandbSettings()


def _one_or_list(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "one"


Sources = Annotated[
    Annotated[DataSettings, Tag("one")] | Annotated[tuple[DataSettings, ...], Field(min_length=1), Tag("list")],
    Discriminator(_one_or_list),
]


class SweepKeys(Settings):
    """Every key of a sweep file but `detectors`, whose keys depend on the detectors."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Names the run folder.")]
    objective: ObjectiveSettings = ObjectiveSettings()
    data: Sources = DataSettings()
    split: SplitSettings = SplitSettings()
    protocol: Literal["standard"] = "standard"
    few_shot: FewShotSettings = FewShotSettings()
    search: SearchSettings = SearchSettings()
    threshold: ThresholdSettings = ThresholdSettings()
    resources: ResourceSettings = ResourceSettings()
    tracking: TrackingSettings = TrackingSettings()


class SweepSpec(SweepKeys):
    """A checked sweep file: paths absolute, every key present. Made by `load_spec`."""

    detectors: Mapping[str, DetectorSpec]

    @property
    def sources(self) -> tuple[DataSettings, ...]:
        """The data sources, one or several."""
        return self.data if isinstance(self.data, tuple) else (self.data,)

    def source(self, name: str) -> DataSettings:
        """Return the source that rows call `name`.

        Raises
        ------
        KeyError
            No such source.
        """
        return {entry.source_name: entry for entry in self.sources}[name]

    def evaluation(self, source: DataSettings | str) -> EvaluationSettings:
        """Return what `run_trial` needs to know for one source (or its name)."""
        data = self.source(source) if isinstance(source, str) else source
        return EvaluationSettings(
            data, self.split, self.few_shot, self.threshold, self.search.select_on, self.objective.metric
        )

    def dump(self) -> dict[str, Value]:
        """Return plain values that `load_spec` reads back to an equal spec."""
        values: dict[str, Value] = self.model_dump(mode="json", exclude={"detectors"})
        values["detectors"] = {name: entry.dump() for name, entry in self.detectors.items()}
        return values

    def to_yaml(self) -> str:
        """Return the resolved sweep file as YAML text."""
        return dump(self.dump())


def load_spec(path: Path, *, overrides: Sequence[str] = (), data: Path | None = None) -> SweepSpec:
    """Read and check a sweep file.

    Parameters
    ----------
    path
        The YAML file; relative paths in it start from its folder.
    overrides
        `key.path=value` options; a path given this way starts from the current folder.
    data
        Replaces the path of the only source.

    Raises
    ------
    SpecError
        Every mistake of file and options, one line each.
    """
    values, positions = load(path)
    resolve_paths(values, path.parent.resolve())
    options = replace_data(values, data) | apply_overrides(values, overrides)
    return _checked(values, Problems(positions, options), path.parent.resolve())


def spec_from_text(text: str, path: Path) -> SweepSpec:
    """Check a sweep file that is not written yet; relative paths in it start from the folder of `path`.

    Raises
    ------
    SpecError
        Every mistake, one line each.
    """
    values, positions = parse(text, str(path))
    resolve_paths(values, path.parent.resolve())
    return _checked(values, Problems(positions, {}), path.parent.resolve())


def _checked(values: dict[str, Value], problems: Problems, base: Path) -> SweepSpec:
    rest = {key: value for key, value in values.items() if key != "detectors"}
    keys, wrong = _checked_keys(rest, problems)
    if "detectors" in values:
        detectors = read_detectors(values["detectors"], base, problems)
    else:
        detectors = {}
        problems.add(("detectors",), "is missing; map at least one detector to its settings (pca: {})", at_key=True)
    fields = {name: getattr(keys, name) for name in SweepKeys.model_fields}
    spec = SweepSpec(**fields, detectors=detectors)
    _cross_rules(spec, wrong, problems)
    if problems:
        raise SpecError(problems.lines)
    return spec


def _checked_keys(values: dict[str, Value], problems: Problems) -> tuple[SweepKeys, set[str]]:
    """Return the checked keys, and the names of those that are wrong and stand at their defaults."""
    try:
        return SweepKeys.model_validate_json(json.dumps(values), strict=True), set()
    except ValidationError as err:
        problems.add_invalid(err, SweepSpec, values)
        wrong = {str(error["loc"][0]) for error in err.errors()}
    right = {key: value for key, value in values.items() if key not in wrong}
    return SweepKeys.model_validate_json(json.dumps({"name": "unnamed", **right}), strict=True), wrong


def _cross_rules(spec: SweepSpec, wrong: set[str], problems: Problems) -> None:
    """Note what is wrong between keys that are each right by themselves; `wrong` ones are left alone."""
    if "data" not in wrong:
        _source_rules(spec, problems)
        _detector_sources(spec, problems)
    if "few_shot" not in wrong:
        _label_rules(spec, problems)
    for name, detector in spec.detectors.items():
        judged_on_support = spec.search.select_on == "support_cv" and "search" not in wrong
        if detector.space and detector.labels == "normal" and judged_on_support:
            text = "search.select_on: support_cv needs a detector that learns from labelled faults; use validation"
            problems.add(("detectors", name, "space"), text, at_key=True)


def _label_rules(spec: SweepSpec, problems: Problems) -> None:
    shots = spec.few_shot.shots
    for name, detector in spec.detectors.items():
        path: KeyPath = ("detectors", name)
        if detector.labels == "all" and max(shots) == 0:
            problems.add(path, "learns from labelled faults, but few_shot.shots has only 0; add more", at_key=True)
        elif detector.labels == "none" and 0 not in shots:
            problems.add(path, "uses no labels and runs at 0 shots only; add 0 to few_shot.shots", at_key=True)
        elif detector.space and (detector.labels == "none" or max(shots) == 0):
            problems.add((*path, "space"), "cells at 0 shots are never searched; fix the values instead", at_key=True)


def _detector_sources(spec: SweepSpec, problems: Problems) -> None:
    names = [source.source_name for source in spec.sources]
    for detector, entry in spec.detectors.items():
        for index, name in enumerate(entry.sources):
            if name not in names:
                problems.add(("detectors", detector, "sources", index), unknown("source", name, names))


def _source_rules(spec: SweepSpec, problems: Problems) -> None:
    seen: set[str] = set()
    for index, source in enumerate(spec.sources):
        path: KeyPath = ("data", index) if isinstance(spec.data, tuple) else ("data",)
        if source.source_name in seen:
            text = f"two sources are called {source.source_name!r}; give each its own name"
            problems.add((*path, "name"), text, at_key=True)
        seen.add(source.source_name)
        for key, file in (("path", source.path), ("incidents", source.incidents)):
            folder = key == "path" and source.source != "table" and file is not None and file.is_dir()
            if file is not None and not file.is_file() and not folder:
                what = "is a folder, not a file" if file.is_dir() else "no such file"
                problems.add((*path, key), f"{file}: {what}")
