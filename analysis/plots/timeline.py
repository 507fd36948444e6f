"""The test telemetry in time: faults shaded, and for each detector its score and its alarms on one draw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as PaperFigure
from numpy.typing import NDArray

from analysis.by_fault import DrawScores
from analysis.plots import style
from analysis.plots.page_figure import PageFigure

MOST_POINTS = 600
"""Points a lane; longer test parts are shown as the maximum of each block, so that no alarm disappears."""


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One detector on one draw, windows in order of time [N].

    `height` is the score between its 1st and 99th percentile, 0 to 1; `line` the threshold on that scale.
    """

    detector: str
    shots: int
    draw: int
    time: NDArray[np.datetime64]
    height: NDArray[np.float64]
    score: NDArray[np.float64]
    alarm: NDArray[np.bool_]
    faulty: NDArray[np.bool_]
    line: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the test part, from its first to its last scored window."""

    start: np.datetime64
    end: np.datetime64
    fault_type: str


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """What both forms of the figure draw; lanes from the bottom up."""

    lanes: tuple[Lane, ...]
    faults: tuple[Fault, ...]


def data(draws: Sequence[DrawScores]) -> Timeline:
    """Arrange one draw of each detector; all share one test part."""
    by_detector = {d.detector: d for d in draws}
    lanes = tuple(_lane(by_detector[name]) for name in reversed(style.ordered(by_detector)))
    return Timeline(lanes, tuple(_faults(draws[0])) if draws else ())


def page(timeline: Timeline) -> PageFigure:
    """Return the interactive figure."""
    figure = PageFigure()
    for place, lane in enumerate(timeline.lanes):
        look, name = style.look(lane.detector), style.safe(lane.detector)
        x, y, score = _broken(lane, place)
        figure.scatter(
            x=x, y=y, mode="lines", name=name, line={"color": look.colour, "width": 1.4}, customdata=score,
            hovertemplate="<b>%{fullData.name}</b><br>%{x}<br>score %{customdata:.4g}<extra></extra>",
        )  # fmt: skip
        if lane.line <= 1.1:
            figure.shape(
                type="line", x0=0, x1=1, xref="paper", y0=place + 0.8 * lane.line, y1=place + 0.8 * lane.line,
                line={"color": look.colour, "width": 1, "dash": "dot"}, opacity=0.7,
            )  # fmt: skip
        for good, symbol, word in ((True, "triangle-up", "alarm inside a fault"), (False, "x-thin", "false alarm")):
            chosen = lane.alarm & (lane.faulty == good)
            figure.scatter(
                x=_stamps(lane.time[chosen]), y=np.full(int(chosen.sum()), place - 0.08), mode="markers",
                marker={"symbol": symbol, "size": 7, "color": look.colour, "line": {"width": 2, "color": look.colour}},
                name=f"{name}: {word}", showlegend=False,
                hovertemplate="<b>%{fullData.name}</b><br>%{x}<extra></extra>",
            )  # fmt: skip
    for fault in timeline.faults:
        start, end = _stamps(np.array([fault.start, fault.end]))
        figure.shape(
            type="rect", x0=start, x1=end, y0=0, y1=1, yref="paper", fillcolor="#d9822b", opacity=0.18,
            line={"width": 0}, layer="below",
        )  # fmt: skip
        figure.annotation(
            x=start, y=1.0, yref="paper", yanchor="bottom", xanchor="left", text=style.safe(fault.fault_type, 14),
            showarrow=False, font={"size": 9}, textangle=-30,
        )  # fmt: skip
    figure.arrange(
        xaxis={"title": {"text": "time (UTC) at which the window ends"}, "type": "date"},
        yaxis={
            "tickvals": list(range(len(timeline.lanes))), "automargin": True, "zeroline": False,
            "ticktext": [style.safe(lane.detector, 30) for lane in timeline.lanes],
        },
        showlegend=False, height=170 + 62 * len(timeline.lanes), margin={"t": 80},
    )  # fmt: skip
    return figure


def paper(timeline: Timeline) -> PaperFigure:
    """Return the printable figure."""
    figure, (axes,) = style.paper(9.0, 1.0 + 0.6 * max(len(timeline.lanes), 2))
    for fault in timeline.faults:
        axes.axvspan(fault.start, fault.end, color="#d9822b", alpha=0.18, linewidth=0)  # type: ignore[arg-type]
    for place, lane in enumerate(timeline.lanes):
        colour = style.look(lane.detector).colour
        cuts = _cuts(lane)
        for piece in np.split(np.arange(len(lane.time)), cuts):
            axes.plot(lane.time[piece], place + 0.8 * lane.height[piece], color=colour, linewidth=0.8)
        for good, marker in ((True, "^"), (False, "x")):
            chosen = lane.alarm & (lane.faulty == good)
            axes.plot(lane.time[chosen], np.full(int(chosen.sum()), place - 0.08), marker, color=colour, markersize=3)
    axes.set_yticks(
        range(len(timeline.lanes)), [style.paper_text(lane.detector) for lane in timeline.lanes], fontsize=8
    )
    axes.tick_params(axis="x", labelrotation=20, labelsize=8)
    axes.set_xlabel("time (UTC); shaded: faults; triangle: alarm inside a fault; cross: false alarm")
    return figure


def _lane(draw: DrawScores) -> Lane:
    scores = draw.scores
    order = np.argsort(scores.window_end, kind="stable")
    time, score = scores.window_end[order], scores.score[order].astype(np.float64)
    faulty, alarm = scores.label[order] == 1, score >= draw.threshold
    low, high = np.percentile(score, [1, 99])
    scale = max(high - low, 1e-12)
    keep = _peaks(score, faulty)
    height = np.clip((score - low) / scale, 0, 1.1)
    line = float(np.clip((draw.threshold - low) / scale, -0.1, 1.15))
    return Lane(
        draw.detector, draw.shots, draw.draw, time[keep], height[keep], score[keep], alarm[keep], faulty[keep], line
    )


def _peaks(score: NDArray[np.float64], faulty: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the windows to show: all of them, or the highest score of each block and class."""
    if len(score) <= MOST_POINTS:
        return np.arange(len(score))
    block = np.arange(len(score)) * MOST_POINTS // len(score)
    order = np.lexsort((-score, faulty, block))
    _, first = np.unique(block[order] * 2 + faulty[order], return_index=True)
    return np.sort(order[first])


