"""What TensorBoard shows of a sweep: a run a trial, made from its rows alone, and one a detector, its learning curve.

Tags: `draw/<name>` is a number of one draw (step: the draw), `mean/<name>` of a trial over its draws, `not_ok` the
reason of a draw that failed or was raced out, `curve/<metric>` a point of a learning curve (step: shots).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from analysis.curves import levels
from analysis.load import Sweep
from orchestrator.callbacks.base import Row
from orchestrator.callbacks.event_files import Setting, experiment, scalar, session, text
from orchestrator.callbacks.trial_view import IDENTIFYING, cell_of, measured, name_of, summarised, trials_of
from orchestrator.rows import PARAMETER, draw_of
from trainables.metrics import METRICS

CURVES = "curves"


def trial_runs(rows: Sequence[Row]) -> dict[str, list[bytes]]:
    """Return the run of each trial, by its folder: that of its cell, and its name there."""
    trials, settings = trials_of(rows), settings_of(rows)
    return {folder: list(_events(trials[trial], settings[trial])) for trial, folder in _folders(trials).items()}


def columns(rows: Sequence[Row], objective: str) -> dict[str, list[bytes]]:
    """Return the run that names the columns of the table of hyperparameters: what differs, and the means of metrics."""
    settings = list(settings_of(rows).values())
    count = Counter((name, value) for each in settings for name, value in each.items())
    shared = {name for (name, _), trials in count.items() if trials == len(settings) > 1}
    differing = {name: value for each in settings for name, value in each.items() if name not in shared}
    names = dict.fromkeys(name for trial in trials_of(rows).values() for name in _means(trial))
    metrics = sorted(names, key=lambda name: name != objective)  # the one searched for comes first
    return {"": [experiment(differing, [f"mean/{name}" for name in metrics])]}


def curve_runs(sweep: Sweep) -> dict[str, list[bytes]]:
    """Return the run of each detector and source: the points of the report's learning curves, and their intervals."""
    runs: dict[str, list[bytes]] = defaultdict(list)
    for metric in (name for name in sweep.metrics if name in METRICS):
        for level in levels(sweep.report, metric, sweep.plan).to_dict("records"):
            name = f"{level['detector']}-{level['source']}"
            run = runs[f"{CURVES}/{_file_name(name)}"]
            for end, value in {"": level["estimate"], "/low": level["low"], "/high": level["high"]}.items():
                if math.isfinite(value):
                    run.append(scalar(f"curve/{metric}{end}", value, int(level["shots"])))
    return runs


def settings_of(rows: Sequence[Row]) -> dict[str, dict[str, Setting]]:
    """Return the hyperparameters of each trial; one that is a number here and text there is text everywhere."""
    found = {
        trial: {
            name: value
            for name, value in of_trial[0].items()
            if value is not None and (name in IDENTIFYING or name.startswith(PARAMETER))
        }
        for trial, of_trial in trials_of(rows).items()
    }
    kinds = {(name, isinstance(value, str)) for settings in found.values() for name, value in settings.items()}
    mixed = {name for name, is_text in kinds if (name, not is_text) in kinds}
    return {
        trial: {name: str(value) if name in mixed else value for name, value in settings.items()}
        for trial, settings in found.items()
    }


def _events(rows: Sequence[Row], settings: Mapping[str, Setting]) -> Iterator[bytes]:
    yield from session(settings, failed=all(row["status"] != "ok" for row in rows))
    for row in rows:
        if row["status"] == "ok":
            for name, value in measured(row).items():
                yield scalar(f"draw/{name}", value, draw_of(row))
        else:
            yield text("not_ok", f"{row['status']}: {row['reason']}", draw_of(row))
    for name, value in _means(rows).items():
        yield scalar(f"mean/{name}", value, 0)


def _means(rows: Sequence[Row]) -> dict[str, float]:
    return {name: float(value) for name, value in summarised(rows).items() if isinstance(value, int | float)}


def _folders(trials: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """Return the folder of each trial; a name that a forced resume gave to several is followed by the trial's id."""
    names = {trial: f"{_file_name(cell_of(rows[0]))}/{name_of(rows[0])}" for trial, rows in trials.items()}
    count = Counter(names.values())
    return {trial: name if count[name] == 1 else f"{name} {trial}" for trial, name in names.items()}


def _file_name(name: str) -> str:
    """Return a name as folders of winners have it: what no file could be called is encoded."""
    return quote(name, safe=" ()")
