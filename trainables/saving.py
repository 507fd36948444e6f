"""A fitted detector to files and back: JSON, safetensors and skops, never a pickle.

Most detectors need no code for it. Their attributes are saved one by one: numbers, text and containers go into
`state.json`, arrays and torch tensors into `arrays.safetensors`, scikit-learn estimators into a `.skops` file each.
Dataclasses are saved field by field. Settings and resources are given to the constructor again instead. What holds
anything else fulfils `protocol.Saveable`.
"""

import importlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, cast
from zipfile import ZIP_DEFLATED

import numpy as np
from numpy.typing import NDArray

from trainables._served import Served
from trainables.data.series import LabelledSeries
from trainables.data.windows import Windows
from trainables.errors import SavingError
from trainables.protocol import Detector, DetectorConfig, Saveable, TrialResources

STATE_FILE = "state.json"
ARRAYS_FILE = "arrays.safetensors"

TRUSTED = ("sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor")
"""Types beyond those that skops trusts by itself: the compiled trees of scikit-learn's forests."""

Value = Any
"""An attribute of a detector: whatever its author put there."""
Node = Any
"""What JSON holds: plain scalars stand for themselves, everything else is an object with one tag."""


def save_detector(detector: Detector, folder: Path) -> None:
    """Write a fitted detector into an empty folder.

    Raises
    ------
    SavingError
        It holds something that cannot be saved; the attribute is named.
    """
    if isinstance(detector, Saveable):
        detector.save(folder)
        return
    if not hasattr(detector, "__dict__"):
        raise SavingError(f"{type(detector).__name__} has __slots__ and no attributes to list; give it save and load")
    learned = {name: value for name, value in vars(detector).items() if not isinstance(value, _GIVEN)}
    write_state(folder, learned, home=type(detector).__module__)


def load_detector(cls: type[Detector], folder: Path, config: DetectorConfig, resources: TrialResources) -> Detector:
    """Return the detector that `save_detector` wrote.

    Raises
    ------
    SavingError
        The folder does not hold what this class saves.
    """
    if issubclass(cls, Saveable):
        return cast("Detector", cls.load(folder, config, resources))
    detector = cls(config, resources)
    for name, value in read_state(folder, home=cls.__module__).items():
        setattr(detector, name, value)
    return detector


