"""How long training takes, step by step, for whoever wants to know before it runs in full. Free of torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stopwatch:
    """What a training loop reports while it is watched; seconds by `clock`.

    Attributes
    ----------
    most_steps
        The loop ends after so many steps, whatever its schedule says.
    passes, batch
        Of the whole schedule: windows that it would see, and windows a step.
    steps
        Seconds of each step taken.
    looks
        Seconds of each look at held-out windows.
    most_looks
        Looks that the whole schedule may take.
    """

    clock: Callable[[], float]
    most_steps: int
    passes: int = 0
    batch: int = 1
    steps: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    most_looks: int = 0

    @property
    def seconds(self) -> float:
        """All that was watched."""
        return sum(self.steps) + sum(self.looks)

    @contextmanager
    def timed(self, kind: list[float]) -> Iterator[None]:
        """Add the seconds of the block to `steps` or `looks`."""
        started = self.clock()
        yield
        kind.append(self.clock() - started)


_current: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


def current() -> Stopwatch | None:
    """Return who watches this training, or None: then it runs in full."""
    return _current.get()


@contextmanager
def watched(clock: Callable[[], float], most_steps: int) -> Iterator[Stopwatch]:
    """Watch the training within the block and end it after `most_steps`: what was fitted is of no other use."""
    watch = Stopwatch(clock, most_steps)
    token = _current.set(watch)
    try:
        yield watch
    finally:
        _current.reset(token)
