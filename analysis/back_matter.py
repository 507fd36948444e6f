"""The second half of the report: the timeline, the search, cost, failures, provenance, and how to read it all."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import pandas as pd

from analysis import prose
from analysis import table_views as tables
from analysis.curves import sign
from analysis.figures import FigureDraft, FigureWriter
from analysis.findings import Findings
from analysis.importance import SHUFFLES, TOO_FEW
from analysis.landscape import NOT_FOR_CLAIMS, parameter_columns, thinned
from analysis.planned import competes, points
from analysis.plots import cost, parallel, search, style, timeline
from analysis.sections import of_source, part_of_name, sources
from analysis.spending import cost_in_words
from analysis.tables import flatten, spent
from analysis.views import FigureView, Section
from analysis.words import metric_meaning, metric_title, shorten

MANY_LEAVES = 200
"""Most rows of a provenance table."""


def back_matter(found: Findings, writer: FigureWriter) -> list[Section]:
    """Return the sections after the findings, their figure files written by `writer`."""
    makers = (in_time, searched, costs, failed, provenance, method)
    return [section for maker in makers for section in maker(found, writer)]


def in_time(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield scores and alarms over the test part, one draw of each detector."""
    draft = FigureDraft("timeline", ("source", "shots"))
    views = []
    wanted = points(found.sweep.plan)
    for source in sources(found.caught):
        mine = [d for d in found.shown if d.source == source]
        bad = found.worst[found.worst["source"] == source]
        largest = max(d.shots for d in mine)
        for shots in sorted({d.shots for d in mine}, reverse=True):
            here = [d for d in mine if competes(wanted, (source, d.detector, d.shots), shots)]
            drawn = timeline.data([d for d in here if d.fold == min(e.fold for e in here)])
            draft.texts[str(shots)] = found.words.shots(shots)
            draft.add(
                (source, str(shots)), timeline.page(drawn),
                partial(timeline.paper, drawn) if shots == largest else None,
                (*part_of_name(found, source), f"k{shots}"),
            )  # fmt: skip
            keys = bad[["source", "detector", "shots"]].itertuples(index=False, name=None)
            views.append(
                tables.plain(
                    bad[[competes(wanted, key, shots) for key in keys]],
                    f"The worst missed faults and false alarms, {found.words.shots(shots)}{of_source(found, source)}",
                    {"what": "what", "detector": "detector", "fault_type": "fault type", "start": "from (UTC)",
                     "end": "to (UTC)", "share": "outscored by, or outscores"},
                    ("what", "detector", "fault_type", "start", "end"),
                )
            )  # fmt: skip
    if not draft.pages:
        return
    yield Section(
        "timeline", "Timeline", "The test part in time: scores and alarms of one draw",
        [prose.TIMELINE, prose.WORST],
        [draft.view(writer, "Scores and alarms over the test part", prose.TIMELINE_CAPTION)],
        [], views,
    )  # fmt: skip


