"""Telemetry: reading, windows, splits and few-shot draws."""

from trainables.data.audit import audit
from trainables.data.draws import draw_support, pool_share
from trainables.data.parts import Parts, prepare
from trainables.data.readers import load_source
from trainables.data.series import Event, LabelledSeries, Quality
from trainables.data.supply import check_supply
from trainables.data.windows import LabelledWindows, Windows

__all__ = [
    "Event",
    "LabelledSeries",
    "LabelledWindows",
    "Parts",
    "Quality",
    "Windows",
    "audit",
    "check_supply",
    "draw_support",
    "load_source",
    "pool_share",
    "prepare",
]
