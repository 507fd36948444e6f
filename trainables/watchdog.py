"""A time limit for one draw, from within the process that runs it."""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from trainables.data.series import LabelledSeries
from trainables.errors import DrawTimeoutError
from trainables.evaluate import run_trial
from trainables.protocol import TrialResources
from trainables.trial import EvaluationSettings, TrialOutcome, TrialRequest

GRACE_S = 10.0
"""Python code gets this long to notice the limit before the process is ended from outside Python."""

REPEAT_S = 1.0
"""The limit strikes again at this pace: the first blow may fall where exceptions are swallowed (`__del__`)."""


def run_within(
    request: TrialRequest,
    settings: EvaluationSettings,
    series: LabelledSeries,
    resources: TrialResources,
    *,
    timeout_s: float,
    hard: bool,
) -> TrialOutcome:
    """Run one draw under a time limit: `run_trial`, or a timeout. See `time_limit` for `hard`."""
    try:
        with time_limit(timeout_s, hard=hard):
            return run_trial(request, settings, series, resources)
    except DrawTimeoutError as err:  # it struck just outside of the trial boundary
        return TrialOutcome(status="timeout", reason=f"{type(err).__name__}: {err}")


@contextmanager
def time_limit(seconds: float, *, hard: bool) -> Iterator[None]:
    """Raise `DrawTimeoutError` in the block after that many seconds.

    The alarm reaches Python code only. With `hard`, a block that stays in C code for `GRACE_S` longer ends the
    whole process (exit status 1): right for a worker, whose driver notices, wrong for the driver itself.

    Raises
    ------
    DrawTimeoutError
        The limit was reached.
    RuntimeError
        Not called from the main thread, where signals arrive.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("time_limit works in the main thread only: signals arrive there")

    def strike(_number: int, _frame: FrameType | None) -> None:
        raise DrawTimeoutError(f"the draw ran longer than {seconds:g} s (resources.draw_timeout_s)")

    before = signal.signal(signal.SIGALRM, strike)
    if hard:
        faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True, file=_stderr())
    signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if hard:
            faulthandler.cancel_dump_traceback_later()


def _stderr() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError):
        return os.open(os.devnull, os.O_WRONLY)
