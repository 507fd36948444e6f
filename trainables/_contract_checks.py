"""The checks of `trainables.contract`, one function each."""

import pickle
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from trainables._toy import FAULTS, KINDS, Toy, ToyKind, make_toy
from trainables.data.series import NORMAL
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import ContractError, DetectorError
from trainables.protocol import ChannelErrors, Detector, FaultClassifier, FitFacts, Scalar, TrialResources
from trainables.registry import build_detector
from trainables.saving import load_detector, save_detector
from trainables.winner import PICKLES

TOLERANCE = 1e-9
"""Most that a window's score may move with its neighbours, as a share of itself or of the median score."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The detector under test and how it is constructed; fitted ones are kept for the next check."""

    path: str
    cls: type[Detector]
    settings: Mapping[str, Scalar]
    resources: TrialResources
    _fitted: dict[ToyKind, Detector] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Class name, as messages carry it."""
        return self.path.partition(":")[2]

    def build(self) -> Detector:
        """Return a fresh detector."""
        return build_detector(self.name, self.settings, self.resources, self.path)

    def visible(self, support: LabelledWindows) -> LabelledWindows:
        """Return the support windows that the declared `labels` allow."""
        if self.cls.labels == "all":
            return support
        return support.take(support.y == 0) if self.cls.labels == "normal" else none_of(support)

    def fit(self, toy: Toy, support: LabelledWindows | None = None) -> Detector:
        """Return a fresh detector, fitted on a toy's visible support or on the one given."""
        return self.build().fit(self.visible(toy.support) if support is None else support, toy.reference)

    def fitted(self, kind: ToyKind) -> Detector:
        """Return a detector fitted on that toy, fitted once."""
        if kind not in self._fitted:
            self._fitted[kind] = self.fit(make_toy(kind))
        return self._fitted[kind]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a detector must do; `run` raises where it does not."""

    name: str
    meaning: str
    run: Callable[[Subject], None]
    applies: Callable[[Subject], bool]


def none_of(windows: LabelledWindows) -> LabelledWindows:
    """Return no window of these."""
    return windows.take(np.arange(0))


def require(condition: bool, problem: str) -> None:
    """Raise `ContractError` with the problem unless the condition holds."""
    if not condition:
        raise ContractError(problem)


def scores_of(detector: Detector, windows: Windows) -> NDArray[np.float64]:
    """Return the detector's scores [N] of unlabelled windows; shape, type and finiteness hold."""
    plain = windows.unlabelled() if isinstance(windows, LabelledWindows) else windows
    scores = detector.score(plain)
    require(isinstance(scores, np.ndarray), f"score returned {type(scores).__name__}, not an array")
    require(scores.shape == (len(windows),), f"score returned shape {scores.shape}, expected ({len(windows)},)")
    require(scores.dtype == np.float64, f"score returned {scores.dtype}, expected float64")
    bad = int((~np.isfinite(scores)).sum())
    require(bad == 0, f"{bad} of {len(scores)} scores are NaN or infinite")
    return scores


def _declarations(subject: Subject) -> None:
    config = subject.cls.Config  # of the right kind: `load_class` refuses others, as it does unknown labels
    require(config.model_config.get("frozen") is True, "Config is not frozen")
    required = [name for name, info in config.model_fields.items() if info.is_required()]
    require(not required, f"settings without a default: {', '.join(required)}")


def _unknown_parameter(subject: Subject) -> None:
    known = next(iter(subject.cls.Config.model_fields), "")
    wrong = f"{known}{known[-1]}" if known else "no_such_setting"
    try:
        build_detector(subject.name, {wrong: 1}, subject.resources, subject.path)
    except DetectorError as err:
        require(wrong in str(err), f"the error does not name {wrong!r}: {err}")
        require(not known or f"did you mean {known}?" in str(err), f"the error does not suggest {known!r}: {err}")
        return
    raise ContractError(f"the unknown parameter {wrong!r} was accepted")


def _fit_returns_self(subject: Subject) -> None:
    toy, detector = make_toy("shift"), subject.build()
    require(detector.fit(subject.visible(toy.support), toy.reference) is detector, "fit does not return self")


