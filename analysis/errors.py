"""Errors of the analysis: what the command line turns into one message and exit code 2."""


class AnalysisError(Exception):
    """Base of everything this package raises on purpose."""


class ClaimError(AnalysisError):
    """Rows that no claim may rest on (selection rows, searched seeds) were about to be used for one."""
