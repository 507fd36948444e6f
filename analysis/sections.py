"""The sections of the report: which figures and tables stand where, and what is said beside them."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from analysis import prose
from analysis import table_views as tables
from analysis.delays import KEY
from analysis.figures import FigureDraft, FigureWriter
from analysis.findings import Findings
from analysis.generalisation import EVERY
from analysis.planned import competes, points
from analysis.plots import delay, differences, fault_types, forest, held_out, learning_curve, style
from analysis.views import FigureView, Section, TableView
from analysis.words import metric_meaning, metric_title, shorten


def sections(found: Findings, writer: FigureWriter) -> list[Section]:
    """Return every section, their figure files written by `writer`."""
    makers = (
        curves,
        leaderboard,
        compared,
        todays_alerts,
        one_factor,
        unseen_kinds,
        efficiency,
        by_fault,
        how_soon,
    )
    return [section for maker in makers for section in maker(found, writer)]


def curves(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield learning curves of every metric against labels, however counted."""
    wanted = points(found.sweep.plan)
    draft = FigureDraft("learning_curve", ("source", "metric", "labels counted as"))
    draft.texts = {name: metric_title(name) for name in found.levels} | learning_curve.AXES
    for source in sources(found.board):
        for metric in [found.metric, *(name for name in found.levels if name != found.metric)]:
            levels = found.levels[metric]
            levels = levels[levels["source"] == source]
            for axis in learning_curve.AXES:
                if levels.empty:
                    continue
                drawn = learning_curve.data(levels, axis, metric_title(metric), wanted)
                printable = metric == found.metric and axis in ("windows", "faults")
                draft.add(
                    (source, metric, axis),
                    learning_curve.page(drawn),
                    partial(learning_curve.paper, drawn) if printable else None,
                    (*part_of_name(found, source), axis),
                )
    yield Section(
        "curves", "Learning curves", "How good with how many labels",
        [prose.CURVES],
        [draft.view(writer, f"Learning curves: {metric_title(found.metric)} against labels",
                    prose.CURVES_CAPTION)],
    )  # fmt: skip