def _shape(subject: Subject) -> None:
    for kind in KINDS:
        query = make_toy(kind).query.unlabelled()
        scores = np.asarray(subject.fitted(kind).score(query))
        require(scores.shape == (len(query),), f"{kind}: scores of shape {scores.shape}, expected ({len(query)},)")


def _dtype(subject: Subject) -> None:
    for kind in KINDS:
        scores = subject.fitted(kind).score(make_toy(kind).query.unlabelled())
        found = getattr(scores, "dtype", type(scores).__name__)
        require(found == np.float64, f"{kind}: scores are {found}, expected a float64 array")


def _finite(subject: Subject) -> None:
    for kind in KINDS:
        scores = np.asarray(subject.fitted(kind).score(make_toy(kind).query.unlabelled()), dtype=np.float64)
        bad = int((~np.isfinite(scores)).sum())
        require(bad == 0, f"{kind}: {bad} of {len(scores)} scores are NaN or infinite")
        beyond = int((~np.isfinite(scores.astype(np.float32))).sum())
        require(beyond == 0, f"{kind}: {beyond} scores are beyond float32, in which they are stored")


def _direction(kind: ToyKind) -> Callable[[Subject], None]:
    def check(subject: Subject) -> None:
        query = make_toy(kind).query
        auc = float(roc_auc_score(query.y, scores_of(subject.fitted(kind), query)))
        require(auc > 0.5, f"AUC {auc:.2f} on a planted {kind}: higher must mean more anomalous")

    return check


def _same_seed(subject: Subject) -> None:
    toy = make_toy("shift")
    first, second = scores_of(subject.fitted("shift"), toy.query), scores_of(subject.fit(toy), toy.query)
    require(first.tobytes() == second.tobytes(), f"{_differing(first, second)} differ between two fits with one seed")


def _score_twice(subject: Subject) -> None:
    query, detector = make_toy("shift").query, subject.fitted("shift")
    first, second = scores_of(detector, query), scores_of(detector, query)
    require(first.tobytes() == second.tobytes(), f"{_differing(first, second)} differ the second time")


def _state_kept(subject: Subject) -> None:
    toy = make_toy("shift")
    detector = subject.fit(toy)
    scores_of(detector, toy.query.take(np.arange(2)))  # what is opened lazily is open now
    before = pickle.dumps(detector)
    scores_of(detector, toy.query)
    require(before == pickle.dumps(detector), "score changes the detector")


def _inputs_untouched(subject: Subject) -> None:
    toy = make_toy("shift")
    table = toy.query.table.copy()  # a writeable one, unlike those that trials see
    support, query = replace(subject.visible(toy.support), table=table), replace(toy.query, table=table)
    reference = replace(toy.reference, table=table)
    before = _contents(support, reference, query)
    detector = subject.build().fit(support, reference)
    scores_of(detector, query)
    after = _contents(support, reference, query)
    changed = [name for name in before if before[name] != after[name]]
    require(not changed, f"fit or score wrote into {', '.join(changed)}")


def _neighbours(subject: Subject) -> None:
    query, detector = make_toy("heavy").query, subject.fitted("heavy")
    whole = scores_of(detector, query)
    allowed = TOLERANCE * np.maximum(np.abs(whole), np.median(np.abs(whole)))  # [N]
    for among, index in (
        ("in another order", np.arange(len(query))[::-1]),
        ("without every second window", np.arange(0, len(query), 2)),
        *((f"alone (window {number})", np.asarray([number])) for number in range(0, len(query), 13)),
    ):
        moved = np.abs(scores_of(detector, query.take(index)) - whole[index])
        worst = float(moved.max())
        require(bool((moved <= allowed[index]).all()), f"scores move by {worst:.2g} when windows are scored {among}")


def _one_shot(subject: Subject) -> None:
    toy = make_toy("shift")
    visible = subject.visible(toy.support)
    for position in dict.fromkeys((int(visible.y.argmin()), int(visible.y.argmax()))):
        _defined(subject, toy, visible.take(np.asarray([position])))


def _one_class(subject: Subject) -> None:
    toy = make_toy("shift")
    visible = subject.visible(toy.support)
    for y in np.unique(visible.y):
        _defined(subject, toy, visible.take(visible.y == y))


