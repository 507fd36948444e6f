"""The audit as one page that needs nothing else: no network, no other file, no script."""

import json
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from trainables.data.inspection.figures import pictures
from trainables.data.inspection.inspection import Inspection
from trainables.data.inspection.text import fact_lines


def render(inspection: Inspection) -> str:
    """Return the page as HTML text."""
    source = files("trainables.data.inspection").joinpath("page.html.j2").read_text(encoding="utf-8")
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(source)
    drawn = [{"name": entry.name, "caption": entry.caption, "svg": Markup(entry.svg)} for entry in pictures(inspection)]  # noqa: S704  (made by matplotlib, which escapes names)
    return template.render(
        facts=list(fact_lines(inspection.facts)),
        inspection=inspection,
        pictures=drawn,
        suggestion=json.dumps(inspection.as_dict()["suggestion"], indent=1) if inspection.suggestion else "",
    )
