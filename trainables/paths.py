"""Paths as people write them."""

from pathlib import Path


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder in place of `~`; as it is, a file named so, where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
