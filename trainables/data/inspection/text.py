"""The audit on a terminal."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainables.data.inspection.facts import Facts
from trainables.data.inspection.finding import SEVERITIES, duration
from trainables.data.inspection.inspection import Inspection
from trainables.data.inspection.prospects import Prospects, SplitFacts
from trainables.data.wording import number_of

MOST_SEGMENTS = 6
LONGEST = 300
"""Characters of a line for the sweep file that are shown."""
COLOURS = {"severe": "bold red", "warning": "yellow", "note": "dim"}


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Print facts, findings, and what the table can prove."""
    for line in fact_lines(inspection.facts):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print()
    counts = ", ".join(
        f"{sum(finding.severity == severity for finding in inspection.findings)} {word}"
        for severity, word in zip(SEVERITIES, ("severe", "to know", "in passing"), strict=True)
    )
    console.print(f"{number_of(len(inspection.findings), 'finding')}: {counts}", highlight=False)
    for number, finding in enumerate(inspection.findings, start=1):
        colour = COLOURS[finding.severity]
        console.print(
            f"\n{number:2}. [{colour}]{finding.severity}[/]  {finding.kind}\n    {escape(finding.what)}\n    "
            f"-> {escape(finding.remedy)}"
            + (f"\n    [bold]{escape(shortened(finding.yaml))}[/]" if finding.yaml else ""),
            soft_wrap=True,
            highlight=False,
        )
    console.print()
    if inspection.prospects is None:
        console.print(
            f"No sweep can be made of this table: {inspection.refusal}", soft_wrap=True, highlight=False, markup=False
        )
        return
    console.print(_split_table(inspection.prospects))
    console.print(_shot_table(inspection.prospects))
    for claim in inspection.prospects.claims:
        console.print(claim, soft_wrap=True, highlight=False, markup=False)


def shortened(line: str) -> str:
    """Return a line for the sweep file, cut where it names dozens of columns."""
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ...   # whole in the JSON file"


def fact_lines(facts: Facts) -> Iterator[str]:
    """Yield the facts, one statement a line."""
    kind = "simulated telemetry" if facts.simulated else "telemetry"
    cells = facts.rows * facts.columns
    size = f"{number_of(facts.rows, 'row')} x {number_of(facts.columns, 'column')} every {facts.step_s:g} s"
    yield f"{facts.name}: {kind}, {size}, {facts.first} to {facts.last}"
    yield (
        f"steps: {facts.irregular:,} of {facts.steps:,} irregular; {number_of(len(facts.segments), 'segment')} on "
        f"{number_of(facts.days, 'day')}; missing: {facts.missing_cells / cells:.1%} of the cells"
    )
    quality = ", ".join(f"{name} {rows:,}" for name, rows in facts.quality.items() if rows and name != "ok")
    share = "no labels" if facts.prevalence is None else f"{facts.prevalence:.1%} of the usable rows are faulty"
    yield (
        f"labels: {', '.join(f'{name} {rows:,}' for name, rows in facts.classes.items() if rows)}; {share}"
        + (f"; quality: {quality}" if quality else "")
    )
    kinds = ", ".join(
        f"{entry.name} {entry.faults} (median {duration(entry.median_s)}, {number_of(entry.median_rows, 'row')})"
        for entry in facts.types[:8]
    )
    more = f" and {number_of(len(facts.types) - 8, 'more type')}" if len(facts.types) > 8 else ""
    yield f"faults: {facts.faults}" + (f": {kinds}{more}" if kinds else "")
    for segment in facts.segments[:MOST_SEGMENTS]:
        faults = number_of(segment.faults, "fault")
        yield f"  {segment.name}: {number_of(segment.rows, 'row')}, {segment.first} to {segment.last}, {faults}"
    if len(facts.segments) > MOST_SEGMENTS:
        yield f"  and {number_of(len(facts.segments) - MOST_SEGMENTS, 'more segment')}"


def _split_table(prospects: Prospects) -> Table:
    table = Table(title="Independent faults in each part", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("split", "to learn from", "to select on", "to test on", "tested over all folds", "all caught says"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for split in prospects.splits:
        if split.reason and split is not prospects.splits[0]:
            continue
        name = f"by {split.by}, {number_of(split.folds, 'fold')}" + (
            " (suggested)" if split is prospects.splits[0] else ""
        )
        table.add_row(
            name,
            *(f"{value:.3g}" for value in (split.support, split.validation, split.test)),
            str(split.tested),
            _from(split),
        )
    return table


def _from(split: SplitFacts) -> str:
    return "nothing" if split.lowest is None else f"{split.lowest:.0%} to 100%"


def _shot_table(prospects: Prospects) -> Table:
    table = Table(title="What stands behind the shots (suggested split)", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("shots", "faulty", "normal", "different faults", "share of the pool"):
        table.add_column(heading, justify="right")
    for shots in prospects.shots:
        table.add_row(
            str(shots.shots),
            f"{shots.faulty_windows:.3g}",
            f"{shots.normal_windows:.3g}",
            f"{shots.faults:.3g}",
            f"{shots.pool_share:.0%}",
        )
    return table
