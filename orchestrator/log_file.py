"""sweep.log: what happened, one line an event, for people. The sweep goes on if it cannot be written."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OWN = ("orchestrator", "trainables", "analysis")
"""Loggers whose INFO is kept; of other packages only warnings are (one drawn font is a hundred lines)."""


class _LogFile(logging.FileHandler):
    """Says once that it cannot write, for example on a full disk; by default that is a trace for every line."""

    _is_broken = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  (names of logging)
        """Say so once."""
        err = sys.exc_info()[1]
        if not self._is_broken:
            self._is_broken = True
            sys.stderr.write(f"{self.baseFilename}: cannot write: {getattr(err, 'strerror', None) or err}\n")

    def close(self) -> None:
        """Close the file, whatever of it could be written."""
        with suppress(OSError):  # a full disk refuses what is left in the buffer
            super().close()


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Send INFO and above to a file while the block runs; the console keeps its own level."""
    root = logging.getLogger()
    level, consoles = root.level, [(handler, handler.level) for handler in root.handlers]
    file = _LogFile(path, encoding="utf-8", delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    file.addFilter(lambda record: record.levelno > logging.INFO or record.name.partition(".")[0] in OWN)
    for handler, own in consoles:
        handler.setLevel(max(own, level))
    root.addHandler(file)
    root.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(file)
        for handler, own in consoles:
            handler.setLevel(own)
        file.close()