def _constant_channel(subject: Subject) -> None:
    toy = make_toy("constant")
    _defined(subject, toy, subject.visible(toy.support))


def _defined(subject: Subject, toy: Toy, support: LabelledWindows) -> None:
    """Fit and score; a `DetectorError` from the detector says that this cannot be done, and is fine."""
    try:
        detector = subject.fit(toy, support)
    except DetectorError as err:
        require(bool(str(err)), "a DetectorError without a message")
        return
    scores_of(detector, toy.query)


def _no_shots(subject: Subject) -> None:
    toy = make_toy("shift")
    scores_of(subject.fit(toy, none_of(toy.support)), toy.query)


def _pickling(subject: Subject) -> None:
    query, detector = make_toy("shift").query, subject.fitted("shift")
    again = pickle.loads(pickle.dumps(detector))  # noqa: S301  (our own bytes of a moment ago)
    first, second = scores_of(detector, query), scores_of(again, query)
    require(first.tobytes() == second.tobytes(), f"{_differing(first, second)} differ after pickling")


def _saving(subject: Subject) -> None:
    query, detector = make_toy("heavy").query, subject.fitted("shift")
    with tempfile.TemporaryDirectory(prefix="contract-") as name:
        save_detector(detector, Path(name))
        pickles = [path.name for path in Path(name).rglob("*") if path.suffix in PICKLES]
        require(not pickles, f"save writes {', '.join(pickles)}: a pickle runs code when it is loaded")
        again = load_detector(subject.cls, Path(name), subject.cls.Config(**dict(subject.settings)), subject.resources)
    first, second = scores_of(detector, query), scores_of(again, query)
    require(first.tobytes() == second.tobytes(), f"{_differing(first, second)} differ after saving and loading")


def _labels_honoured(subject: Subject) -> None:
    toy = make_toy("shift")
    if subject.cls.labels == "none":
        plain = subject.fitted("shift")
        relabelled = subject.fit(toy, toy.support)
    else:
        normal = subject.visible(toy.support)
        plain = subject.fitted("shift")
        names = np.asarray([f"fault_{number}" for number in range(len(normal))], dtype=np.str_)
        relabelled = subject.fit(toy, replace(normal, fault_type=names, event=np.arange(len(normal), dtype=np.int32)))
    first, second = scores_of(plain, toy.query), scores_of(relabelled, toy.query)
    require(first.tobytes() == second.tobytes(), f"{_differing(first, second)} depend on fault labels")


def _facts(subject: Subject) -> None:
    facts = subject.fitted("shift").facts
    require(isinstance(facts, FitFacts), f"facts is {type(facts).__name__}, expected FitFacts")


def _channel_errors(subject: Subject) -> None:
    query = make_toy("shift").query
    detector = subject.fitted("shift")
    if not isinstance(detector, ChannelErrors):
        raise ContractError("channel_errors is not a method")
    errors = np.asarray(detector.channel_errors(query.unlabelled()))
    expected = (len(query), query.channels)
    require(errors.shape == expected, f"channel_errors returned shape {errors.shape}, expected {expected}")
    require(
        bool((np.isfinite(errors) & (errors >= 0)).all()), "channel_errors has values that are negative or not finite"
    )
    named = errors.argmax(axis=1)[query.y == 1]
    planted = np.asarray([FAULTS.index(kind) for kind in query.fault_type[query.y == 1]])
    right = float((named == planted).mean())
    require(right > 0.5, f"{right:.0%} of planted faults have the largest error in the channel that they are in")


def _classify_rows(subject: Subject) -> None:
    for kind in KINDS:
        likelihood, types = _likelihood(subject, kind)
        require(
            likelihood.shape == (60, len(types)),
            f"{kind}: classify returned shape {likelihood.shape}, expected (60, {len(types)})",
        )
        require(bool(((likelihood >= 0) & (likelihood <= 1)).all()), f"{kind}: probabilities outside 0..1 or NaN")
        off = float(np.abs(likelihood.sum(axis=1) - 1).max())
        require(off < 1e-6, f"{kind}: rows of classify sum to 1 only within {off:.2g}")


