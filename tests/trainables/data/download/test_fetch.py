import fcntl
import hashlib
import io
import zipfile
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.fakes.file_server import FileServer, serving
from trainables.data import load_source
from trainables.data.__main__ import app
from trainables.data.download import command
from trainables.data.download.catalogue import CATALOGUE
from trainables.settings import DataSettings


def archive() -> bytes:
    """A data set in the layout of RCAEval."""
    rows = "".join(f"{1_700_000_000 + row},{row % 7},{row % 5}\n" for row in range(120))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for run in (1, 2):
            folder = f"RE1-OB/adservice_cpu/{run}"
            file.writestr(f"{folder}/data.csv", f"time,adservice_cpu,adservice_mem\n{rows}")
            file.writestr(f"{folder}/inject_time.txt", "1700000060")
    return content.getvalue()


CONTENT = archive()
NAME = "rcaeval-re1-ob"


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """Run the command against a server that has the small archive under the name of the large one."""
    small = replace(
        CATALOGUE[NAME], size=len(CONTENT), exact=True, md5=hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    )
    monkeypatch.setattr(command, "CATALOGUE", {**CATALOGUE, NAME: small})
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path / "data"))

    def run(*arguments, user="", **behaviour):
        with serving(FileServer(**{"content": CONTENT} | behaviour)) as server:
            monkeypatch.setenv("FEWSHOT_MIRROR", f"{server.url.replace('//', f'//{user}')}/mirror/")
            result = CliRunner().invoke(app, ["fetch", *(arguments or (NAME,))])
        return result, server

    return run


def test_a_data_set_is_fetched_unpacked_and_readable(fetch, tmp_path):
    result, server = fetch()
    assert 0 == result.exit_code, result.output
    assert [("/mirror/RE1-OB.zip", None)] == server.asked
    for said in ("licence: MIT", "cite: L. Pham", "MD5 ", "4 files", f"convert rcaeval {tmp_path / 'data' / NAME}"):
        assert said in result.output
    series = load_source(DataSettings(source="rcaeval", path=tmp_path / "data" / NAME))
    assert 2 == len(series.events)
    assert {NAME, "RE1-OB.zip.lock"} == {path.name for path in (tmp_path / "data").iterdir()}


def test_what_is_here_is_not_fetched_again(fetch):
    fetch()
    result, server = fetch()
    assert 0 == result.exit_code
    assert "here already" in result.output
    assert [] == server.asked


def test_an_interrupted_download_goes_on(fetch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "RE1-OB.zip.part").write_bytes(CONTENT[:100])
    result, server = fetch()
    assert 0 == result.exit_code, result.output
    assert "going on after" in result.output
    assert [("/mirror/RE1-OB.zip", "bytes=100-")] == server.asked


def test_a_forged_archive_is_not_unpacked(fetch, tmp_path):
    result, _ = fetch(content=CONTENT[:-1] + b"!")
    assert 2 == result.exit_code
    assert "is not the published" in result.output
    assert not (tmp_path / "data" / NAME).exists()


def test_the_list_says_what_there_is_and_what_is_here(fetch):
    before, server = fetch("--list")
    assert [] == server.asked
    assert 0 == before.exit_code
    lines = before.output.splitlines()
    assert 10 == len(lines)
    assert any(line.startswith("rcaeval-re2-tt  2,801.3 MB  MIT") for line in lines)
    fetch()
    assert any(line.startswith(NAME) and " here " in line for line in fetch("--list")[0].output.splitlines())


def test_an_unknown_name_is_told_the_nearest_and_none_the_list(fetch):
    result, _ = fetch("rcaeval-re1-to")
    assert 2 == result.exit_code
    assert "did you mean rcaeval-re1-tt?" in result.output
    result = CliRunner().invoke(app, ["fetch"])
    assert 2 == result.exit_code
    assert "rcaeval-re3-tt" in result.output


def test_two_at_a_time_do_not_write_one_file(fetch, tmp_path):
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "RE1-OB.zip.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result, server = fetch()
    assert 2 == result.exit_code
    assert "another process is fetching this data set" in result.output
    assert [] == server.asked


def test_what_another_process_fetched_meanwhile_is_not_fetched_again(fetch, tmp_path, monkeypatch):
    def got_late(*_):  # the other process ends, and lets go of the lock, just before this one asks for it
        (tmp_path / "data" / NAME).mkdir()

    monkeypatch.setattr(fcntl, "flock", got_late)
    result, server = fetch()
    assert 0 == result.exit_code, result.output
    assert "here already" in result.output
    assert [] == server.asked


def test_a_folder_that_cannot_be_written_is_refused(fetch, tmp_path):
    (tmp_path / "data" / "RE1-OB.zip.lock").mkdir(parents=True)  # as root, no mode keeps a file from being opened
    result, server = fetch()
    assert 2 == result.exit_code
    assert f"{tmp_path / 'data'}: cannot be written (Is a directory)" in result.output
    assert "--to or FEWSHOT_DATA" in result.output
    assert [] == server.asked


def test_a_disk_that_fills_during_the_download_is_said(fetch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "RE1-OB.zip.part").symlink_to("/dev/full")
    result, _ = fetch()
    assert 2 == result.exit_code
    assert f"{tmp_path / 'data'}: cannot be written (No space left on device)" in result.output
    assert "the same command goes on from there" in result.output


def test_user_and_password_of_a_mirror_are_not_printed(fetch):
    result, server = fetch(user="user:hidden@")
    assert 0 == result.exit_code, result.output
    assert f"from {server.url}/mirror/RE1-OB.zip\n" in result.output
    assert "hidden" not in result.output


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ("ftp://user:hidden@mirror", "must begin with http:// or https://"),
        ("https://user:hid/den@mirror", "no host and port can be read; write / ? # of a password as %2F %3F %23"),
    ],
)
def test_a_mirror_that_cannot_be_read_is_refused_without_its_password(fetch, monkeypatch, mirror, said):
    monkeypatch.setenv("FEWSHOT_MIRROR", mirror)
    result = CliRunner().invoke(app, ["fetch", NAME])
    assert (2, True, False) == (result.exit_code, said in result.output, "hid" in result.output)


def test_a_mirror_that_is_no_address_and_a_folder_that_cannot_be_are_refused(fetch, monkeypatch, tmp_path):
    monkeypatch.setenv("FEWSHOT_MIRROR", "ftp://mirror")
    result = CliRunner().invoke(app, ["fetch", NAME])
    assert (2, True) == (result.exit_code, "must begin with http:// or https://" in result.output)
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["fetch", NAME, "--to", str(tmp_path / "file" / "data")])
    assert (2, True) == (result.exit_code, "cannot be written (Not a directory)" in result.output)


def test_every_entry_has_a_checksum_a_size_and_an_address_of_its_own():
    assert 9 == len(CATALOGUE) == len({data.md5 for data in CATALOGUE.values()})
    for data in CATALOGUE.values():
        assert 32 == len(bytes.fromhex(data.md5)) * 2
        assert data.url.startswith("https://zenodo.org/records/14590730/files/")
        assert f"{data.name.removeprefix('rcaeval-').upper()}.zip" == data.file
        assert data.size * 0.99 < data.bounds[0] <= data.size <= data.bounds[1] < data.size * 1.01
