"""Where trials run: in this process (`inline`) or on Ray (`ray_tune`)."""

from orchestrator.backends.base import Backend, Workplace
from orchestrator.options import Backend as BackendName

__all__ = ["Backend", "Workplace", "make_backend"]


def make_backend(name: BackendName, *, address: str | None = None, verbose: bool = False) -> Backend:
    """Return a backend; Ray is imported only if it is asked for."""
    if name == "inline":
        from orchestrator.backends.inline import InlineBackend  # noqa: PLC0415

        return InlineBackend()
    from orchestrator.backends.ray_tune import RayTuneBackend  # noqa: PLC0415

    return RayTuneBackend(address=address, verbose=verbose)
