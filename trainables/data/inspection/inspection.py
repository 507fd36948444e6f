"""The whole audit of one table: facts, findings, prospects."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Final

from trainables.data.inspection import (
    absence,
    columns,
    labels,
    leaks,
    monotone,
    reading,
    sampling,
    shifts,
    visibility,
)
from trainables.data.inspection.facts import Facts, facts_of
from trainables.data.inspection.finding import SEVERITIES, Finding
from trainables.data.inspection.prospects import Prospects, prospects
from trainables.data.inspection.suggest import Suggestion, suggest
from trainables.data.inspection.view import View
from trainables.data.series import LabelledSeries
from trainables.errors import ProtocolError
from trainables.settings import DataSettings

Check = Callable[[View], Iterator[Finding]]

CHECKS: Final[tuple[Check, ...]] = (
    labels.no_labels,
    leaks.time_tells_label,
    shifts.faults_in_a_time_of_their_own,
    leaks.separating_columns,
    monotone.growing_columns,
    labels.rows_in_random_order,
    sampling.uneven_steps,
    shifts.between_days,
    shifts.regime_changes,
    visibility.visibility,
    labels.faults_in_one_place,
    labels.whole_segments,
    labels.close_faults,
    labels.short_faults,
    labels.late_start,
    columns.scaled_before,
    absence.gone_in_segments,
    absence.missing_values,
    columns.repeated,
    columns.without_information,
    sampling.gaps,
    sampling.no_real_clock,
    reading.from_notes,
)
"""Every check, in the order in which findings of one severity are told."""


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """What is known about a table.

    Attributes
    ----------
    findings
        Severe ones first.
    suggestion, prospects
        Settings that fit and what they can prove; None where the table cannot carry a sweep, then `refusal` says why.
    """

    facts: Facts
    findings: tuple[Finding, ...]
    suggestion: Suggestion | None
    prospects: Prospects | None
    refusal: str
    series: LabelledSeries
    view: View

    def as_dict(self) -> dict[str, object]:
        """Return everything but the series as plain values for JSON."""
        suggestion = self.suggestion
        return {
            "facts": asdict(self.facts),
            "findings": [asdict(finding) for finding in self.findings],
            "prospects": asdict(self.prospects) if self.prospects else None,
            "refusal": self.refusal,
            "suggestion": None
            if suggestion is None
            else {
                "data": suggestion.data.model_dump(mode="json", exclude={"path", "incidents"}),
                "split": suggestion.split.model_dump(mode="json"),
                "few_shot": suggestion.few_shot.model_dump(mode="json"),
                "threshold": suggestion.threshold.model_dump(mode="json"),
                "reasons": suggestion.reasons,
            },
        }


def findings_of(view: View) -> tuple[Finding, ...]:
    """Return what all checks find, severe ones first."""
    found = [finding for check in CHECKS for finding in check(view)]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def inspect_series(series: LabelledSeries, source: DataSettings) -> Inspection:
    """Return the audit of a series.

    Parameters
    ----------
    series
        All segments and columns of the source.
    source
        Where it comes from.
    """
    view = View(series)
    found = findings_of(view)
    suggestion, prospect, refusal = None, None, ""
    clocks = tuple(name for finding in found if finding.kind == "clock" for name in finding.columns)
    try:
        suggestion = suggest(view, source, drop=clocks)
        prospect = prospects(suggestion.kept(series), suggestion)
    except ProtocolError as err:
        refusal = str(err)
    return Inspection(facts_of(series), found, suggestion, prospect, refusal, series, view)