def _classify_names(subject: Subject) -> None:
    toy = make_toy("shift")
    likelihood, types = _likelihood(subject, "shift")
    seen = set(toy.support.fault_type.tolist())
    require(len(set(types)) == len(types) and set(types) == seen, f"fault_types {types}, support had {sorted(seen)}")
    faulty = toy.query.y == 1
    others = [number for number, name in enumerate(types) if name != NORMAL]
    named = np.asarray(types)[others][likelihood[faulty][:, others].argmax(axis=1)]
    right = float((named == toy.query.fault_type[faulty]).mean())
    require(right > 0.5, f"{right:.0%} of planted faults get their own name, no better than a coin")


def _likelihood(subject: Subject, kind: ToyKind) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    detector = subject.fitted(kind)
    if not isinstance(detector, FaultClassifier):
        raise ContractError("classify without fault_types")
    return np.asarray(detector.classify(make_toy(kind).query.unlabelled())), tuple(detector.fault_types)


def _differing(first: NDArray[np.float64], second: NDArray[np.float64]) -> str:
    return f"{int((first != second).sum())} of {len(first)} scores"


def _contents(support: LabelledWindows, reference: Windows, query: LabelledWindows) -> dict[str, bytes]:
    parts: dict[str, bytes] = {"the table": query.table.tobytes()}
    for part, windows in (("support", support), ("reference", reference), ("query", query)):
        parts |= {f"{name} of the {part}": getattr(windows, name).tobytes() for name in windows.per_window}
    return parts


def _always(subject: Subject) -> bool:  # noqa: ARG001
    return True


def _informed(subject: Subject) -> bool:
    return not getattr(subject.cls, "uninformed", False)


def _sees_shots(subject: Subject) -> bool:
    return subject.cls.labels != "none"


def _sees_no_fault_labels(subject: Subject) -> bool:
    return subject.cls.labels != "all"


def _is_saved(subject: Subject) -> bool:
    return not getattr(subject.cls, "unsaved", False)


def _says_channels(subject: Subject) -> bool:
    return hasattr(subject.cls, "channel_errors")


def _names_faults(subject: Subject) -> bool:
    return hasattr(subject.cls, "classify")


CHECKS: tuple[Check, ...] = (
    Check("declarations", "settings are frozen and have defaults", _declarations, _always),
    Check("unknown_parameter", "an unknown setting is refused, the nearest one named", _unknown_parameter, _always),
    Check("fit_returns_self", "fit returns the detector", _fit_returns_self, _always),
    Check("shape", "one score for each window", _shape, _always),
    Check("dtype", "scores are float64", _dtype, _always),
    Check("finite", "scores are finite, on heavy tails too", _finite, _always),
    Check("direction_shift", "a sustained shift scores higher (AUC > 0.5)", _direction("shift"), _informed),
    Check("direction_spike", "a spike in the last steps scores higher (AUC > 0.5)", _direction("spike"), _informed),
    Check("same_seed", "two fits with one seed give the same bytes", _same_seed, _always),
    Check("score_twice", "scoring again gives the same bytes", _score_twice, _always),
    Check("state_kept", "scoring does not change the detector", _state_kept, _always),
    Check("inputs_untouched", "fit and score write into no input", _inputs_untouched, _always),
    Check("neighbours", "a window's score does not depend on the rest of the batch", _neighbours, _always),
    Check("one_shot", "one labelled window gives scores or a DetectorError", _one_shot, _sees_shots),
    Check("one_class", "shots of one class give scores or a DetectorError", _one_class, _sees_shots),
    Check("constant_channel", "a channel that never moves gives scores or a DetectorError", _constant_channel, _always),
    Check("no_shots", "no labelled window at all gives scores", _no_shots, _sees_no_fault_labels),
    Check("pickling", "it scores the same after pickling", _pickling, _always),
    Check("saving", "it scores the same after it was saved to files and loaded again", _saving, _is_saved),
    Check("labels_honoured", "fault labels do not move a single score", _labels_honoured, _sees_no_fault_labels),
    Check("facts", "facts is a FitFacts", _facts, _always),
    Check("channel_errors", "the channel of a fault has the largest error", _channel_errors, _says_channels),
    Check("classify_rows", "rows of classify are probabilities that sum to 1", _classify_rows, _names_faults),
    Check("classify_names", "classify names the planted faults it was shown", _classify_names, _names_faults),
)
