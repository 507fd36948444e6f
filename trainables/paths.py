"""Paths as people write them, and the folder for what may be made again."""

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """Return this project's folder of that name in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewshot-sweep" / name


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder in place of `~`; as it is, a file named so, where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
