"""Report rows at planted levels, for tests of the statistics that need no score files."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

BASE = {
    "phase": "report", "seeds": "replicated", "fold": 0, "source": "s", "validation_labels": 0, "validation_events": 0,
    "support_events": 3, "test_windows": 100, "test_events": 6, "prevalence": 0.3, "pool_share": 0.02,
}  # fmt: skip


def report_rows(
    levels: Mapping[str, Mapping[int, float]], *, draws: int = 10, shared: float = 0.03, noise: float = 0.005
) -> pd.DataFrame:
    """Rows of detectors at planted levels by shots; each draw has an effect that all detectors share."""
    rng = np.random.default_rng(3)
    effect = rng.normal(scale=shared, size=draws)
    return pd.DataFrame(
        [
            {**BASE, "detector": detector, "shots": shots, "support_windows": shots, "draw": draw,
             "average_precision": mean + effect[draw] + rng.normal(scale=noise)}
            for detector, by_shots in levels.items()
            for shots, mean in by_shots.items()
            for draw in range(draws)
        ]
    )  # fmt: skip
