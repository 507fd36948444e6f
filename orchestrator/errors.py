"""Errors that the command line turns into one clear message and exit code 2."""


class OrchestratorError(Exception):
    """Base of everything this package raises on purpose."""


class SpecError(OrchestratorError):
    """The sweep file is wrong; `problems` holds every mistake, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PlanError(OrchestratorError):
    """The sweep file is well formed, but its data or this cluster cannot carry the sweep out."""


class RunFolderError(OrchestratorError):
    """The run folder cannot be created, locked, read or resumed."""


class MissingPackageError(OrchestratorError):
    """A package is missing or too old; the message names the command that mends it."""


class TrackingError(OrchestratorError):
    """Tracking was asked for and cannot be had, or the tracker fell behind; rows are complete either way."""
