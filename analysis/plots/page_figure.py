"""A figure of the page: traces and layout as plotly.js takes them.

Plain mappings, because building them through `plotly.graph_objects` checks every value and makes the report
several times slower; the tests do that check (`plotly.graph_objects.Figure(figure.as_dict())`).
"""

import json
from dataclasses import dataclass, field

from plotly.utils import PlotlyJSONEncoder

OVER_LINES = "over lines"
"""Name of annotations that lines would cross: `report.js` puts the colour of the page behind them."""


@dataclass(slots=True)
class PageFigure:
    """Traces and layout, in the terms of https://plotly.com/javascript/reference."""

    data: list[dict[str, object]] = field(default_factory=list)
    layout: dict[str, object] = field(default_factory=dict)

    def scatter(self, **trace: object) -> None:
        """Add a trace of points or lines."""
        self.data.append({"type": "scatter", **trace})

    def heatmap(self, **trace: object) -> None:
        """Add a trace of coloured cells."""
        self.data.append({"type": "heatmap", **trace})

    def arrange(self, **layout: object) -> None:
        """Set parts of the layout."""
        self.layout |= layout

    def shape(self, **shape: object) -> None:
        """Add a line or an area behind the traces."""
        self._extend("shapes", shape)

    def annotation(self, **annotation: object) -> None:
        """Add a text at a place."""
        self._extend("annotations", annotation)

    def as_dict(self) -> dict[str, object]:
        """Return data and layout."""
        return {"data": self.data, "layout": self.layout}

    def json(self) -> str:
        """Return JSON; NaN becomes null."""
        return json.dumps(self.as_dict(), cls=PlotlyJSONEncoder, separators=(",", ":"))

    def _extend(self, name: str, item: dict[str, object]) -> None:
        present = self.layout.get(name, [])
        self.layout[name] = [*(present if isinstance(present, list) else []), item]
