"""SIGINT and SIGTERM: the first ends the sweep in order, the second leaves at once, and so does a sweep that hangs."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

LEAVE_S = 8.0
"""A sweep that was asked to end and is still there after this long is ended: something hangs. Rows are whole."""


class SweepInterrupt(BaseException):
    """The sweep was asked to end; not an `Exception`, so that no detector swallows it."""


def leave_at_once() -> None:
    """Let a signal end this process without a word: nothing has begun yet."""
    for number in SIGNALS:
        signal.signal(number, lambda arrived, _frame: os._exit(128 + arrived))


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Let a signal end this process from within the block by `SystemExit`: what is open is put away, no row is lost.

    A second one leaves at once; the handlers of before are put back after the block.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        leave_at_once()
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupts:
    """What arrived, and where it may strike.

    While the block runs, the first signal is noted (`arrived`) and raises `SweepInterrupt` only inside
    `may_strike`, so that it never falls between a score file and its row.
    """

    def __init__(self) -> None:
        self.arrived: int | None = None
        self._may_strike = False
        self._last_resort: threading.Timer | None = None

    @property
    def exit_code(self) -> int:
        """Return 130 after SIGINT, 143 after SIGTERM, 0 otherwise."""
        return 0 if self.arrived is None else 128 + self.arrived

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals within the block; the handlers of before are put back after it."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.install()
        try:
            yield
        finally:
            if self._last_resort is not None:
                self._last_resort.cancel()
            for number, handler in before.items():
                signal.signal(number, handler)

    def install(self) -> None:
        """Take the signals, again if a library took them meanwhile."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    @contextmanager
    def may_strike(self) -> Iterator[None]:
        """Let a signal raise `SweepInterrupt` within the block: nothing is being written there."""
        self.strike_if_arrived()
        self._may_strike = True
        try:
            yield
        finally:
            self._may_strike = False

    def strike_if_arrived(self) -> None:
        """Raise `SweepInterrupt` if a signal has arrived."""
        if self.arrived is not None:
            raise SweepInterrupt

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.arrived is not None:
            _leave(number)
        self.arrived = number
        self._last_resort = threading.Timer(LEAVE_S, _leave_what_hangs, [number])
        self._last_resort.daemon = True
        self._last_resort.start()
        sys.stderr.write("stopping: rows are kept; press Ctrl-C again to leave at once\n")
        if self._may_strike:
            raise SweepInterrupt


def _leave_what_hangs(number: int) -> None:
    sys.stderr.write(f"something did not end within {LEAVE_S:g} s and is left; rows are kept: go on with --resume\n")
    _leave(number)


def _leave(number: int) -> None:
    """End this process now. Rows are whole: each was appended with one write, or is cut off on resume."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")  # the live table hides the cursor, and nothing else will show it again
        sys.stderr.flush()
    os._exit(128 + number)