def leaderboard(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield the leaderboard of every number of shots, the largest first."""
    draft = FigureDraft("levels", ("source", "shots"))
    views: list[TableView] = []
    for source in sources(found.board):
        mine = found.board[found.board["source"] == source]
        for shots in sorted(mine["shots"].unique(), reverse=True):
            board = mine[mine["shots"] == shots]
            drawn = forest.data(board)
            draft.texts[str(shots)] = found.words.shots(int(shots))
            draft.add(
                (source, str(shots)), forest.page(drawn, metric_title(found.metric)),
                partial(forest.paper, drawn, metric_title(found.metric)), (*part_of_name(found, source), f"k{shots}"),
            )  # fmt: skip
            views.append(
                tables.leaderboard(board, found.metric, f"{found.words.shots(int(shots))}{of_source(found, source)}")
            )
    yield Section(
        "leaderboard", "Leaderboard", "Leaderboard at each number of shots",
        [
            prose.LEADERBOARD.format(title=metric_title(found.metric), meaning=metric_meaning(found.metric)),
            *([prose.GENERAL] if found.board["general_low"].notna().any() else []),
        ],
        [draft.view(writer, f"{metric_title(found.metric)} of each detector with its interval",
                    prose.LEADERBOARD_CAPTION)],
        views[:4], views[4:],
    )  # fmt: skip


def compared(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield paired comparisons of MOMENT detectors with ordinary ones."""
    figures: list[FigureView] = []
    matrices: list[TableView] = []
    views: list[TableView] = []
    if len(found.pairs):
        draft = FigureDraft("differences", ("source", "MOMENT detector"))
        cells = [(s, d) for s in sources(found.pairs) for d in style.ordered(found.pairs["detector"])]
        for source, detector in cells:
            mine = found.pairs[(found.pairs["source"] == source) & (found.pairs["detector"] == detector)]
            if mine.empty:
                continue
            drawn = differences.data(mine)
            draft.add(
                (source, detector), differences.page(drawn, metric_title(found.metric)),
                partial(differences.paper, drawn, metric_title(found.metric)),
                (*part_of_name(found, source), detector),
            )  # fmt: skip
        for source in sources(found.pairs):
            mine = found.pairs[found.pairs["source"] == source]
            matrices.append(tables.matrix(mine, f"MOMENT minus ordinary detectors{of_source(found, source)}"))
            views.append(tables.pairs(mine, f"Every pair{of_source(found, source)}, {metric_title(found.metric)}"))
        figures = [draft.view(writer, "Paired differences with intervals", prose.COMPARED_CAPTION)]
    why = f"No comparison is made: {found.verdict.why_not or prose.NO_PAIR}"
    yield Section(
        "compared", "Comparisons", "Is a MOMENT detector ahead of an ordinary one?",
        [
            prose.COMPARED.format(tests=found.pairs["family"].max()) if len(found.pairs) else why,
            *([prose.SEPARATION] if len(found.separation) else []),
        ],
        figures, [*matrices, *([_separation(found)] if len(found.separation) else [])], views,
    )  # fmt: skip


def _separation(found: Findings) -> TableView:
    columns = {"source": "source", "detector": "MOMENT detector", "shots": "shots", "opponent": "best opponent",
               "mean": "difference", "n": "draws", "power_now": "chance of significance now",
               "further_draws": "draws needed", "caught_difference": "difference in faults caught",
               "test_events": "test faults", "further_faults": "faults needed"}  # fmt: skip
    words = ("source", "detector", "opponent", "further_draws", "further_faults")
    return tables.plain(found.separation, "What would separate the pairs that are not separated", columns, words)


def todays_alerts(found: Findings, writer: FigureWriter) -> Iterator[Section]:  # noqa: ARG001  (one signature for all sections)
    """Yield every detector against the alarms or scores of another tool, where the sweep file names some."""
    if found.alerts.empty:
        return
    columns = {"source": "source", "alerts": "alerts", "detector": "detector", "shots": "shots",
               "caught_alerts": "caught by the alerts", "caught": "caught", "events": "test faults",
               "caught_low": "difference from", "caught_high": "to", "p_caught_holm": "p after Holm",
               "alarms_alerts": "false alarms a day of the alerts", "alarms": "false alarms a day",
               "alarms_low": "difference from ", "alarms_high": "to ", "p_alarms_holm": "p after Holm ",
               "verdict": "verdict", "n": "draws", "note": "remarks"}  # fmt: skip
    words = ("source", "alerts", "detector", "verdict", "note")
    yield Section(
        "alerts", "Today's alerts", "Would a detector have beaten the alerts you have?",
        [prose.ALERTS.format(tests=found.alerts["family"].max())],
        [], [tables.plain(found.alerts, "Every detector against the alerts", columns, words, 2)],
    )  # fmt: skip


def one_factor(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield what single settings change, where the sweep file has variants of a detector or of a source."""
    if found.ablations.empty:
        return
    title = metric_title(found.metric)
    draft = FigureDraft("one_factor", ("shots",))
    for shots in sorted(found.ablations["shots"].unique(), reverse=True):
        drawn = differences.of_factors(found.ablations[found.ablations["shots"] == shots])
        draft.texts[str(shots)] = found.words.shots(int(shots))
        draft.add(
            (str(shots),), differences.page(drawn, title, "the variant"),
            partial(differences.paper, drawn, title, "the variant"), (f"k{shots}",),
        )  # fmt: skip
    columns = {"factor": "factor", "before": "in the base", "after": "in the variant", "detector": "detector",
               "source": "source", "shots": "shots", "mean": "difference", "low": "from", "high": "to",
               "p_holm": "p after Holm", "verdict": "verdict", "n": "draws", "base": "compared with", "how": "how",
               "level_before": "level, base", "level_after": "level, variant", "note": "remarks"}  # fmt: skip
    words = ("factor", "before", "after", "source", "detector", "base", "verdict", "how", "note")
    yield Section(
        "ablations", "One factor at a time", "What does a single setting change?",
        [prose.ONE_FACTOR],
        [draft.view(writer, f"{title}: variant minus base", prose.ONE_FACTOR_CAPTION)],
        [tables.plain(found.ablations, f"Variants and their bases, {title}", columns, words)],
    )  # fmt: skip


def efficiency(found: Findings, writer: FigureWriter) -> Iterator[Section]:  # noqa: ARG001  (one signature for all sections)
    """Yield labels needed for a score, and where a MOMENT detector stops paying off."""
    if found.needs.empty and found.pays_off.empty:
        return
    common = {"answer": "labels", "reached": "share of resampled curves", "n": "draws", "note": "remarks"}
    needed = {"source": "source", "detector": "detector", "counted": "labels counted as",
              "target": f"{metric_title(found.metric)} to reach"} | common  # fmt: skip
    ends = {"source": "source", "detector": "MOMENT detector", "opponent": "against"} | common
    words = ("source", "detector", "counted", "opponent", "answer", "note")
    yield Section(
        "efficiency", "Label efficiency", "How many labels does a score cost?",
        [prose.NEEDS, prose.BREAK_EVEN],
        [],
        [tables.plain(found.pays_off, "Up to how many shots a MOMENT detector is ahead", ends, words, 2)],
        [tables.plain(found.needs, "Labels needed to reach a score, validation included", needed, words, 2)],
    )  # fmt: skip


def by_fault(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield what is caught of each fault type."""
    draft = FigureDraft("fault_types", ("source", "shots"))
    views = []
    wanted = points(found.sweep.plan)
    for source in sources(found.caught):
        mine = found.caught[found.caught["source"] == source]
        for shots in sorted(mine["shots"].unique(), reverse=True):
            keys = mine[["source", "detector", "shots"]].itertuples(index=False, name=None)
            drawn = fault_types.data(mine[[competes(wanted, key, shots) for key in keys]])
            draft.texts[str(shots)] = found.words.shots(int(shots))
            draft.add(
                (source, str(shots)), fault_types.page(drawn),
                partial(fault_types.paper, drawn) if shots == mine["shots"].max() else None,
                (*part_of_name(found, source), f"k{shots}"),
            )  # fmt: skip
            views.append(
                tables.fault_types(
                    drawn[::-1], f"By fault type, {found.words.shots(int(shots))}{of_source(found, source)}"
                )
            )
    if not draft.pages:
        return
    columns = {"source": "source", "detector": "detector", "shots": "shots", "types": "fault types", "n": "draws",
               "mean": "mean over types", "mean_low": "from", "mean_high": "to", "iqm": "interquartile mean",
               "iqm_low": "from ", "iqm_high": "to ", "note": "remarks"}  # fmt: skip
    robust = tables.plain(found.over_types, "Share of windows that alarm, over all fault types", columns,
                          ("source", "detector", "note"))  # fmt: skip
    yield Section(
        "faults", "Fault types", "What is caught of each fault type",
        [prose.FAULTS, prose.OVER_TYPES],
        [draft.view(writer, "Share of faults caught by detector and fault type", "Means over report draws.")],
        [], [*views, robust],
    )  # fmt: skip


def how_soon(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield how long faults go on before an alarm, those without one censored at their end."""
    draft = FigureDraft("delay", ("source", "shots"))
    views = []
    alarms = found.levels.get("false_alarms_per_day", pd.DataFrame(columns=[*KEY, "estimate"]))
    alarms = alarms[[*KEY, "estimate"]].rename(columns={"estimate": "alarms"})
    wanted = points(found.sweep.plan)
    for source in sources(found.delays):
        table, curve = (f[f["source"] == source] for f in (found.delays, found.caught_in_time))
        for shots in sorted(table["shots"].unique(), reverse=True):
            rows, drawn = (
                f[[competes(wanted, key, shots) for key in f[KEY].itertuples(index=False, name=None)]]
                for f in (table, curve)
            )
            drawn = delay.data(drawn)
            draft.texts[str(shots)] = found.words.shots(int(shots))
            draft.add(
                (source, str(shots)), delay.page(drawn),
                partial(delay.paper, drawn) if shots == table["shots"].max() else None,
                (*part_of_name(found, source), f"k{shots}"),
            )  # fmt: skip
            views.append(
                tables.delays(
                    rows.merge(alarms, on=KEY, how="left"),
                    f"Delay, {found.words.shots(int(shots))}{of_source(found, source)}",
                )
            )
    if draft.pages:
        yield Section(
            "delay", "Delay", "How soon a fault is noticed",
            [prose.DELAY],
            [draft.view(writer, "Share of faults caught against time since their start", prose.DELAY_CAPTION)],
            views[:1], views[1:],
        )  # fmt: skip


def unseen_kinds(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield what is lost on kinds of faults that were left out of training."""
    if found.generalisation.empty:
        return
    title = metric_title(found.metric)
    draft = FigureDraft("unseen_kinds", ("source", "shots"))
    for source in sources(found.generalisation):
        mine = found.generalisation[found.generalisation["source"] == source]
        for shots in sorted(mine["shots"].unique(), reverse=True):
            drawn = held_out.data(mine[mine["shots"] == shots])
            draft.texts[str(shots)] = found.words.shots(int(shots))
            draft.add(
                (source, str(shots)), held_out.page(drawn, title), partial(held_out.paper, drawn, title),
                (*part_of_name(found, source), f"k{shots}"),
            )  # fmt: skip
    columns = {"source": "source", "shots": "shots", "detector": "detector", "held_out": "held-out kind",
               "unseen": "unseen", "seen": "seen", "difference": "difference", "low": "from", "high": "to",
               "n": "draws", "test_events": "test faults", "note": "remarks"}  # fmt: skip
    words = ("source", "detector", "held_out", "note")
    mean = found.generalisation[found.generalisation["held_out"] == EVERY]
    yield Section(
        "unseen", "Unseen kinds", "Kinds of faults that nobody labelled",
        [prose.UNSEEN],
        [draft.view(writer, f"{title} on held-out kinds of faults, unseen and (seen)", prose.UNSEEN_CAPTION)],
        [tables.plain(mean, "Mean over held-out kinds", columns, words)] if len(mean) else [],
        [tables.plain(found.generalisation, "Every held-out kind", columns, words)],
    )  # fmt: skip


def sources(frame: pd.DataFrame) -> list[str]:
    """Return the sources of a frame, in order."""
    return sorted(str(name) for name in frame["source"].unique())


def part_of_name(found: Findings, source: str) -> tuple[str, ...]:
    """Return what a file name says about the source: nothing where there is one."""
    return (source,) if found.words.many_sources else ()


def of_source(found: Findings, source: str) -> str:
    """Return what a caption says about the source: nothing where there is one."""
    return f", {shorten(source, 40)}" if found.words.many_sources else ""
