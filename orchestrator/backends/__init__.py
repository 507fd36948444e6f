"""Where trials run: in this process (`inline`) or on Ray (`ray_tune`)."""

import re
import socket

from orchestrator.backends.base import Backend, Workplace
from orchestrator.errors import PlanError
from orchestrator.options import Backend as BackendName
from orchestrator.options import named_cluster

__all__ = ["Backend", "Workplace", "cluster_address", "make_backend"]

REACHABLE_S = 5.0
"""Ray itself tries for minutes before it says that nobody answers."""


def make_backend(name: BackendName, *, address: str | None = None, verbose: bool = False) -> Backend:
    """Return a backend; Ray is imported only if it is asked for."""
    if name == "inline":
        from orchestrator.backends.inline import InlineBackend  # noqa: PLC0415

        return InlineBackend()
    from orchestrator.backends.ray_tune import RayTuneBackend  # noqa: PLC0415

    return RayTuneBackend(address=address, verbose=verbose)


def cluster_address(given: str | None) -> str | None:
    """Return the address of the cluster to use: the one given, else `RAY_ADDRESS` (set within a Ray job), else None.

    Raises
    ------
    PlanError
        Not an address, or nobody listens at a host:port.
    """
    address = named_cluster(given)
    if address is None:
        return None
    source = "--address" if given else "RAY_ADDRESS"
    if address != "auto" and not re.fullmatch(r"(ray://)?([^:/\s]+|\[[0-9a-fA-F:]+\]):\d+", address):
        raise PlanError(f"{source} {address}: not an address; must be HOST:PORT, ray://HOST:PORT or auto")
    place = re.fullmatch(r"(?P<host>[^:/]+):(?P<port>\d+)", address)
    if place:
        try:
            socket.create_connection((place["host"], int(place["port"])), timeout=REACHABLE_S).close()
        except (OSError, OverflowError) as err:
            raise PlanError(f"{source} {address}: nobody answers there: {err}") from err
    return address
