"""Which W&B server, whether there is a key for it, and what the server says about the key."""

import contextlib
import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

PUBLIC = "https://api.wandb.ai"


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
            found = netrc.netrc(str(Path(place).expanduser())).authenticators(host)
            if found:
                return found[2]
    return None
