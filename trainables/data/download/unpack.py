"""Archives of strangers: only plain files, only inside the folder, and no more bytes than allowed."""

import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from trainables.errors import DataError

MOST_RATIO = 60
"""Unpacked bytes over bytes of the archive; text of numbers packs to about a tenth, a bomb to a thousandth."""

MOST_FILES = 200_000
LONGEST_NAME = 1000

_PIECE = 1 << 20
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class _Member:
    """A file in an archive."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def unpack(archive: Path, folder: Path, *, most_ratio: float = MOST_RATIO, most_files: int = MOST_FILES) -> int:
    """Unpack a zip or tar archive (gzip, bzip2, xz) into a folder that does not exist; return the number of files.

    All names are checked before the first byte is written. The folder appears whole or not at all.

    Raises
    ------
    DataError
        A path that leaves the folder, a link or a device, a name twice, encryption, too many files, more bytes than
        allowed (counted as they are written, whatever the archive says), damage, or a full disk.
    """
    most_bytes = int(archive.stat().st_size * most_ratio)
    raw = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(raw, ignore_errors=True)
    try:
        with _opened(archive) as members:
            count = _write(archive, _checked(archive, members, most_bytes, most_files), raw, most_bytes)
        raw.replace(folder)
    except DataError:
        shutil.rmtree(raw, ignore_errors=True)
        raise
    except _DAMAGED as err:
        shutil.rmtree(raw, ignore_errors=True)
        raise DataError(f"{archive}: cannot be unpacked: {err or type(err).__name__}") from err
    return count


class _opened:  # noqa: N801  (reads as a verb)
    """Opens an archive by its content, as an iterator of members; whatever is no file or folder is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: zipfile.ZipFile | tarfile.TarFile

    def __enter__(self) -> Iterator[_Member]:
        if zipfile.is_zipfile(self._path):
            self._file = zipfile.ZipFile(self._path)
            return self._of_zip(self._file)
        if tarfile.is_tarfile(self._path):
            self._file = tarfile.open(self._path)
            return self._of_tar(self._file)
        raise DataError(f"{self._path}: is neither a zip nor a tar archive")

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _of_zip(self, file: zipfile.ZipFile) -> Iterator[_Member]:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise DataError(f"{self._path}: {info.filename!r} is a link or a device; only files are unpacked")
            if info.flag_bits & 1:
                raise DataError(f"{self._path}: {info.filename!r} is encrypted")
            name = info.orig_filename  # as the archive says it; `filename` ends at a zero byte
            if info.is_dir():
                _check_name(self._path, name)
            else:
                yield _Member(name, info.file_size, lambda info=info: file.open(info))  # type: ignore[misc]

    def _of_tar(self, file: tarfile.TarFile) -> Iterator[_Member]:
        for info in file:
            if info.isdir():
                _check_name(self._path, info.name)
            elif info.isreg():
                yield _Member(info.name, info.size, lambda info=info: _content(file, info))  # type: ignore[misc]
            else:
                raise DataError(f"{self._path}: {info.name!r} is a link or a device; only files are unpacked")


def _content(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(info)
    if content is None:
        raise tarfile.TarError(f"{info.name} has no content")
    return content


def _checked(archive: Path, members: Iterator[_Member], most_bytes: int, most_files: int) -> list[_Member]:
    """Return the members in order, after a look at all of them."""
    found: list[_Member] = []
    seen: dict[str, str] = {}
    declared = 0
    for member in members:
        _check_name(archive, member.name)
        same = unicodedata.normalize("NFC", str(PurePosixPath(member.name))).casefold()
        if same in seen:
            raise DataError(f"{archive}: {member.name!r} and {seen[same]!r} would be one file")
        seen[same] = member.name
        found.append(member)
        declared += member.size
        if len(found) > most_files:
            raise DataError(f"{archive}: holds more than {most_files:,} files")
        if declared > most_bytes:
            raise _too_large(archive, most_bytes)
    free = shutil.disk_usage(archive.parent).free
    if declared > free:
        raise DataError(f"{archive}: unpacks to {declared / 1e6:,.0f} MB, the disk has {free / 1e6:,.0f} MB left")
    return found


def _check_name(archive: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    outside = name.startswith("/") or ".." in parts or not parts
    odd = "\\" in name or ":" in name or any(not sign.isprintable() for sign in name)
    if outside or odd or len(name) > LONGEST_NAME:
        why = "leaves the folder" if outside else "is no plain name"
        raise DataError(f"{archive}: the path {name[:100]!r} {why}; nothing was unpacked")


def _write(archive: Path, members: list[_Member], folder: Path, most_bytes: int) -> int:
    folder.mkdir(parents=True)
    written = 0
    for member in members:
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as packed, target.open("xb") as file:
            while piece := packed.read(_PIECE):
                written += len(piece)
                if written > most_bytes:
                    raise _too_large(archive, most_bytes)
                file.write(piece)
    return len(members)


def _too_large(archive: Path, most_bytes: int) -> DataError:
    return DataError(
        f"{archive}: unpacks to more than {most_bytes / 1e6:,.1f} MB, {MOST_RATIO} times its size: a bomb?"
    )