def searched(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield what the search saw, and how much it flatters."""
    if found.candidates.empty:
        return
    columns = {"source": "source", "detector": "detector", "shots": "shots", "configurations": "configurations tried",
               "selection_mean": "mean on selection draws", "report_mean": "mean on report draws",
               "optimism": "optimism", "luck": "by luck alone"}  # fmt: skip
    ranked = {"source": "source", "detector": "detector", "shots": "shots", "configurations": "complete configurations",
              "parameter": "parameter", "importance": "importance",
              "shuffled": f"as large in {SHUFFLES} shuffles", "note": "remarks"}  # fmt: skip
    some = found.importances["importance"].notna().any()
    table = [tables.plain(found.importances, "Importance of searched parameters, not for claims", ranked,
                          ("source", "detector", "parameter", "note"))]  # fmt: skip
    yield Section(
        "search", "Search", "The search, and how much it flatters",
        [NOT_FOR_CLAIMS, prose.OPTIMISM, prose.IMPORTANCE if some else prose.NO_IMPORTANCE.format(why=TOO_FEW)],
        list(_landscapes(found, writer)),
        [tables.plain(found.optimism, "Selection optimism", columns, ("source", "detector")), *(table if some else ())],
        () if some else table,
    )  # fmt: skip


def _landscapes(found: Findings, writer: FigureWriter) -> Iterator[FigureView]:
    """Yield the configurations as lines over parallel axes, and as points over each parameter."""
    title = metric_title(found.metric)
    lines, dots = (FigureDraft(name, ("source", "detector")) for name in ("parallel", "search"))
    tried = found.candidates
    for source, detector in product(sources(tried), style.ordered(tried["detector"])):
        mine = tried[(tried["source"] == source) & (tried["detector"] == detector)]
        if not parameter_columns(mine):
            continue
        choice, suffix = (source, detector), (*part_of_name(found, source), detector)
        configurations = parallel.data(mine, title, sign(found.metric))
        lines.add(choice, parallel.page(configurations), partial(parallel.paper, configurations), suffix)
        drawn = search.data(thinned(mine, sign(found.metric)))
        dots.add(choice, search.page(drawn, title), partial(search.paper, drawn, title), suffix)
    if lines.pages:
        yield lines.view(writer, "Searched configurations over parallel axes, not for claims", prose.PARALLEL_CAPTION)
        yield dots.view(writer, "Objective against searched parameters, selection draws", prose.SEARCH_CAPTION)


def costs(found: Findings, writer: FigureWriter) -> Iterator[Section]:
    """Yield seconds, hours, memory and money."""
    draft = FigureDraft("cost", ("source",))
    for source in sources(found.costs):
        drawn = cost.data(found.costs[found.costs["source"] == source])
        if len(drawn):
            draft.add(
                (source,), cost.page(drawn, metric_title(found.metric)),
                partial(cost.paper, drawn, metric_title(found.metric)), part_of_name(found, source),
            )  # fmt: skip
    columns = {"source": "source", "detector": "detector", "shots": "shots", "fit_seconds": "fit (s)",
               "threshold_seconds": "threshold (s)", "score_seconds": "score (s)",
               "cache_saved_seconds": "spared by the cache (s)",
               "total_hours": "all draws (h)", "hours_without_cache": "without the cache (h)",
               "gpu_hours": "GPU hours", "money": "money",
               "untimed": "rows without seconds", "peak_host_mb": "peak memory (MB)",
               "peak_device_mb": "peak device memory (MB)", "trainable_parameters": "trainable parameters"}  # fmt: skip
    table = found.costs.dropna(axis="columns", how="all")
    yield Section(
        "cost", "Cost", "What a score costs",
        [prose.COST, cost_in_words(spent(found.sweep))],
        [draft.view(writer, "Metric against seconds a draw", "Numbers beside the points are shots.")]
        if draft.pages else [],
        [], [tables.plain(table, "Cost of every cell", columns, ("source", "detector"))],
    )  # fmt: skip


def failed(found: Findings, writer: FigureWriter) -> Iterator[Section]:  # noqa: ARG001  (one signature for all sections)
    """Yield draws without a score, and input that could not be used."""
    columns = {"phase": "phase", "source": "source", "detector": "detector", "shots": "shots", "status": "status",
               "count": "draws", "draws": "numbers", "reason": "reason"}  # fmt: skip
    text = [prose.GAPS if len(found.failures) else prose.NO_GAPS, *found.problems[:20]]
    words = ("phase", "source", "detector", "status", "reason", "draws")
    views = [tables.plain(found.failures, "Draws without a score", columns, words)] if len(found.failures) else []
    yield Section("failures", "Failures", "Failures and gaps", text, [], views)


def provenance(found: Findings, writer: FigureWriter) -> Iterator[Section]:  # noqa: ARG001
    """Yield where the numbers come from."""
    views = []
    for path, manifest, spec in zip(found.sweep.folders, found.sweep.manifests, found.sweep.specs, strict=True):
        for name, content in (("manifest", manifest), ("sweep file, resolved", spec)):
            frame = pd.DataFrame(list(flatten(content))[:MANY_LEAVES], columns=["name", "value"])
            caption = f"{name} of {shorten(path.resolve().name, 60)}"
            views.append(tables.plain(frame, caption, {"name": "name", "value": "value"}, ("name", "value")))
    yield Section(
        "provenance", "Provenance", "Where these numbers come from",
        [*found.sweep.notes, prose.REBUILD], [], [], views,
    )  # fmt: skip


def method(found: Findings, writer: FigureWriter) -> Iterator[Section]:  # noqa: ARG001
    """Yield what the words on the page mean."""
    frame = pd.DataFrame(
        [(metric_title(name), metric_meaning(name)) for name in found.levels], columns=["name", "meaning"]
    )
    rules = sorted(found.sweep.report["threshold_rule"].dropna().unique())
    yield Section(
        "method", "Method", "How to read this page",
        [
            prose.SHOTS,
            prose.STATISTICS,
            prose.THRESHOLDS.format(rules="; ".join(map(str, rules)) or "none recorded"),
            *(() if found.sweep.leaks else (prose.AUDIT,)),
        ],
        [], [tables.plain(frame, "Metrics", {"name": "metric", "meaning": "meaning"}, ("name", "meaning"))],
    )  # fmt: skip
