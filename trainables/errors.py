"""Errors that a caller of `trainables` can cause or must handle."""


class TrainablesError(Exception):
    """Base of everything this package raises on purpose."""


class DataError(TrainablesError):
    """Telemetry, labels or incidents cannot be used as they are; the message says what would be right."""


class ProtocolError(TrainablesError):
    """The data cannot support the split, the shots or the metric that was asked for."""


class LeakError(TrainablesError):
    """The leak audit found rows, events or fitted statistics shared between two parts."""


class DetectorError(TrainablesError):
    """A detector is unknown, misconfigured or broke its contract."""


class ContractError(DetectorError):
    """A check of `trainables.contract` found that a detector does not do what the protocol says."""


class NonFiniteError(DetectorError):
    """A loss or a score is NaN or infinite."""


class SavingError(DetectorError):
    """A fitted detector cannot be saved as it is; the message says what stands in the way."""


class WinnerError(TrainablesError):
    """A saved winner is not there, damaged, or cannot score this telemetry; the message says what would be right."""


class UntrainedError(DetectorError):
    """A tensor that should train received no gradient."""


class WeightsError(TrainablesError):
    """Backbone weights are missing, incomplete, of the wrong size or in a refused format."""


class MissingPackageError(TrainablesError):
    """A package that this feature needs is missing or too old; the message names the command that mends it."""


class MemoryCapError(TrainablesError, MemoryError):
    """A trial does not fit the memory it may use; the message says how much it would need."""


class DrawTimeoutError(BaseException):
    """The watchdog ended a draw that ran too long.

    Not an `Exception`: a library that catches everything must not swallow it.
    """


def is_out_of_memory(err: BaseException) -> bool:
    """Say whether memory ran out: Python's own error, torch's on a device, or its allocator's on the CPU."""
    if isinstance(err, MemoryError) or type(err).__name__ == "OutOfMemoryError":
        return True
    return isinstance(err, RuntimeError) and "DefaultCPUAllocator" in str(err)
