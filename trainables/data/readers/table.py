"""A table of telemetry."""
from trainables.data.series import LabelledSeries
from trainables.settings import DataSettings


def read(data: DataSettings) -> LabelledSeries:
    raise NotImplementedError
