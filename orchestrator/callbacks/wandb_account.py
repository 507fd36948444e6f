"""Which W&B server, whether there is a key for it, and what the server says about the key."""

import base64
import contextlib
import json
import netrc
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from orchestrator.errors import TrackingError
from orchestrator.spec import WandbSettings
from trainables.paths import expanded

Mode = Literal["online", "offline"]

PUBLIC = "https://api.wandb.ai"

ANSWER_SECONDS = 15.0
MOST_ATTEMPTS = 4
LONGEST_PAUSE = 20.0
"""Seconds; W&B limits requests a minute and says how long to wait."""

BUSY = {408, 429, 500, 502, 503, 504}


def server() -> str:
    """Return the address of the W&B server: WANDB_BASE_URL, else the public one."""
    return (os.environ.get("WANDB_BASE_URL") or PUBLIC).rstrip("/")


def api_key() -> str | None:
    """Return W&B's key from the environment or from the netrc file, where `wandb login` puts it; None without one."""
    key = os.environ.get("WANDB_API_KEY")
    if key:
        return key
    host = urlsplit(server()).hostname or ""
    places = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    for place in places:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            found = netrc.netrc(str(expanded(place))).authenticators(host)
            if found:
                return found[2]
    return None


def mode_of(settings: WandbSettings) -> Mode | Literal["disabled"]:
    """Return how runs are tracked: `auto` obeys WANDB_MODE where that is set, else it is online with a key.

    Raises
    ------
    TrackingError
        Mode online without a key, or a WANDB_MODE that does not exist.
    """
    mode = settings.mode
    if mode == "auto":
        wanted = os.environ.get("WANDB_MODE", "")
        if wanted not in {"", "online", "offline", "disabled"}:
            raise TrackingError(f"WANDB_MODE must be online, offline or disabled, got {wanted!r}")
        mode = wanted or ("online" if api_key() else "offline")  # type: ignore[assignment]
    if mode == "online" and not api_key():
        raise TrackingError(
            "tracking.wandb.mode is online, but there is no API key: run `wandb login`, set WANDB_API_KEY, "
            "or choose mode offline"
        )
    return "disabled" if mode == "disabled" else "online" if mode == "online" else "offline"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose key it is: the default entity, and all that its owner may write to."""

    entity: str
    entities: tuple[str, ...]


def account(key: str) -> Account:
    """Ask the server whose key it is.

    Raises
    ------
    TrackingError
        No server answers, or it refuses the key.
    """
    viewer = ask("query Viewer { viewer { entity username teams { edges { node { name } } } } }", {}, key).get("viewer")
    if not isinstance(viewer, dict):
        raise TrackingError(f"{server()} does not know the W&B key; run `wandb login`, or set WANDB_API_KEY")
    teams = [str(edge["node"]["name"]) for edge in (viewer.get("teams") or {}).get("edges", [])]
    own = [str(viewer[name]) for name in ("entity", "username") if viewer.get(name)]
    return Account(own[0] if own else "", tuple(dict.fromkeys([*own, *teams])))


def ask(query: str, values: Mapping[str, object], key: str) -> dict[str, Any]:
    """Send one GraphQL request and return its data; tried again while the server is busy.

    Raises
    ------
    TrackingError
        No server answers, it refuses the key, or it stays busy. The message never holds the key.
    """
    body = json.dumps({"query": query, "variables": dict(values)}).encode()
    token = base64.b64encode(f"api:{key}".encode()).decode()
    request = Request(f"{server()}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310
    request.add_unredirected_header("Authorization", f"Basic {token}")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        try:
            with urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  (the address is the user's own)
                found = json.load(answer)
            if found.get("errors"):
                raise TrackingError(f"{server()}: {found['errors'][0].get('message', 'error without a message')}")
            return found.get("data") or {}
        except HTTPError as err:
            if err.code in {401, 403}:
                raise TrackingError(
                    f"{server()} refuses the W&B key ({err.code}); run `wandb login`, or set WANDB_API_KEY"
                ) from None
            if err.code not in BUSY or attempt == MOST_ATTEMPTS:
                raise TrackingError(f"{server()} answers {err.code} {err.reason}; try again later") from None
            time.sleep(min(_pause(err.headers.get("Retry-After")) or attempt, LONGEST_PAUSE))
        except (OSError, ValueError) as err:
            reason = getattr(err, "reason", err)
            raise TrackingError(f"no W&B server answers at {server()}: {reason}") from None
    raise AssertionError("the last attempt returns or raises")


def _pause(seconds: str | None) -> float:
    return float(seconds) if seconds and seconds.isdigit() else 0.0