def write_state(folder: Path, values: Mapping[str, Value], *, home: str) -> None:
    """Write named values; `home` is the module of their detector, whose own dataclasses are accepted.

    Raises
    ------
    SavingError
        A value of a kind that cannot be saved.
    """
    from safetensors.numpy import save_file  # noqa: PLC0415  (needed where something is saved)

    writer = _Writer(folder, home)
    state = {name: writer.node(value, name) for name, value in values.items()}
    if writer.arrays:
        save_file(writer.arrays, folder / ARRAYS_FILE)
    (folder / STATE_FILE).write_text(json.dumps(state, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_state(folder: Path, *, home: str) -> dict[str, Value]:
    """Return the values that `write_state` wrote.

    Raises
    ------
    SavingError
        A file is missing or damaged.
    """
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.numpy import load_file  # noqa: PLC0415

    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        arrays = load_file(folder / ARRAYS_FILE) if (folder / ARRAYS_FILE).exists() else {}
    except (OSError, ValueError, SafetensorError) as err:
        raise SavingError(f"{folder}: cannot be read as a saved detector: {err}") from err
    reader = _Reader(folder, home, arrays)
    try:
        return {name: reader.value(node) for name, node in state.items()}
    except (KeyError, TypeError, AttributeError) as err:
        raise SavingError(f"{folder / STATE_FILE}: damaged, or written by another version: {err!r}") from err


@dataclass(slots=True)
class _Writer:
    folder: Path
    home: str
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def node(self, value: Value, at: str) -> Node:
        """Return what stands for a value in the JSON file; `at` names it."""
        if isinstance(value, np.generic) or (isinstance(value, float) and not math.isfinite(value)):
            return {"scalar": self._array(np.asarray(value), at)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray):
            return self._array_node(value, at)
        if isinstance(value, list | tuple):
            return {type(value).__name__: [self.node(item, f"{at}.{number}") for number, item in enumerate(value)]}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"dict": {key: self.node(item, f"{at}.{key}") for key, item in value.items()}}
        return self._object(value, at)

    def _object(self, value: Value, at: str) -> Node:
        from sklearn.base import BaseEstimator  # noqa: PLC0415  (a second to import)

        if isinstance(value, Windows | LabelledSeries):
            raise SavingError(f"attribute {at} holds telemetry ({type(value).__name__}); keep what was learned from it")
        if isinstance(value, BaseEstimator):
            return {"estimator": self._estimator(value, at)}
        if type(value).__module__ == "torch" and hasattr(value, "detach"):
            return {"tensor": self._array(value.detach().cpu().numpy(), at)}
        cls = type(value)
        if is_dataclass(value) and not isinstance(value, _GIVEN) and _is_near(cls.__module__, self.home):
            parts = {one.name: self.node(getattr(value, one.name), f"{at}.{one.name}") for one in fields(value)}
            return {"dataclass": f"{cls.__module__}:{cls.__qualname__}", "fields": parts}
        raise SavingError(
            f"attribute {at} is a {cls.__module__}.{cls.__qualname__}, which cannot be saved; keep numbers, text, "
            "arrays, scikit-learn estimators or dataclasses of them, or give the class save and load"
        )

    def _array_node(self, array: NDArray[Any], at: str) -> Node:
        if array.dtype.kind == "U":
            return {"text": array.ravel().tolist(), "shape": list(array.shape)}
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise SavingError(f"attribute {at} is an array of {array.dtype}, which cannot be saved; use plain numbers")
        if array.flags.f_contiguous and not array.flags.c_contiguous:  # the order decides the last bits of a product
            return {"array": self._array(array.T, at), "order": "F"}
        return {"array": self._array(array, at)}

    def _array(self, array: NDArray[Any], at: str) -> str:
        self.arrays[at] = np.array(array, order="C")
        return at

    def _estimator(self, value: Value, at: str) -> str:
        with _without_torch():
            from skops.io import dump, get_untrusted_types  # noqa: PLC0415
            from skops.io.exceptions import UnsupportedTypeException  # noqa: PLC0415

        name = f"{at}.skops"
        try:
            dump(value, self.folder / name, compression=ZIP_DEFLATED, compresslevel=1)
        except UnsupportedTypeException as err:
            raise SavingError(f"attribute {at}: {err}") from err
        strange = sorted(set(get_untrusted_types(file=self.folder / name)) - set(TRUSTED))
        if strange:
            raise SavingError(f"attribute {at} holds {', '.join(strange)}, which is not loaded again without trust")
        return name


@contextmanager
def _without_torch() -> Iterator[None]:
    """Import skops without torch, which would take every process that saves a detector 120 MB and a second.

    skops asks scikit-learn for all estimators, which imports all modules of scikit-learn, one of which imports torch
    and holds no estimator. A module that cannot be imported is passed over there.
    """
    module = "sklearn.externals.array_api_compat.torch"
    absent = module not in sys.modules
    if absent:
        sys.modules[module] = None  # type: ignore[assignment]  # Python: not to be imported
    try:
        yield
    finally:
        if absent:
            del sys.modules[module]


@dataclass(slots=True)
class _Reader:
    folder: Path
    home: str
    arrays: Mapping[str, NDArray[Any]]

    def value(self, node: Node) -> Value:
        """Return what a node of the JSON file stands for."""
        if not isinstance(node, dict):
            return node
        tag, content = next(iter(node.items()))
        if tag in {"array", "scalar", "tensor"}:
            return self._numbers(tag, self.arrays[content], node)
        if tag in {"list", "tuple"}:
            items = [self.value(item) for item in content]
            return items if tag == "list" else tuple(items)
        if tag == "dict":
            return {key: self.value(item) for key, item in content.items()}
        return self._object(tag, content, node)

    def _numbers(self, tag: str, array: NDArray[Any], node: Node) -> Value:
        if tag == "scalar":
            return array[()]
        if tag == "array":
            return array.T if node.get("order") == "F" else array
        import torch  # noqa: PLC0415  (only where a tensor was saved)

        return torch.from_numpy(array)

    def _object(self, tag: str, content: Value, node: Node) -> Value:
        if tag == "text":
            return np.asarray(content, dtype=np.str_).reshape(node["shape"])
        if tag == "estimator":
            return self._estimator(content)
        if tag == "dataclass":
            parts = {name: self.value(item) for name, item in node["fields"].items()}
            return self._dataclass(content)(**parts)
        raise SavingError(f"{self.folder / STATE_FILE}: unknown tag {tag!r}: written by a newer version?")

    def _dataclass(self, path: str) -> type[Any]:
        module, _, name = path.partition(":")
        if not _is_near(module, self.home):
            raise SavingError(f"{self.folder / STATE_FILE}: {path} is no class of this detector or of trainables")
        cls = getattr(importlib.import_module(module), name)
        if not (isinstance(cls, type) and is_dataclass(cls)):
            raise SavingError(f"{self.folder / STATE_FILE}: {path} is not a dataclass")
        return cls

    def _estimator(self, name: str) -> Value:
        with _without_torch():
            from skops.io import load  # noqa: PLC0415
            from skops.io.exceptions import UntrustedTypesFoundException  # noqa: PLC0415

        try:
            return load(self.folder / Path(name).name, trusted=list(TRUSTED))
        except (UntrustedTypesFoundException, OSError, ValueError) as err:
            raise SavingError(f"{self.folder / name}: not loaded: {err}") from err


_GIVEN = (DetectorConfig, TrialResources, Served)
"""What the constructor is given again, or makes anew, instead of being saved."""


def _is_near(module: str, home: str) -> bool:
    """Say whether a module is one of ours or belongs to the detector's own package: no other is ever imported."""
    return module.partition(".")[0] in {"trainables", home.partition(".")[0]}
