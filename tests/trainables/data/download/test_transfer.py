import hashlib
import socket

import pytest

from tests.fakes.file_server import FileServer, serving
from trainables.data.download.transfer import Limits, download, shown
from trainables.errors import DataError

CONTENT = bytes(range(256)) * 1600
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
PIECE = 65_536
EXACT = Limits(len(CONTENT), len(CONTENT), MD5)
ROUGH = Limits(len(CONTENT) - 300, len(CONTENT) + 100, MD5)


@pytest.fixture
def get(tmp_path):
    """Download from a server that misbehaves as told; the server and what is there afterwards."""

    def make(limits=EXACT, have=b"", path="/a.zip", **behaviour):
        target = tmp_path / "a.zip"
        if have:
            (tmp_path / "a.zip.part").write_bytes(have)
        with serving(FileServer(**{"content": CONTENT} | behaviour)) as server:
            download(server.url + path, target, limits, lambda have, total: None, pause_s=0)
        assert not (tmp_path / "a.zip.part").exists()
        return server, target.read_bytes()

    return make


@pytest.mark.parametrize("limits", [EXACT, ROUGH])
def test_a_file_arrives_whole(get, limits):
    server, content = get(limits)
    assert CONTENT == content
    assert [("/a.zip", None)] == server.asked


def test_what_is_there_is_not_fetched_again(get):
    server, content = get(have=CONTENT[:1000])
    assert CONTENT == content
    assert [("/a.zip", "bytes=1000-")] == server.asked


@pytest.mark.parametrize("limits", [EXACT, ROUGH])
@pytest.mark.parametrize("unsized", [False, True])
def test_a_cut_connection_goes_on_where_it_was_cut(get, unsized, limits):
    server, content = get(limits, cut_after=2 * PIECE, cuts=2, unsized=unsized)
    assert CONTENT == content
    assert [None, f"bytes={2 * PIECE}-", f"bytes={4 * PIECE}-"] == [span for _, span in server.asked]


def test_a_server_that_knows_no_ranges_sends_everything_again(get):
    _, content = get(have=b"x" * 1000, ranges=False)
    assert CONTENT == content


def test_a_whole_part_needs_no_server(tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    download("http://127.0.0.1:9/a.zip", tmp_path / "a.zip", EXACT, lambda have, total: None)
    assert CONTENT == (tmp_path / "a.zip").read_bytes()


def test_of_a_whole_part_of_roughly_known_size_the_server_says_that_nothing_is_left(get):
    server, content = get(ROUGH, have=CONTENT)
    assert CONTENT == content
    assert [("/a.zip", f"bytes={len(CONTENT)}-")] == server.asked


def test_a_redirect_is_followed(get):
    server, content = get(redirect="/moved.zip")
    assert CONTENT == content
    assert ["/a.zip", "/moved.zip"] == [path for path, _ in server.asked]


def test_a_redirect_in_a_circle_ends(get):
    with pytest.raises(DataError, match="redirected in a circle"):
        get(redirect="/b.zip")


def test_a_wrong_checksum_is_said_and_the_file_removed(get, tmp_path):
    with pytest.raises(DataError, match=rf"MD5 [0-9a-f]+ of 409,600 bytes is not the published {MD5}"):
        get(content=CONTENT[:-1] + b"!")
    assert not list(tmp_path.iterdir())


def test_a_part_of_something_else_does_not_survive_its_checksum(get, tmp_path):
    with pytest.raises(DataError, match="is not the published"):
        get(have=b"x" * 1000)
    assert not list(tmp_path.iterdir())


def test_more_bytes_than_published_are_refused_announced_or_not(get):
    with pytest.raises(DataError, match="the server offers 819,200 bytes, the published file has"):
        get(content=CONTENT * 2)
    with pytest.raises(DataError, match="sends more than the 409,600 bytes"):
        get(content=CONTENT * 2, unsized=True)


def test_a_line_that_is_always_cut_gives_up_and_keeps_what_came(get, tmp_path):
    with pytest.raises(DataError, match=r"cut after 0 bytes, 5 times .* the same command goes on from there"):
        get(cut_after=0, cuts=99)
    with pytest.raises(DataError, match="cut after 5,000 bytes"):
        get(have=CONTENT[:5000], cut_after=0, cuts=99)
    assert CONTENT[:5000] == (tmp_path / "a.zip.part").read_bytes()


@pytest.mark.parametrize(
    ("status", "said"), [(404, "answers 404 Not Found; FEWSHOT_MIRROR"), (503, "answers 503 .*; try again later")]
)
def test_an_error_of_the_server_is_said(get, status, said):
    with pytest.raises(DataError, match=said):
        get(status=status)


def test_an_answer_that_cannot_be_decoded_is_no_fault_of_the_disk(get):
    with pytest.raises(DataError, match="the answer cannot be read: "):
        get(mislabelled=True)


def test_no_message_shows_a_password_or_a_signature(get, tmp_path):
    with pytest.raises(DataError, match=r"http://127.0.0.1:\d+/moved.zip: .* answers 404 Not Found; F") as refused:
        get(redirect="/moved.zip?signature=hidden", status=404)
    with pytest.raises(DataError, match="cannot be asked for") as unknown:
        get(redirect="ftp://user:hidden@store/a.zip?signature=hidden")
    url, target = "http://user:hidden@127.0.0.1:9/a?key=hidden", tmp_path / "a.zip"
    with pytest.raises(DataError, match=r"cannot reach 127.0.0.1:9 ") as unreachable:
        download(url, target, EXACT, lambda have, total: None)
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/a: MD5 ") as forged:
        download(url, target, EXACT, lambda have, total: None)
    assert not any("hidden" in str(caught.value) for caught in (refused, unknown, unreachable, forged))


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://mirror:8443/a.zip", "https://mirror:8443/a.zip"),
        ("https://user:p@ss?@[::1]:80/a@b.zip?key=x#y", "https://[::1]:80/a@b.zip"),
        ("Failed to parse: 'http://user:word@host:port/a?key=x'", "Failed to parse: 'http://host:port/a'"),
    ],
)
def test_an_address_is_shown_without_user_and_query(address, safe):
    assert safe == shown(address)


def test_no_network_is_said_in_words(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        DataError, match=r"cannot reach 127.0.0.1:\d+ .*Is there a network\?.*HTTPS_PROXY.*FEWSHOT_MIRROR"
    ):
        download(f"http://127.0.0.1:{port}/a.zip", tmp_path / "a.zip", EXACT, lambda have, total: None)
    with pytest.raises(DataError, match=r"cannot reach no-such-host.invalid"):
        download("http://no-such-host.invalid/a.zip", tmp_path / "a.zip", EXACT, lambda have, total: None)


def test_the_proxy_of_the_environment_is_asked(monkeypatch, tmp_path):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(FileServer(CONTENT)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        download("http://publisher.invalid/a.zip", tmp_path / "a.zip", EXACT, lambda have, total: None)
    assert ["http://publisher.invalid/a.zip"] == [path for path, _ in proxy.asked]
