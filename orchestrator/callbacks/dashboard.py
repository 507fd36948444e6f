"""The W&B workspace and report of a sweep, as code: the same panels for every sweep, built by wandb-workspaces.

Identifiers come from the sweep's group and the panels' titles, so that building twice gives the same text and
saving twice changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wandb_workspaces import expr
from wandb_workspaces import workspaces as ws
from wandb_workspaces.reports import v2 as wr

from orchestrator.callbacks.wandb_account import ask
from orchestrator.callbacks.wandb_runs import OVERVIEW
from orchestrator.errors import TrackingError

MOST_RUNS = 500
"""Runs that a panel takes into account; W&B's own default is 10."""

COSTS = ("fit_seconds", "score_seconds", "peak_host_mb", "peak_device_mb")

Kind = Literal["project-view", "runs"]
"""W&B's names for a workspace and for a report."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The sweep that is shown.

    Attributes
    ----------
    entity, project, group
        Where its runs are.
    metric
        The objective.
    searched
        Searched setting -> True if its scale is logarithmic.
    project_id
        The server's own id of the project; None offline.
    """

    entity: str
    project: str
    group: str
    metric: str
    searched: Mapping[str, bool]
    project_id: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A workspace or report, ready to be saved: `name` is its identity in the project, `spec` is JSON."""

    kind: Kind
    name: str
    title: str
    description: str
    spec: str


def workspace(subject: Subject) -> View:
    """Return the workspace: learning curves, leaderboard, search, cost and failures of one sweep."""
    sections = [
        ws.Section(name="Learning curves", panels=curves(subject), is_open=True),
        ws.Section(name="Leaderboard", panels=board(), is_open=True),
        ws.Section(name="Search (never for claims)", panels=search(subject), is_open=bool(subject.searched)),
        ws.Section(name="Cost", panels=cost(), is_open=True),
        ws.Section(name="Failures", panels=failures(), is_open=True),
    ]
    made = ws.Workspace(
        entity=subject.entity,
        project=subject.project,
        name=subject.group,
        sections=sections,
        settings=ws.WorkspaceSettings(max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=expr.And(expr.Metric("Group") == subject.group),
            pinned_columns=["config:detector.value", "config:shots.value", f"summary:{subject.metric}"],
        ),
    )
    spec = made._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)  # noqa: SLF001  (no public way)
    return View("project-view", f"nw-{_identifier('workspace', subject.group)}-v", subject.group, "", spec)


def report(subject: Subject) -> View:
    """Return the report: the same panels, each on the runs that it may speak of, with how to read them."""
    claims, chosen, whole = (_runset(subject, job) for job in ("report", "select", OVERVIEW))
    blocks: list[Any] = [
        wr.P(
            "Every claim rests on report draws, which no search saw. Intervals are in the report of the overview run."
        ),
        wr.H2("Learning curves"),
        wr.P("Mean over draws and its standard error against labelled windows, one line a detector."),
        wr.PanelGrid(runsets=[claims], panels=curves(subject)),
        wr.H2("Leaderboard"),
        wr.PanelGrid(runsets=[whole], panels=board()),
        wr.H2("Search"),
        wr.P("Selection draws: what the search saw. They flatter the winner and are never a basis for claims."),
        wr.PanelGrid(runsets=[chosen], panels=search(subject)),
        wr.H2("Cost"),
        wr.PanelGrid(runsets=[claims], panels=cost()),
        wr.H2("Failures"),
        wr.PanelGrid(runsets=[claims, chosen], panels=failures()),
    ]
    grids = [block for block in blocks if isinstance(block, wr.PanelGrid)]
    for number, runset in enumerate(runset for grid in grids for runset in grid.runsets):
        runset._id = _identifier("runset", subject.group, str(number))  # noqa: SLF001
    title = f"{subject.group}: few labels, many detectors"[:128]
    description = f"Learning curves, leaderboard, search, cost and failures of {subject.group}."
    made = wr.Report(entity=subject.entity, project=subject.project, title=title, description=description)
    made.blocks = blocks
    values = made._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)  # noqa: SLF001
    if subject.project_id is not None:
        project = {"id": subject.project_id, "name": subject.project, "entityName": subject.entity}
        for block in values["blocks"]:
            for runset in block.get("metadata", {}).get("runSets", []):
                runset["project"] = project
    spec = json.dumps(values)
    return View("runs", _identifier("report", subject.group), title, description, spec)


def project_id(entity: str, project: str, key: str) -> str:
    """Return the server's id of a project.

    Raises
    ------
    TrackingError
        No server answers, it refuses the key, or there is no such project.
    """
    query = (
        "query ProjectInternalId($projectName: String!, $entityName: String!) {"
        " project(name: $projectName, entityName: $entityName) { internalId } }"
    )
    found = ask(query, {"projectName": project, "entityName": entity}, key).get("project")
    if not found:
        raise TrackingError(
            f"no project {entity}/{project} on the server yet; python -m orchestrator.sync brings the runs there"
        )
    return str(found["internalId"])


def save(view: View, subject: Subject, key: str) -> Literal["created", "updated"]:
    """Create a view on the server, or update the one of the same name.

    Raises
    ------
    TrackingError
        No server answers, or it refuses the key or the view.
    """
    find = (
        "query FindView($entity: String!, $project: String!, $kind: String!, $name: String!) {"
        " project(name: $project, entityName: $entity) {"
        " allViews(viewType: $kind, viewName: $name) { edges { node { id } } } } }"
    )
    place = {"entity": subject.entity, "project": subject.project}
    project = ask(find, {**place, "kind": view.kind, "name": view.name}, key).get("project") or {}
    edges = (project.get("allViews") or {}).get("edges", [])
    upsert = (
        "mutation UpsertView($id: ID, $entity: String, $project: String, $kind: String, $name: String,"
        " $title: String, $description: String, $spec: String) {"
        " upsertView(input: {id: $id, entityName: $entity, projectName: $project, type: $kind, name: $name,"
        " displayName: $title, description: $description, spec: $spec, createdUsing: WANDB_SDK})"
        " { view { id } inserted } }"
    )
    values = {"kind": view.kind, "name": view.name, "title": view.title, "description": view.description}
    known = {"id": edges[0]["node"]["id"]} if edges else {}
    ask(upsert, {**place, **values, "spec": view.spec, **known}, key)
    return "updated" if edges else "created"


def curves(subject: Subject) -> Sequence[wr.LinePlot]:
    """Return the learning curve; only report draws log `shots`, so that selection draws are not in it."""
    line = wr.LinePlot(
        title=f"{subject.metric} against labelled windows",
        x="shots",
        y=[subject.metric],
        title_x="labelled windows (shots)",
        groupby=wr.Config("detector"),
        groupby_aggfunc="mean",
        groupby_rangefunc="stderr",
        max_runs_to_show=MOST_RUNS,
        smoothing_type="none",
    )
    ends = wr.LinePlot(
        title="Estimates and the ends of their 95 % intervals",
        x="labelled_windows",
        y=[],
        metric_regex="^curve/.*",
        title_x="labelled windows (shots)",
        smoothing_type="none",
    )
    return _placed([line, ends], width=12, height=10)


def board() -> Sequence[Any]:
    """Return the leaderboard table and the HTML report of the overview run."""
    return _placed(
        [wr.WeavePanelSummaryTable(table_name="leaderboard"), wr.MediaBrowser(title="Report", media_keys=["report"])],
        width=24,
        height=14,
    )


def search(subject: Subject) -> Sequence[Any]:
    """Return parallel coordinates of the searched settings and their importance."""
    columns = [
        wr.ParallelCoordinatesPlotColumn(metric=wr.Config(f"param.{name}"), display_name=name, log=log)
        for name, log in subject.searched.items()
    ]
    shots = wr.ParallelCoordinatesPlotColumn(metric=wr.Config("shots"), display_name="shots")
    goal = wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(subject.metric), display_name=subject.metric)
    lines = wr.ParallelCoordinatesPlot(title="Searched settings", columns=[shots, *columns, goal])
    return _placed([lines, wr.ParameterImportancePlot(with_respect_to=subject.metric)], width=12, height=10)


def cost() -> Sequence[wr.BarPlot]:
    """Return seconds and peak memory by detector."""
    return _placed([_bars(name.replace("_", " "), name, "mean") for name in COSTS], width=12, height=8)


def failures() -> Sequence[wr.BarPlot]:
    """Return how many draws did not end well, by detector."""
    return _placed([_bars("draws that are not ok", "draws_not_ok", "sum")], width=24, height=8)


def _bars(title: str, name: str, how: Literal["mean", "sum"]) -> wr.BarPlot:
    return wr.BarPlot(
        title=f"{title} by detector",
        metrics=[name],
        groupby=wr.Config("detector"),
        groupby_aggfunc=how,
        groupby_rangefunc="minmax" if how == "mean" else None,
        max_runs_to_show=MOST_RUNS,
    )


def _runset(subject: Subject, job_type: str) -> wr.Runset:
    return wr.Runset(  # named without its project: with one, the library would ask the server at once
        name=job_type,
        filters=expr.And(expr.Metric("Group") == subject.group, expr.Metric("JobType") == job_type),
    )


def _placed(panels: Sequence[Any], *, width: int, height: int) -> Sequence[Any]:
    """Put panels side by side on W&B's grid of 24 columns, and give each an id of its own."""
    for number, panel in enumerate(panels):
        across = 24 // width
        panel.layout = wr.Layout(x=number % across * width, y=number // across * height, w=width, h=height)
        title = getattr(panel, "title", None) or getattr(panel, "table_name", None) or type(panel).__name__
        panel._id = _identifier("panel", title)  # noqa: SLF001
    return panels


def _identifier(*parts: str) -> str:
    """Return eleven letters and digits that depend on the parts alone."""
    return hashlib.blake2b("/".join(parts).encode(), digest_size=8).hexdigest()[:11]
