"""Windows whose label is the order of two events: frozen random features tell little of it, adapted ones more."""

import numpy as np

from trainables.data.series import NORMAL
from trainables.data.windows import LabelledWindows

LENGTH = 64
PULSE = 8
HEIGHT = 3.0


def windows(count: int, seed: int, *, channels: int = 2) -> LabelledWindows:
    """White noise with one pulse up and one down in channel 0; a fault is the one that comes down first.

    Level, spread and trend of a window say nothing: both kinds hold the same values.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, LENGTH, channels)).astype(np.float32)
    y = (np.arange(count) % 2).astype(np.int8)
    for window, faulty in zip(x, y, strict=True):
        first, second = np.sort(rng.choice(LENGTH // PULSE, size=2, replace=False)) * PULSE
        height = -HEIGHT if faulty else HEIGHT
        window[first : first + PULSE, 0] += height
        window[second : second + PULSE, 0] -= height
    return LabelledWindows(
        table=x.reshape(-1, channels),
        ends=np.arange(1, count + 1) * LENGTH - 1,
        length=LENGTH,
        columns=tuple(f"queue_{number}" for number in range(channels)),
        step_s=1.0,
        y=y,
        fault_type=np.where(y == 1, "reordered", NORMAL).astype(np.str_),
        event=np.where(y == 1, np.arange(count), -1).astype(np.int32),
    )