def _faults(draw: DrawScores) -> list[Fault]:
    scores = draw.scores
    found = []
    for event in np.unique(scores.event[scores.label == 1]):
        mine = (scores.event == event) & (scores.label == 1)
        times = scores.window_end[mine]
        found.append(Fault(times.min(), times.max(), str(scores.fault_type[mine][0])))
    return found


def _cuts(lane: Lane) -> NDArray[np.int64]:
    """Return the places after a gap: more than five typical spacings."""
    gaps = np.diff(lane.time).astype("timedelta64[ms]").astype(np.int64)
    return np.flatnonzero(gaps > 5 * np.median(gaps)) + 1 if len(gaps) else np.array([], dtype=np.int64)


def _broken(lane: Lane, place: int) -> tuple[list[str | None], list[float | None], list[float | None]]:
    """Return x, y and score with a hole at every gap, so that no line is drawn across it."""
    x: list[str | None] = []
    y: list[float | None] = []
    score: list[float | None] = []
    for piece in np.split(np.arange(len(lane.time)), _cuts(lane)):
        x += [*_stamps(lane.time[piece]), None]
        y += [*np.round(place + 0.8 * lane.height[piece], 3).tolist(), None]
        score += [*(float(f"{v:.5g}") for v in lane.score[piece]), None]
    return x[:-1], y[:-1], score[:-1]


def _stamps(time: NDArray[np.datetime64]) -> list[str]:
    return [str(t) for t in np.datetime_as_string(time.astype("datetime64[s]"))]
