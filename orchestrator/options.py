"""How a sweep is to run: what the command line says and the sweep file does not."""

import os
from dataclasses import dataclass
from typing import Literal

Backend = Literal["ray", "inline"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one start of a sweep; none of them changes a number in a row.

    Attributes
    ----------
    backend
        "ray", or "inline": the same searcher in the calling process.
    address
        Address of a running Ray cluster; None starts a local one.
    quiet, verbose
        No progress; log every trial in detail.
    resume
        The run folder exists: run only what its rows do not hold. False: the folder is new and empty.
    retry_failed
        With `resume`: draws whose last row is not ok run again.
    force
        With `resume`: go on although code, data or packages changed since; such rows carry another fingerprint.
    """

    backend: Backend = "ray"
    address: str | None = None
    quiet: bool = False
    verbose: bool = False
    resume: bool = False
    retry_failed: bool = False
    force: bool = False

    @property
    def cluster(self) -> str | None:
        """The cluster that `--address` or `RAY_ADDRESS` (set within a Ray job) names; None: this machine is used."""
        return named_cluster(self.address) if self.backend == "ray" else None


def named_cluster(given: str | None) -> str | None:
    """Return the address that is given, else `RAY_ADDRESS`; None if there is none, or it says `local`."""
    address = given or os.environ.get("RAY_ADDRESS") or None
    return None if address == "local" else address
