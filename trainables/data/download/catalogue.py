"""Which data sets can be fetched: where they lie, how large they are, and how their content is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trainables.settings import SourceName

_RECORD: Final = "https://zenodo.org/records/14590730/files"
_CITATION: Final = (
    "L. Pham, H. Zhang, H. Ha, F. Salim, X. Zhang: RCAEval: A Benchmark for Root Cause Analysis of Microservice "
    "Systems with Telemetry Data. Companion Proceedings of the ACM Web Conference 2025. "
    "Data: doi:10.5281/zenodo.14590730"
)
_SYSTEMS: Final = {"ob": "Online Boutique", "ss": "Sock Shop", "tt": "TrainTicket"}
_SUITES: Final = {
    "re1": "metrics; cpu, mem, disk, delay, loss",
    "re2": "metrics, logs, traces; re1's faults and socket",
    "re3": "metrics, logs, traces; faults in the code",
}

_ROUNDED: Final = 100_000
"""Bytes that a size in tenths of a MB may be off, whichever way it was rounded."""

_RCAEVAL: Final = (
    # name, bytes, exact, MD5
    ("re1-ob", 31_000_000, False, "47cce26ed24140e8974e68f9db2a5e9c"),
    ("re1-ss", 79_100_000, False, "d2b15cbd3bb3cf6ec5f3cc65f7fac225"),
    ("re1-tt", 279_700_000, False, "48a26925ce47fd4bcfbedbae4f31475b"),
    ("re2-ob", 1_191_025_569, True, "b9e23f8842c404b396ffd2becff15de4"),
    ("re2-ss", 245_629_018, True, "bd747a8fc7c5be00c613e13fbf9dd74b"),
    ("re2-tt", 2_801_345_134, True, "a7fbcd1ada406067dcc50771ae398408"),
    ("re3-ob", 190_800_000, False, "96947589084348f9d12cba370313458e"),
    ("re3-ss", 101_500_000, False, "467964eddb2a4fef4d6486c4679e749b"),
    ("re3-tt", 241_700_000, False, "ae1eb5906fb4d13a16a6a5e58faaf30b"),
)


@dataclass(frozen=True, slots=True)
class DataSet:
    """An archive that somebody publishes.

    Attributes
    ----------
    name
        What `fetch` calls it.
    about
        System, kind of telemetry, kinds of faults.
    url
        Of the archive.
    size, exact
        Bytes; whether to the byte, or as published, rounded to a tenth of a MB.
    md5
        Published checksum. It shows damage and a changed file; MD5 is no proof against a forger, which is why
        unpacking trusts nothing either.
    licence, citation
        As the publisher asks for.
    reader
        The source of `convert` that reads what is in it.
    """

    name: str
    about: str
    url: str
    size: int
    exact: bool
    md5: str
    licence: str
    citation: str
    reader: SourceName

    @property
    def file(self) -> str:
        """Name of the archive."""
        return self.url.rpartition("/")[2].partition("?")[0]

    @property
    def bounds(self) -> tuple[int, int]:
        """Fewest and most bytes that the archive can have."""
        return (self.size, self.size) if self.exact else (self.size - _ROUNDED, self.size + _ROUNDED)


def _rcaeval(short: str, size: int, exact: bool, md5: str) -> DataSet:
    suite, system = short.split("-")
    return DataSet(
        name=f"rcaeval-{short}",
        about=f"{_SYSTEMS[system]}, {_SUITES[suite]}",
        url=f"{_RECORD}/{short.upper()}.zip?download=1",
        size=size,
        exact=exact,
        md5=md5,
        licence="MIT",
        citation=_CITATION,
        reader="rcaeval",
    )


CATALOGUE: Final[Mapping[str, DataSet]] = {f"rcaeval-{entry[0]}": _rcaeval(*entry) for entry in _RCAEVAL}
"""Only what has a published checksum: anything else could not be told from damage or forgery."""
