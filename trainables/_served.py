"""What a detector got from the cache of frozen results instead of computing it. Free of torch."""

import itertools
import os
from dataclasses import dataclass, field

_tokens = itertools.count()


@dataclass(slots=True)
class Served:
    """Belongs to one detector object in one process; it is no part of what the detector has learned.

    Attributes
    ----------
    seconds
        What the results that others computed took them; those that this detector computed itself do not count.
    token
        Tells this detector's results from others'.
    """

    seconds: float = 0.0
    token: str = field(default_factory=lambda: f"{os.getpid()}-{next(_tokens)}")

    def __reduce__(self) -> tuple[type["Served"], tuple[()]]:
        """Start to count anew in what was pickled."""
        return Served, ()
