"""Which detectors exist: one explicit table, read without importing any of them."""

import importlib
import inspect
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trainables.errors import DetectorError
from trainables.protocol import Detector, DetectorConfig, Labels, Scalar, TrialResources


@dataclass(frozen=True, slots=True)
class DetectorEntry:
    """Where a detector lives and what it needs.

    Attributes
    ----------
    path
        "module:Class".
    labels
        As the class declares it; repeated here so that a plan needs no import.
    gpu
        True if a trial should get a GPU where there is one.
    """

    path: str
    labels: Labels
    gpu: bool = False


DETECTORS: Mapping[str, DetectorEntry] = {
    "random": DetectorEntry("trainables.reference:Random", "none"),
    "always_alarm": DetectorEntry("trainables.reference:AlwaysAlarm", "none"),
    "moving_variance": DetectorEntry("trainables.reference:MovingVariance", "none"),
    "pca": DetectorEntry("trainables.reference:PcaReconstruction", "none"),
    "external": DetectorEntry("trainables.external:External", "none"),
    "isolation_forest": DetectorEntry("trainables.isolation_forest:IsolationForestDetector", "normal"),
    "random_forest": DetectorEntry("trainables.random_forest:RandomForestDetector", "all"),
    "gradient_boosting": DetectorEntry("trainables.gradient_boosting:GradientBoostingDetector", "all"),
    "logistic_regression": DetectorEntry("trainables.logistic_regression:LogisticRegressionDetector", "all"),
    "lstm_ae": DetectorEntry("trainables.lstm_ae:LstmAutoencoder", "normal", gpu=True),
    "moment_zero_shot": DetectorEntry("trainables.moment_zero_shot:MomentZeroShot", "none", gpu=True),
    "moment_linear_probe": DetectorEntry("trainables.moment_linear_probe:MomentLinearProbe", "all", gpu=True),
    "moment_lora": DetectorEntry("trainables.moment_lora:MomentLora", "all", gpu=True),
}


def detector_names() -> tuple[str, ...]:
    """Names of the built-in detectors, reference detectors first."""
    return tuple(DETECTORS)


def detector_entry(name: str, class_path: str | None = None) -> DetectorEntry:
    """Return the entry of a built-in detector, or one made from the user's own `module:Class`.

    Raises
    ------
    DetectorError
        Unknown name (the nearest known ones are named), or a class that cannot be imported.
    """
    if class_path is not None:
        cls = load_class(class_path)
        return DetectorEntry(class_path, cls.labels, gpu=bool(getattr(cls, "gpu", False)))
    if name in DETECTORS:
        return DETECTORS[name]
    near = get_close_matches(name, DETECTORS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise DetectorError(f"unknown detector {name!r}; {hint}known: {', '.join(DETECTORS)}; or give class: module:Class")


def load_class(path: str) -> type[Detector]:
    """Import "module:Class".

    Raises
    ------
    DetectorError
        Not of that form, a module that is not there or raises while it is imported, no such class in it, or a class
        that is no detector: each part of the `Detector` protocol that it lacks or declares wrongly is named.
    """
    module_name, _, class_name = path.partition(":")
    if not module_name or not class_name:
        raise DetectorError(f"class must look like module:Class, got {path!r}")
    module = _import(module_name, path)
    cls = getattr(module, class_name, None)
    if cls is None:
        raise DetectorError(f"module {module_name!r} has no class {class_name!r}")
    problems = list(_class_problems(cls))
    if problems:
        raise DetectorError(f"{path} is not a detector: {'; '.join(problems)}")
    detector_class: type[Detector] = cls
    return detector_class


def _import(name: str, path: str) -> ModuleType:
    """Import a module that may be the user's: whatever it raises becomes one line that says where."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as err:
        what = " ".join(f"{type(err).__name__}: {err}".split()).removesuffix(":")
        absent = isinstance(err, ModuleNotFoundError) and f"{name}.".startswith(f"{err.name}.")
        hint = "; modules are looked for in the current folder and on PYTHONPATH" if absent else _raised_at(err)
        raise DetectorError(f"cannot import {name!r} of class {path!r}: {what}{hint}") from err


def _raised_at(err: BaseException) -> str:
    """Return the file and line of the module on which its import failed; a syntax error says so itself."""
    frames = traceback.extract_tb(err.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and not frame.filename.startswith("<frozen")]
    own = [frame for frame in own if Path(frame.filename).parent != Path(importlib.__file__).parent]
    return f" ({Path(own[0].filename).name}:{own[0].lineno})" if own else ""


def _class_problems(cls: object) -> Iterator[str]:
    """Say what keeps an object from being a detector class that a sweep can plan and build."""
    missing = [part for part in ("labels", "Config", "fit", "score", "facts") if not hasattr(cls, part)]
    if missing:
        yield f"it lacks {', '.join(missing)}"
        return
    if not isinstance(cls, type):
        yield "it is an object, not a class"
        return
    labels, config = getattr(cls, "labels", None), getattr(cls, "Config", None)
    if labels not in get_args(Labels):
        yield f"labels is {labels!r}, must be one of {', '.join(get_args(Labels))}"
    if not (isinstance(config, type) and issubclass(config, DetectorConfig)):
        yield "Config is not a subclass of trainables.protocol.DetectorConfig"
    yield from (f"{part} is not a method" for part in ("fit", "score") if not callable(getattr(cls, part)))
    try:
        inspect.signature(cls).bind("config", "resources")
    except TypeError as err:
        yield f"it cannot be constructed as Class(config, resources): {err}"


def config_class(name: str, class_path: str | None = None) -> type[DetectorConfig]:
    """Return the detector's settings class; its fields are what a sweep file may set or search."""
    return load_class(detector_entry(name, class_path).path).Config


def detector_config(name: str, settings: Mapping[str, Scalar], class_path: str | None = None) -> DetectorConfig:
    """Return the checked settings of a detector.

    Raises
    ------
    DetectorError
        Unknown detector, unknown setting or a value out of bounds.
    """
    kind = config_class(name, class_path)
    try:
        return kind(**dict(settings))
    except ValidationError as err:
        details = "; ".join(_mistake(error, tuple(kind.model_fields)) for error in err.errors())
        raise DetectorError(f"{name}: {details}") from err


def build_detector(
    name: str, settings: Mapping[str, Scalar], resources: TrialResources, class_path: str | None = None
) -> Detector:
    """Construct a detector from its name (or the user's class) and its settings.

    Raises
    ------
    DetectorError
        Unknown detector, unknown setting or a value out of bounds.
    """
    config = detector_config(name, settings, class_path)
    return load_class(detector_entry(name, class_path).path)(config, resources)


def _mistake(error: ErrorDetails, known: tuple[str, ...]) -> str:
    """Say in words what is wrong with one setting; an unknown one with the nearest known name."""
    setting = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        return f"{setting}: {error['msg']} (got {error['input']!r})"
    near = get_close_matches(setting, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{setting}: unknown parameter; {hint}known: {', '.join(known) or 'none'}"
