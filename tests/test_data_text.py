"""Loading any text, from a file and from a server on this machine."""

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lmcourse.data.text import cache_path, load_text

TEXT = "emma\nolivia\n이수아\n" * 5000  # more than one block
BYTES = TEXT.encode("utf-8")
SHA256 = hashlib.sha256(BYTES).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.n_requests += 1
        body, content_type, length = BYTES, "text/plain", None
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        if self.path.startswith("/page"):
            content_type = "text/html; charset=utf-8"
        if self.path.startswith("/archive"):
            body = b"PK\x03\x04\xff\xfe\x00"
        if self.path.startswith("/short"):
            length = len(BYTES) + 100
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("LMCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.n_requests = 0
    httpd.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def cached_files(tmp_path) -> list[str]:
    folder = tmp_path / "cache"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_download_once_then_from_the_cache(server, tmp_path):
    url = f"{server.url}/names.txt"
    assert load_text(url) == TEXT
    assert load_text(url, sha256=SHA256) == TEXT
    assert load_text(url, sha256=SHA256.upper()) == TEXT
    assert server.n_requests == 1
    assert cached_files(tmp_path) == [cache_path(url).name]


def test_two_addresses_with_the_same_file_name_do_not_collide():
    paths = {cache_path(f"https://example.org/{folder}/input.txt") for folder in "ab"}
    assert len(paths) == 2
    assert (
        cache_path("https://example.org/a%2F..%2Fb?x=../y").parent
        == cache_path("http://a").parent
    )


def test_a_damaged_cache_is_fetched_again(server):
    url = f"{server.url}/names.txt"
    load_text(url)
    cache_path(url).write_text("damaged", encoding="utf-8")
    assert load_text(url, sha256=SHA256) == TEXT
    assert server.n_requests == 2


def test_wrong_checksum_of_a_download_and_of_a_file(server, tmp_path):
    wrong = "0" * 64
    with pytest.raises(ValueError, match=f"SHA-256 is {SHA256}, expected {wrong}"):
        load_text(f"{server.url}/names.txt", sha256=wrong)
    assert cached_files(tmp_path) == []
    path = tmp_path / "names.txt"
    path.write_bytes(BYTES)
    with pytest.raises(ValueError, match=f"SHA-256 is {SHA256}, expected {wrong}"):
        load_text(path, sha256=wrong)
    with pytest.raises(ValueError, match="'abc' is not 64 hexadecimal digits"):
        load_text(path, sha256="abc")


@pytest.mark.parametrize(
    ("page", "error", "message"),
    [
        ("missing.txt", OSError, "answered 404 .*check the address"),
        ("page.html", ValueError, "is a web page .*'raw'"),
        ("archive.zip", ValueError, "not a UTF-8 text: byte 0xff at position 4"),
        ("short.txt", OSError, f"{len(BYTES)} of {len(BYTES) + 100} bytes came"),
    ],
)
def test_what_can_go_wrong_on_the_way_leaves_nothing_behind(
    server, tmp_path, page, error, message
):
    with pytest.raises(error, match=message):
        load_text(f"{server.url}/{page}")
    assert cached_files(tmp_path) == []


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("LMCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OSError, match="no answer .*Is there a network.*give its path"):
        load_text(f"http://127.0.0.1:{port}/names.txt")
    assert cached_files(tmp_path) == []


def test_other_schemes():
    with pytest.raises(ValueError, match="the scheme is 'ftp', not http or https"):
        load_text("ftp://example.org/names.txt")


def test_files(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xef\xbb\xbf" + BYTES.replace(b"\n", b"\r\n"))
    assert load_text(path) == load_text(str(path)) == TEXT
    (tmp_path / "empty.txt").write_bytes(b"")
    assert load_text(tmp_path / "empty.txt") == ""
    with pytest.raises(FileNotFoundError, match="no file .*nowhere.txt"):
        load_text(tmp_path / "nowhere.txt")
    with pytest.raises(OSError, match="is a folder"):
        load_text(tmp_path)
    (tmp_path / "zeros").write_bytes(b"ab\0")
    with pytest.raises(ValueError, match="not a text: byte 0x00 at position 2"):
        load_text(tmp_path / "zeros")
