"""`python -m trainables.data fetch`: a public data set, checked, unpacked, and ready to convert."""

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from trainables.data.download.catalogue import CATALOGUE, DataSet
from trainables.data.download.transfer import Limits, download, md5_of, shown
from trainables.data.download.unpack import unpack
from trainables.errors import DataError
from trainables.paths import expanded, user_cache

FOLDER_VARIABLE = "FEWSHOT_DATA"
MIRROR_VARIABLE = "FEWSHOT_MIRROR"

TENTH = 10
"""Off a terminal a line is printed for each of that many parts."""


def fetch(
    name: Annotated[str | None, typer.Argument(help="Data set, see --list.", show_default=False)] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say what there is, and what is here already.")] = False,
    to: Annotated[
        Path | None, typer.Option(help=f"Folder of data sets. Default: ${FOLDER_VARIABLE}, or the user's cache.")
    ] = None,
) -> None:
    """Fetch a public data set NAME: resumed, checked against its published checksum, unpacked safely.

    Proxies: HTTPS_PROXY, NO_PROXY. A mirror that holds the archives by their names: FEWSHOT_MIRROR=https://...
    """
    folder = data_folder(to)
    if listed or name is None:
        typer.echo(_list(folder))
        raise typer.Exit(0 if listed else 2)
    try:
        fetch_into(folder, _known(name), os.environ)
    except DataError as err:
        typer.echo(str(err), err=True)
        raise typer.Exit(2) from err
    except KeyboardInterrupt as err:
        typer.echo("interrupted; the same command goes on from there", err=True)
        raise typer.Exit(130) from err


def fetch_into(folder: Path, data: DataSet, environment: Mapping[str, str]) -> Path:
    """Return the folder with an unpacked data set, fetching what is missing; says what it does.

    Raises
    ------
    DataError
        It cannot be had, or is not what was published.
    """
    unpacked = folder / data.name
    typer.echo(f"{data.name}: {data.about}; {_megabytes(data)}\nlicence: {data.licence}\ncite: {data.citation}")
    with _writable(folder):
        if not unpacked.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder / f"{data.file}.lock"):
                _bring(data, folder / data.file, unpacked, environment)
        else:
            typer.echo("here already")
    typer.echo(
        f"folder: {unpacked}\nnext: python -m trainables.data convert {data.reader} {unpacked} --to table.parquet"
    )
    return unpacked


def data_folder(given: Path | None) -> Path:
    """Return where data sets are kept: as given, as the variable says, or in the user's cache folder."""
    if given is not None:
        return expanded(given).absolute()
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return expanded(named).absolute()
    return user_cache("data")


def url_of(data: DataSet, environment: Mapping[str, str]) -> str:
    """Return where the archive is fetched from: its publisher, or the mirror that the environment names.

    Raises
    ------
    DataError
        The mirror is no http address. The message does not repeat it: it may hold a password.
    """
    mirror = environment.get(MIRROR_VARIABLE, "").strip()
    if not mirror:
        return data.url
    if not mirror.startswith(("http://", "https://")):
        raise DataError(f"{MIRROR_VARIABLE}: must begin with http:// or https://")
    try:
        address = urlsplit(mirror)
        readable = bool(address.hostname) and address.port != 0  # a port that is no number raises
    except ValueError:
        readable = False
    if not readable:
        raise DataError(f"{MIRROR_VARIABLE}: no host and port can be read; write / ? # of a password as %2F %3F %23")
    return f"{mirror.rstrip('/')}/{data.file}"


def _bring(data: DataSet, archive: Path, unpacked: Path, environment: Mapping[str, str]) -> None:
    if unpacked.is_dir():
        typer.echo("here already: another process fetched it meanwhile")
        return
    _get(data, archive, environment)
    typer.echo(f"unpacking {archive.name} ...")
    count = unpack(archive, unpacked)
    archive.unlink()
    typer.echo(f"{count:,} files")


def _get(data: DataSet, archive: Path, environment: Mapping[str, str]) -> None:
    if archive.is_file() and md5_of(archive) == data.md5:
        return  # it was fetched, and unpacking failed
    url = url_of(data, environment)
    have = archive.with_name(f"{archive.name}.part")
    free = shutil.disk_usage(archive.parent).free
    if data.size > free:
        raise DataError(f"{archive.parent}: {_megabytes(data)} to fetch, the disk has {free / 1e6:,.0f} MB left")
    if have.is_file():
        typer.echo(f"going on after {have.stat().st_size / 1e6:,.1f} MB")
    typer.echo(f"from {shown(url)}")
    with _shown() as progress:
        download(url, archive, Limits(*data.bounds, data.md5), progress)
    typer.echo(f"MD5 {data.md5} as published")


@contextmanager
def _shown() -> "Iterator[_Show]":
    """Show progress: a bar on a terminal, a line for each tenth elsewhere."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _Lines()
        return
    with Progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=console) as bar:
        yield _Bar(bar)


class _Show:
    """See `transfer.Progress`."""

    def __call__(self, have: int, total: int) -> None:
        raise NotImplementedError


class _Bar(_Show):
    def __init__(self, bar: Progress) -> None:
        self._bar, self._task = bar, bar.add_task("", total=None)

    def __call__(self, have: int, total: int) -> None:
        self._bar.update(self._task, completed=have, total=total)


class _Lines(_Show):
    def __init__(self) -> None:
        self._said = 0

    def __call__(self, have: int, total: int) -> None:
        tenth = have * TENTH // max(total, 1)
        if tenth > self._said:
            self._said = tenth
            typer.echo(f"{have / 1e6:,.1f} of {total / 1e6:,.1f} MB", err=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, so that two processes do not write one file."""
    with path.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise DataError(f"{path}: another process is fetching this data set; wait for it") from err
        yield


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Say in words that the folder cannot be written, or that its disk is full."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads our output any more
    except OSError as err:
        raise DataError(
            f"{folder}: cannot be written ({err.strerror or err}); make room there, or name another folder with --to "
            f"or {FOLDER_VARIABLE}; the same command goes on from there"
        ) from err


def _known(name: str) -> DataSet:
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = get_close_matches(name, CATALOGUE, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise DataError(f"unknown data set {name!r}; {hint}known: {', '.join(CATALOGUE)}")


def _list(folder: Path) -> str:
    rows = [
        (data.name, _megabytes(data), data.licence, _state(folder, data), data.about) for data in CATALOGUE.values()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    return "\n".join([*lines, f"folder: {folder}"])


def _state(folder: Path, data: DataSet) -> str:
    if (folder / data.name).is_dir():
        return "here"
    part = folder / f"{data.file}.part"
    return f"{part.stat().st_size / data.size:.0%} here" if part.is_file() else "-"


def _megabytes(data: DataSet) -> str:
    return f"{data.size / 1e6:,.1f} MB"
