"""The sections of the report: which figures and tables stand where, and what is said beside them."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from analysis import table_views as tables
from analysis.findings import Findings
from analysis.figures import FigureDraft
from analysis.landscape import NOT_FOR_CLAIMS, parameter_columns
from analysis.plots import cost, differences, fault_types, forest, learning_curve, search, timeline
from analysis.plots.style import shorten
from analysis.roles import role
from analysis.tables import flatten
from analysis.verdict import metric_meaning, metric_title
from analysis.views import FigureView, Section, TableView

KEY_PACKAGES = 200
"""Most rows of the provenance table."""


def sections(found: Findings, folder: Path) -> list[Section]:
    """Return every section, writing its figure files below `folder`."""
    makers = (curves, leaderboard, compared, by_fault, in_time, searched, costs, failed, provenance, method)
    return [section for maker in makers for section in maker(found, folder)]


def curves(found: Findings, folder: Path) -> Iterator[Section]:
    """Learning curves of every metric against labels, however counted."""
    draft = FigureDraft("learning_curve", ("source", "metric", "labels counted as"))
    draft.texts = {name: metric_title(name) for name in found.levels} | learning_curve.AXES
    for source in _sources(found.board):
        for metric in [found.metric, *(name for name in found.levels if name != found.metric)]:
            points = found.levels[metric]
            points = points[points["source"] == source]
            for axis in learning_curve.AXES:
                if points.empty:
                    continue
                drawn = learning_curve.data(points, axis, metric_title(metric))
                printable = metric == found.metric and axis in ("windows", "faults")
                draft.add(
                    (source, metric, axis),
                    learning_curve.page(drawn),
                    (lambda drawn=drawn: learning_curve.paper(drawn)) if printable else None,
                    (*_named(found, source), axis),
                )
    yield Section(
        "curves", "Learning curves", "How good with how many labels",
        [
            "Each point is the mean over report draws: fresh random choices of the labelled windows, which no search "
            "saw. Bands are 95 % intervals over draws (pointwise). Dotted level lines need no labels at all. "
            "Click a name to hide it, double-click to see it alone.",
        ],
        [draft.view(folder, f"Learning curves: {metric_title(found.metric)} against labels",
                    "The axis is straight near zero and logarithmic beyond, so that 0 labels has a place.")],
    )  # fmt: skip


def leaderboard(found: Findings, folder: Path) -> Iterator[Section]:
    """Leaderboard of every number of shots, the largest first."""
    draft = FigureDraft("levels", ("source", "shots"))
    views: list[TableView] = []
    for source in _sources(found.board):
        mine = found.board[found.board["source"] == source]
        for shots in sorted(mine["shots"].unique(), reverse=True):
            board = mine[mine["shots"] == shots]
            drawn = forest.data(board)
            draft.texts[str(shots)] = _shots(found, int(shots))
            draft.add(
                (source, str(shots)), forest.page(drawn, metric_title(found.metric)),
                lambda drawn=drawn: forest.paper(drawn, metric_title(found.metric)), (*_named(found, source), f"k{shots}"),
            )  # fmt: skip
            where = f", {shorten(source, 40)}" if len(_sources(found.board)) > 1 else ""
            views.append(tables.leaderboard(board, found.metric, f"{_shots(found, int(shots))}{where}"))
    yield Section(
        "leaderboard", "Leaderboard", "Leaderboard at each number of shots",
        [
            f"Ranked by {metric_title(found.metric)}: {metric_meaning(found.metric)} The reference rows (random, "
            "always_alarm, moving_variance, pca) stand in every table: a score means something only beside them. "
            "Detectors that need no labels are repeated at every number of shots.",
        ],
        [draft.view(folder, f"{metric_title(found.metric)} of each detector with its interval",
                    "Dots are means over report draws, bars 95 % intervals over draws; no bar where none can be given.")],
        views[:4], views[4:],
    )  # fmt: skip


def compared(found: Findings, folder: Path) -> Iterator[Section]:
    """Paired comparisons of MOMENT detectors with ordinary ones."""
    figures: list[FigureView] = []
    views: list[TableView] = []
    if len(found.pairs):
        draft = FigureDraft("differences", ("source",))
        for source in _sources(found.pairs):
            mine = found.pairs[found.pairs["source"] == source]
            drawn = differences.data(mine)
            draft.add(
                (source,), differences.page(drawn, metric_title(found.metric)),
                lambda drawn=drawn: differences.paper(drawn, metric_title(found.metric)), _named(found, source),
            )  # fmt: skip
            views.append(tables.pairs(mine, f"Every pair{_of(found, source)}, {metric_title(found.metric)}"))
        figures = [draft.view(folder, "Paired differences with intervals",
                              "Bars are 95 % paired-t intervals. Filled: separated from zero after Holm; open: not; "
                              "cross: no claim possible.")]  # fmt: skip
    tests = int(found.pairs["p"].notna().sum())
    yield Section(
        "compared", "Comparisons", "Is a MOMENT detector ahead of an ordinary one?",
        [
            "Both detectors of a pair are scored on the same draws, and the difference is taken draw by draw. "
            f"p-values are paired t, corrected by Holm over all {tests} pairs with a test; the exact sign-flip p stands "
            "beside. The verdict on top uses a second declared family: for each MOMENT detector and number of shots, "
            "whether it beats every ordinary detector, by the largest of its p-values."
            if len(found.pairs) else
            "No comparison is made: " + (found.verdict.why_not or "there is no pair of a MOMENT detector and an ordinary one."),
        ],
        figures, [], views,
    )  # fmt: skip


def by_fault(found: Findings, folder: Path) -> Iterator[Section]:
    """What is caught of each fault type."""
    draft = FigureDraft("fault_types", ("source", "shots"))
    views = []
    for source in _sources(found.caught):
        mine = found.caught[found.caught["source"] == source]
        for shots in sorted(mine["shots"].unique(), reverse=True):
            here = mine[mine["shots"].isin([shots, 0])]
            best = here.groupby("detector")["shots"].transform("max")
            drawn = fault_types.data(here[here["shots"] == best])
            draft.texts[str(shots)] = _shots(found, int(shots))
            draft.add(
                (source, str(shots)), fault_types.page(drawn), lambda drawn=drawn: fault_types.paper(drawn),
                (*_named(found, source), f"k{shots}"),
            )  # fmt: skip
            views.append(
                tables.fault_types(drawn[::-1], f"By fault type, {_shots(found, int(shots))}{_of(found, source)}")
            )
    if not draft.pages:
        return
    yield Section(
        "faults", "Fault types", "What is caught of each fault type",
        [
            "A fault is caught if any of its windows scores at or above the deployed threshold. A share of one or two "
            "faults is an anecdote, not a rate: the number of faults stands beside each type.",
        ],
        [draft.view(folder, "Share of faults caught by detector and fault type", "Means over report draws.")],
        [], views,
    )  # fmt: skip


def in_time(found: Findings, folder: Path) -> Iterator[Section]:
    """Scores and alarms over the test part, one draw of each detector."""
    draft = FigureDraft("timeline", ("source", "shots"))
    for source in _sources(found.caught):
        mine = [d for d in found.shown if d.source == source]
        for shots in sorted({d.shots for d in mine}, reverse=True):
            here = {d.detector: d for d in sorted(mine, key=lambda d: d.shots) if d.shots in (0, shots)}
            drawn = timeline.data([d for d in here.values() if d.fold == min(e.fold for e in here.values())])
            draft.texts[str(shots)] = _shots(found, shots)
            draft.add(
                (source, str(shots)), timeline.page(drawn), lambda drawn=drawn: timeline.paper(drawn),
                (*_named(found, source), f"k{shots}"),
            )  # fmt: skip
    if not draft.pages:
        return
    yield Section(
        "timeline", "Timeline", "The test part in time: scores and alarms of one draw",
        ["Faults are shaded and named. Lines are scores (each on its own scale), triangles alarms inside a fault, "
         "crosses false alarms. One draw of each detector, the first of the report draws, not the best."],
        [draft.view(folder, "Scores and alarms over the test part", "Long test parts show the highest score of each block.")],
    )  # fmt: skip


def searched(found: Findings, folder: Path) -> Iterator[Section]:
    """What the search saw, and how much it flatters."""
    if found.candidates.empty:
        return
    draft = FigureDraft("search", ("source", "detector"))
    for (source, detector), mine in found.candidates.groupby(["source", "detector"]):
        if not parameter_columns(mine):
            continue
        drawn = search.data(mine)
        draft.add(
            (str(source), str(detector)), search.page(drawn, metric_title(found.metric)),
            lambda drawn=drawn: search.paper(drawn, metric_title(found.metric)), (*_named(found, str(source)), str(detector)),
        )  # fmt: skip
    columns = {"source": "source", "detector": "detector", "shots": "shots", "configurations": "configurations tried",
               "selection_mean": "mean on selection draws", "report_mean": "mean on report draws",
               "optimism": "optimism (difference)"}  # fmt: skip
    yield Section(
        "search", "Search", "The search, and how much it flatters",
        [
            NOT_FOR_CLAIMS,
            "Optimism is what the winner's own search score promises beyond what fresh draws on the test part confirm: "
            "luck of the draw and the step from validation to test together.",
        ],
        [draft.view(folder, "Objective on selection draws against each searched parameter", "Stars ran on the report draws.")]
        if draft.pages else [],
        [tables.plain(found.optimism, "Selection optimism", columns, ("source", "detector"))],
    )  # fmt: skip


def costs(found: Findings, folder: Path) -> Iterator[Section]:
    """Seconds and memory."""
    draft = FigureDraft("cost", ("source",))
    for source in _sources(found.costs):
        drawn = cost.data(found.costs[found.costs["source"] == source])
        if len(drawn):
            draft.add(
                (source,), cost.page(drawn, metric_title(found.metric)),
                lambda drawn=drawn: cost.paper(drawn, metric_title(found.metric)), _named(found, source),
            )  # fmt: skip
    columns = {"source": "source", "detector": "detector", "shots": "shots", "fit_seconds": "fit (s)",
               "score_seconds": "score (s)", "total_hours": "all draws (h)", "peak_host_mb": "peak memory (MB)",
               "peak_device_mb": "peak device memory (MB)", "trainable_parameters": "trainable parameters"}  # fmt: skip
    yield Section(
        "cost", "Cost", "What a score costs",
        ["Medians over report draws; the hours count selection draws too. Peak memory is that of the worker process."],
        [draft.view(folder, "Metric against seconds a draw", "Numbers beside the points are shots.")] if draft.pages else [],
        [], [tables.plain(found.costs, "Cost of every cell", columns, ("source", "detector"))],
    )  # fmt: skip


def failed(found: Findings, folder: Path) -> Iterator[Section]:  # noqa: ARG001  (one signature for all sections)
    """Draws without a score, and input that could not be used."""
    columns = {"phase": "phase", "source": "source", "detector": "detector", "shots": "shots", "status": "status",
               "count": "draws", "draws": "numbers", "reason": "reason"}  # fmt: skip
    text = [
        "Every planned draw without a score is named here. No claim rests on a cell with gaps: the draws that failed "
        "may be the hard ones."
        if len(found.failures) else "Every planned draw has a score.",
        *found.problems[:20],
    ]  # fmt: skip
    words = ("phase", "source", "detector", "status", "reason", "draws")
    views = [tables.plain(found.failures, "Draws without a score", columns, words)] if len(found.failures) else []
    yield Section("failures", "Failures", "Failures and gaps", text, [], views)


def provenance(found: Findings, folder: Path) -> Iterator[Section]:  # noqa: ARG001
    """Where the numbers come from."""
    views = []
    for path, manifest, spec in zip(found.sweep.folders, found.sweep.manifests, found.sweep.specs, strict=True):
        for name, content in (("manifest", manifest), ("sweep file, resolved", spec)):
            frame = pd.DataFrame(list(flatten(content))[:KEY_PACKAGES], columns=["name", "value"])
            caption = f"{name} of {shorten(path.resolve().name, 60)}"
            views.append(tables.plain(frame, caption, {"name": "name", "value": "value"}, ("name", "value")))
    yield Section(
        "provenance", "Provenance", "Where these numbers come from",
        [*found.sweep.notes, "Rebuild this page from the rows: python -m analysis.report RUN"], [], [], views,
    )  # fmt: skip


def method(found: Findings, folder: Path) -> Iterator[Section]:  # noqa: ARG001
    """What the words on the page mean."""
    frame = pd.DataFrame(
        [(metric_title(name), metric_meaning(name)) for name in found.levels], columns=["name", "meaning"]
    )
    rules = sorted(found.sweep.report["threshold_rule"].dropna().unique())
    yield Section(
        "method", "Method", "How to read this page",
        [
            "A shot is one labelled window; the faults behind the shots are counted too, because windows of one fault "
            "resemble each other. Labels spent on choosing a configuration (validation) count as labels.",
            "The unit of repetition is the draw. Levels: mean with the logit-t interval (t on the logit scale); "
            "differences: paired t with the exact sign-flip test beside; Holm over the declared family; below 6 draws "
            "nothing is called significant. Where all draws give the same score there is no interval.",
            f"Thresholds are chosen without test scores or test labels: {'; '.join(map(str, rules)) or 'no rule recorded'}. "
            "No point adjustment anywhere.",
        ],
        [], [tables.plain(frame, "Metrics", {"name": "metric", "meaning": "meaning"}, ("name", "meaning"))],
    )  # fmt: skip


def _sources(frame: pd.DataFrame) -> list[str]:
    return sorted(str(name) for name in frame["source"].unique())


def _named(found: Findings, source: str) -> tuple[str, ...]:
    """Part of a file name for the source, where there are several."""
    return (source,) if found.sweep.rows["source"].nunique() > 1 else ()


def _of(found: Findings, source: str) -> str:
    return f", {shorten(source, 40)}" if found.sweep.rows["source"].nunique() > 1 else ""


def _shots(found: Findings, shots: int) -> str:
    word = "labelled faults" if found.sweep.unit == "events" else "labelled windows"
    return "0 labels" if shots == 0 else f"{shots} {word}"


def has_moment(found: Findings) -> bool:
    """Return True if any row is of a MOMENT detector."""
    return any(role(name) == "foundation" for name in found.sweep.rows["detector"].unique())
