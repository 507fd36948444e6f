"""What is lacking for a sweep, found before it starts."""

import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import numpy as np

from trainables.data.draws import draw_support
from trainables.data.hold_out import folds
from trainables.data.parts import Cut, cut_windows
from trainables.data.series import NORMAL, UNLABELLED, LabelledSeries
from trainables.data.windows import LabelledWindows
from trainables.errors import ProtocolError
from trainables.settings import DataSettings

if TYPE_CHECKING:  # trainables.trial imports the windows of this package
    from trainables.trial import EvaluationSettings

LABEL: Final = "label"
OTHER_LABELS: Final = ("labels", "anomaly", "isanomaly", "anomalous", "isfault", "fault", "attack", "target", "class")
"""What other tables call their label, in small letters only."""


def check_supply(series: LabelledSeries, settings: "EvaluationSettings", shots: tuple[int, ...]) -> list[str]:
    """Return every reason why the source cannot support the split or the shots, in words with numbers.

    An empty list means that each fold has faults and normal windows in every part and enough for each K.
    """
    who = _named(series, settings.data)
    lacking = check_labels(series, settings.data)
    if lacking:
        return [lacking]
    unmatched = _unmatched_rules(series.columns, settings.data)
    if unmatched:
        return [f"{who}: data.missing.columns: {', '.join(unmatched)} matches no column: {_listed(series.columns)}"]
    longest = int(np.bincount(series.segment).max())
    if longest < settings.data.window:
        return [
            (
                f"{who}: data.window is {settings.data.window} steps, the longest of {len(series.segments)} segments "
                f"has {longest} rows; choose a smaller window"
            )
        ]
    problems: list[str] = []
    try:
        count = len(folds(series, settings.data.window, settings.split))
    except ProtocolError as err:
        return [f"{who}: {err}"]
    for fold in range(count):
        try:
            cut = cut_windows(series, settings, fold)
        except ProtocolError as err:
            problems.append(f"{who}: {err}")
            break
        problems += [f"{who}, fold {fold}: {lack}" for lack in _lacks(series, settings, cut, shots)]
    return problems


def check_labels(series: LabelledSeries, data: DataSettings) -> str:
    """Return what the labels lack to judge a detector by; empty if there are rows of both classes."""
    who = _named(series, data)
    if not (series.labels != UNLABELLED).any():
        return (
            f"{who} has no labels: {_label_hint(series.columns)}add a column named label, or a file of incidents "
            "(data.incidents, of a command --incidents)"
        )
    for value, meaning in ((1, "fault"), (0, "normal")):
        if not (series.labels == value).any():
            mend = "add recordings that hold faults" if value else "write normal or 0 where there is none, not a blank"
            return f"{who} has no row labelled {meaning}, only one class; both are needed to judge a detector: {mend}"
    return ""


def _named(series: LabelledSeries, data: DataSettings) -> str:
    return repr(series.name) if data.path is None else f"{series.name!r} ({data.path})"


def _label_hint(columns: tuple[str, ...]) -> str:
    """Name the feature that was probably meant as the label."""
    plain = {re.sub(r"[^a-z]", "", name.lower()): name for name in columns}
    near = [plain[word] for word in OTHER_LABELS if word in plain]
    near = near or get_close_matches(LABEL, columns, n=1, cutoff=0.7)
    return f"rename {near[0]!r} to 'label' if it holds them; or " if near else ""


def _unmatched_rules(columns: tuple[str, ...], data: DataSettings) -> list[str]:
    """Return the patterns of `data.missing.columns` that match no column."""
    globs = [] if isinstance(data.missing, str) else list(data.missing.columns)
    return [repr(glob) for glob in globs if not any(fnmatchcase(name, glob) for name in columns)]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _lacks(series: LabelledSeries, settings: "EvaluationSettings", cut: Cut, shots: tuple[int, ...]) -> list[str]:
    lacks = []
    length = settings.data.window
    for name, ends in (("support", cut.pool), ("validation", cut.validation), ("test", cut.test)):
        y = series.labels[ends]
        if not len(ends):
            lacks.append(f"the {name} part has no trusted window of {length} steps")
        elif y.min() == y.max():
            only, missing = ("normal", "faulty") if y[0] == 0 else ("faulty", "normal")
            hint = "" if name == "support" else "; a smaller data.score_stride may help"
            if missing == "normal":
                hint = "; more fault-free rows with a label are needed beside these faults"
            lacks.append(f"the {name} part has {len(ends)} {only} windows of {length} steps and no {missing} one{hint}")
    if not len(cut.reference):
        lacks.append(f"the support part has no window of {length} steps for the reference")
    if settings.few_shot.shortage == "cap" or not len(cut.pool):
        return lacks
    pool = bare_pool(series, cut, length)
    for count in sorted(set(shots)):
        try:
            for draw in _draws(settings):
                draw_support(pool, source=series.name, shots=count, draw=draw, few_shot=settings.few_shot)
        except ProtocolError as err:
            lacks.append(str(err))
    return lacks


def _draws(settings: "EvaluationSettings") -> tuple[int, ...]:
    """Return the draws to try: faults differ in length, so with `unit: events` each draw needs other numbers."""
    few_shot = settings.few_shot
    draws = few_shot.selection_seeds.draws + few_shot.report_seeds.draws
    return draws if few_shot.unit == "events" else draws[:1]


def bare_pool(series: LabelledSeries, cut: Cut, length: int) -> LabelledWindows:
    """Return the support pool without telemetry: all that a draw looks at."""
    names = np.asarray([*(event.fault_type for event in series.events), NORMAL], dtype=np.str_)
    return LabelledWindows(
        table=np.empty((0, 0), dtype=np.float32),
        ends=cut.pool,
        length=length,
        columns=(),
        step_s=series.step_s,
        y=series.labels[cut.pool],
        fault_type=names[series.event[cut.pool]],
        event=series.event[cut.pool],
    )
