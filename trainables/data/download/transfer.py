"""One file over HTTP: resumed where it was cut off, never larger than announced, checked before it counts.

Not pooch, which has hashes, a cache and progress: it begins every interrupted download again, bounds neither download
nor unpacked size, and its `Untar` follows links out of the folder below Python 3.12. What is left to use is the hash.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from trainables.errors import DataError

CHUNK = 1 << 16
"""Bytes of a piece: of a connection that is cut, less than a piece is lost."""

TIMEOUT_S = (15.0, 60.0)
"""To connect, and between two pieces."""

ATTEMPTS = 5
"""Connections in a row that bring nothing new before we give up."""

MIRROR = "FEWSHOT_MIRROR names another server that holds it"

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may be: its bytes, equal bounds if they are known exactly, and its MD5."""

    smallest: int
    largest: int
    md5: str

    @property
    def size(self) -> str:
        """The bytes in words."""
        exact = self.smallest == self.largest
        return f"{self.largest:,}" if exact else f"about {(self.smallest + self.largest) // 2:,}"


def shown(text: str) -> str:
    """Return an address, or a text with addresses, as it may be printed: without user, password, query, fragment."""
    return re.sub(r"[?#][^\s'\"]+", "", re.sub(r"//[^/\s]*@", "//", text))


class _CutError(Exception):
    """The connection ended before the file did."""


def download(url: str, target: Path, limits: Limits, progress: Progress, *, pause_s: float = 1.0) -> None:
    """Put a file at `target`, going on from `target` + ".part" if that is there.

    Parameters
    ----------
    url
        http or https; proxies as `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
    target
        Where the file will be once its checksum is right.
    limits
        What it has to be.
    progress
        Told how far it is.
    pause_s
        Seconds before the second attempt after a cut; doubled each time.

    Raises
    ------
    DataError
        No network, an error of the server, a file that is too large or has another checksum; what came so far is
        kept unless it is wrong.
    OSError
        The disk is full or cannot be written; what came so far is kept.
    """
    part = target.with_name(f"{target.name}.part")
    fruitless = 0
    while not _is_whole(part, limits):
        before = _size(part)
        try:
            _fetch_rest(url, part, limits, progress)
        except _CutError as err:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless >= ATTEMPTS:
                raise DataError(
                    f"{shown(url)}: the connection was cut after {_size(part):,} bytes, {ATTEMPTS} times without "
                    f"anything new ({err}); the same command goes on from there"
                ) from err
            time.sleep(pause_s * 2**fruitless)
        else:
            break
    _check(part, url, limits)
    part.replace(target)


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is_whole(part: Path, limits: Limits) -> bool:
    return _size(part) == limits.smallest == limits.largest


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _fetch_rest(url: str, part: Path, limits: Limits, progress: Progress) -> None:
    """Append what is missing; a server that cannot go on from a place sends everything again."""
    have = _size(part)
    with _answer(url, have) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is beyond what we have: the checksum decides
        if answer.status_code == requests.codes.partial_content:
            _check_range(url, answer, have)
        else:
            have = 0
        length = answer.headers.get("Content-Length")
        total = limits.largest if length is None else have + int(length)
        if not limits.smallest <= total <= limits.largest:
            raise DataError(
                f"{shown(url)}: the server offers {total:,} bytes, the published file has {limits.size}; {MIRROR}"
            )
        with part.open("ab" if have else "wb") as file:
            for piece in _pieces(url, answer):
                have += len(piece)
                if have > limits.largest:
                    raise DataError(f"{shown(url)}: sends more than the {limits.size} bytes of the published file")
                file.write(piece)
                progress(have, total)
    if have < limits.smallest:
        raise _CutError("the answer ended early")


@contextmanager
def _answer(url: str, have: int) -> Iterator[requests.Response]:
    """Ask for the file from byte `have` on; errors of network and server in words."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    where = shown(url)
    host = urlsplit(where).netloc
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
    except requests.exceptions.ProxyError as err:
        raise DataError(f"{where}: the proxy refuses or does not answer ({_short(err)}); see HTTPS_PROXY") from err
    except requests.exceptions.SSLError as err:
        raise DataError(
            f"{where}: the certificate of {host} is not trusted ({_short(err)}); behind an inspecting proxy name its "
            "certificates in REQUESTS_CA_BUNDLE"
        ) from err
    except requests.exceptions.TooManyRedirects as err:
        raise DataError(f"{where}: redirected in a circle") from err
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as err:
        if have:
            raise _CutError(_short(err)) from err
        raise DataError(
            f"{where}: cannot reach {host} ({_short(err)}). Is there a network? Behind a proxy set HTTPS_PROXY; "
            f"{MIRROR}"
        ) from err
    except requests.exceptions.RequestException as err:
        raise DataError(f"{where}: cannot be asked for: {_short(err)}") from err
    with answer:
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise DataError(f"{where}: redirects to {shown(answer.url)}, which is not encrypted")
        if not answer.ok and answer.status_code != requests.codes.requested_range_not_satisfiable:
            mend = "try again later" if answer.status_code in {429, 500, 502, 503, 504} else MIRROR
            raise DataError(f"{shown(answer.url)}: the server answers {answer.status_code} {answer.reason}; {mend}")
        yield answer


def _pieces(url: str, answer: requests.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(CHUNK)
    except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as err:
        raise _CutError(_short(err)) from err
    except requests.exceptions.RequestException as err:  # an OSError, but not one of the disk
        raise DataError(f"{shown(url)}: the answer cannot be read: {_short(err)}") from err


def _check_range(url: str, answer: requests.Response, have: int) -> None:
    said = answer.headers.get("Content-Range", "")
    if not said.startswith(f"bytes {have}-"):
        raise DataError(
            f"{shown(url)}: asked for the bytes from {have} on, the server sends {said or 'it does not say what'}"
        )


def _check(part: Path, url: str, limits: Limits) -> None:
    """Compare the checksum; a wrong file is removed, so that it is not gone on from."""
    found, size = md5_of(part), _size(part)
    if found == limits.md5:
        return
    part.unlink()
    raise DataError(
        f"{shown(url)}: MD5 {found} of {size:,} bytes is not the published {limits.md5} of {limits.size}; it was "
        f"removed. Damaged on the way, or the published file changed: fetch it again; {MIRROR}"
    )


def _short(err: BaseException) -> str:
    """Return the innermost reason of an error on one line."""
    while err.__context__ is not None or (err.args and isinstance(err.args[0], BaseException)):
        inner = err.args[0] if err.args and isinstance(err.args[0], BaseException) else err.__context__
        if inner is None:
            break
        err = inner
    return shown(f"{type(err).__name__}: {err}").strip(": ")[:200]
