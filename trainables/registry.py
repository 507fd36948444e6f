"""Which detectors exist: one explicit table, read without importing any of them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

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
        Not of that form, no such module or class, or the class lacks `labels`, `Config`, `fit` or `score`.
    """
    module_name, _, class_name = path.partition(":")
    if not module_name or not class_name:
        raise DetectorError(f"class must look like module:Class, got {path!r}")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, SyntaxError) as err:
        raise DetectorError(f"cannot import {module_name!r} of class {path!r}: {err}") from err
    cls = getattr(module, class_name, None)
    if cls is None:
        raise DetectorError(f"module {module_name!r} has no class {class_name!r}")
    missing = [part for part in ("labels", "Config", "fit", "score", "facts") if not hasattr(cls, part)]
    if missing:
        raise DetectorError(f"{path} is not a detector: it lacks {', '.join(missing)}")
    detector_class: type[Detector] = cls
    return detector_class


def config_class(name: str, class_path: str | None = None) -> type[DetectorConfig]:
    """Return the detector's settings class; its fields are what a sweep file may set or search."""
    return load_class(detector_entry(name, class_path).path).Config


def build_detector(
    name: str, settings: Mapping[str, Scalar], resources: TrialResources, class_path: str | None = None
) -> Detector:
    """Construct a detector from its name (or the user's class) and its settings.

    Raises
    ------
    DetectorError
        Unknown detector, unknown setting or a value out of bounds.
    """
    cls = load_class(detector_entry(name, class_path).path)
    try:
        config = cls.Config(**dict(settings))
    except ValidationError as err:
        details = "; ".join(_mistake(error, tuple(cls.Config.model_fields)) for error in err.errors())
        raise DetectorError(f"{name}: {details}") from err
    return cls(config, resources)


def _mistake(error: ErrorDetails, known: tuple[str, ...]) -> str:
    """Say in words what is wrong with one setting; an unknown one with the nearest known name."""
    setting = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        return f"{setting}: {error['msg']} (got {error['input']!r})"
    near = get_close_matches(setting, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{setting}: unknown parameter; {hint}known: {', '.join(known) or 'none'}"
