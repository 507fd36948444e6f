"""Counts in sentences."""


def number_of(count: int, thing: str, things: str = "") -> str:
    """Return a count with its noun: 1 column, 3 columns."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"
