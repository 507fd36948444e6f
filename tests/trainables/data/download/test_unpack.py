import io
import stat
import struct
import tarfile
import zipfile

import pytest

from trainables.data.download.unpack import unpack
from trainables.errors import DataError


@pytest.fixture
def zipped(tmp_path):
    def make(*members, name="a.zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members:
                archive.writestr(member, content)
        return tmp_path / name

    return make


@pytest.fixture
def tarred(tmp_path):
    def make(*members, mode="w:gz"):
        with tarfile.open(tmp_path / "a.tar", mode) as archive:
            for member in members:
                info, content = member if isinstance(member, tuple) else (member, b"")
                if isinstance(info, str):
                    info = tarfile.TarInfo(info)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return tmp_path / "a.tar"

    return make


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


GOOD = [("case/1/data.csv", b"time,a\n1,2\n"), ("case/1/inject_time.txt", b"1")]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_archive_is_unpacked(tarred, tmp_path, mode):
    assert 2 == unpack(tarred(*GOOD, mode=mode), tmp_path / "out", most_ratio=1000)
    assert dict(GOOD) == contents(tmp_path / "out")


def test_a_zip_archive_is_unpacked_folders_included(zipped, tmp_path):
    assert 2 == unpack(zipped(("case/", b""), *GOOD), tmp_path / "out")
    assert dict(GOOD) == contents(tmp_path / "out")


OUTSIDE = ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "C:evil", "a/\x07b", "", "x" * 1001]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leaves_the_folder_stops_everything(tarred, zipped, tmp_path, name):
    archives = [tarred(*GOOD, (name, b"evil"))]
    if name:  # Python's zipfile writes no empty name
        archives.append(zipped(*GOOD, (name, b"evil")))
    for archive in archives:
        with pytest.raises(DataError, match=r"leaves the folder|no plain name"):
            unpack(archive, tmp_path / "in" / "out")
    assert not (tmp_path / "in").exists()
    assert not list(tmp_path.rglob("*evil*"))


def test_a_zero_byte_hides_no_ending(zipped, tmp_path):
    archive = zipped(("good.txt_hidden", b"x"))
    archive.write_bytes(archive.read_bytes().replace(b"good.txt_hidden", b"good.txt\0hidden"))
    with pytest.raises(DataError, match="is no plain name"):
        unpack(archive, tmp_path / "out")


def kinds():
    for kind in ("SYMTYPE", "LNKTYPE", "FIFOTYPE", "CHRTYPE", "BLKTYPE"):
        info = tarfile.TarInfo("link")
        info.type, info.linkname = getattr(tarfile, kind), "/etc/passwd"
        yield info


@pytest.mark.parametrize("info", list(kinds()), ids=lambda info: str(info.type))
def test_links_and_devices_of_a_tar_are_refused(tarred, tmp_path, info):
    with pytest.raises(DataError, match="'link' is a link or a device"):
        unpack(tarred(*GOOD, info), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip_is_refused(zipped, tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DataError, match="'link' is a link or a device"):
        unpack(zipped(*GOOD, (info, b"/etc/passwd")), tmp_path / "out")


def test_an_archive_that_swells_is_refused_before_it_is_written(zipped, tarred, tmp_path):
    for archive in (zipped(("zeros", b"\0" * 10_000_000)), tarred(("zeros", b"\0" * 10_000_000))):
        with pytest.raises(DataError, match="a bomb"):
            unpack(archive, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_a_zip_that_lies_about_its_size_is_stopped_while_it_is_written(zipped, tmp_path):
    archive = zipped(("zeros", b"\0" * 10_000_000))
    raw = archive.read_bytes()
    archive.write_bytes(raw.replace(struct.pack("<I", 10_000_000), struct.pack("<I", 100)))
    with pytest.raises(DataError, match=r"a bomb|cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_too_many_files_and_names_that_would_be_one_are_refused(zipped, tmp_path):
    with pytest.raises(DataError, match="more than 9 files"):
        unpack(zipped(*((f"f{number}", b"") for number in range(10))), tmp_path / "out", most_files=9)
    with pytest.raises(DataError, match=r"'a/B' and 'A/b' would be one file"):
        unpack(zipped(("A/b", b"1"), ("a/B", b"2")), tmp_path / "out")


def test_a_file_that_is_also_a_folder_is_refused(zipped, tmp_path):
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(zipped(("a", b"1"), ("a/b", b"2")), tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_damaged_archive_leaves_nothing(zipped, tmp_path, keep):
    archive = zipped(("numbers", bytes(range(256)) * 50), name="b.zip")
    raw = bytearray(archive.read_bytes())
    raw[60:90] = b"x" * 30
    archive.write_bytes(raw)
    with pytest.raises(DataError, match=r"b.zip: "):
        unpack(archive, tmp_path / "out")
    archive.write_bytes(raw[: int(len(raw) * keep)])
    with pytest.raises(DataError, match=r"neither a zip nor a tar"):
        unpack(archive, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_an_encrypted_zip_is_refused(zipped, tmp_path):
    archive = zipped(("a", b"1"))
    raw = bytearray(archive.read_bytes())
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(sign) + place] |= 1
    archive.write_bytes(raw)
    with pytest.raises(DataError, match="is encrypted"):
        unpack(archive, tmp_path / "out")
