"""What reading already said: rows sorted or dropped, infinities, incidents that fit nothing."""

from collections.abc import Iterator

from trainables.data.inspection.finding import Finding
from trainables.data.inspection.view import View
from trainables.data.readers.incidents import TO_MEND

ELSEWHERE = (
    "gap",
    "Irregular sampling",
    "Segments are sampled",
    "without a label",
    "without any value",
    "has no labels",
)
"""Notes whose matter has a check of its own."""


def from_notes(view: View) -> Iterator[Finding]:
    """Pass the notes of the reader on."""
    for note in view.series.notes:
        if any(words in note for words in ELSEWHERE):
            continue
        if note.startswith(TO_MEND):
            yield Finding("warning", "incidents", note, "Mend the file of incidents at these lines.")
        else:
            yield Finding("note", "reading", note, "Check that this is what you meant.")
