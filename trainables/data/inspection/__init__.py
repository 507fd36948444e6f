"""The audit of a table before anything is run on it: what is in it, what is odd, what it can prove."""

from trainables.data.inspection.finding import Finding
from trainables.data.inspection.inspection import Inspection, inspect_series
from trainables.data.inspection.suggest import Suggestion, suggest

__all__ = ["Finding", "Inspection", "Suggestion", "inspect_series", "suggest"]
