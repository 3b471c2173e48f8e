"""Any other text: a file on this machine, or one behind an address on the web.

A download is kept in a cache folder and read from there the next time. No notebook of the course
needs the network.
"""

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tqdm.auto import tqdm

BLOCK_BYTES = 1 << 16
TIMEOUT_SECONDS = 30


def load_text(path_or_url: str | os.PathLike, sha256: str | None = None) -> str:
    r"""Reads a text from a file or from the web.

    A download is written whole or not at all. Line ends become `\n`.

    Args:
        path_or_url: a file, or an address that begins with http:// or https://.
        sha256: the checksum that the bytes must have, in hexadecimal. With it, everybody who
            runs the code is sure to read the same text.

    Raises:
        FileNotFoundError: if there is no such file.
        OSError: if the server does not answer, refuses, or breaks off.
        ValueError: if the bytes are not a UTF-8 text, or do not have the checksum.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "names.txt"
        ...     _ = path.write_text("emma\nolivia\n", encoding="utf-8", newline="\n")
        ...     load_text(path)
        'emma\nolivia\n'
    """
    name = os.fspath(path_or_url)
    if sha256 is not None and (
        len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef")
    ):
        raise ValueError(f"sha256={sha256!r} is not 64 hexadecimal digits")
    if "://" in name:
        scheme = urlsplit(name).scheme
        if scheme not in ("http", "https"):
            raise ValueError(f"{name}: the scheme is {scheme!r}, not http or https")
        path = cache_path(name)
        if not path.exists() or (
            sha256 and _sha256(path.read_bytes()) != sha256.lower()
        ):
            _download(name, path, sha256)
    else:
        path = Path(name).expanduser()
        if not path.exists():
            raise FileNotFoundError(
                f"no file {path.absolute()}: check the spelling and the folder"
            )
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: give a text file in it")
    content = path.read_bytes()
    _check_sha256(name, content, sha256)
    return _decode(name, content)


def cache_path(url: str) -> Path:
    """Where the download of an address is kept.

    The folder is `lmcourse` in the user's cache, or what the environment variable LMCOURSE_CACHE
    says.

    Example:
        >>> cache_path("https://example.org/a/names.txt").name
        'b88463d2-names.txt'
    """
    folder = os.environ.get("LMCOURSE_CACHE")
    root = Path(folder) if folder else Path.home() / ".cache" / "lmcourse"
    last = unquote(PurePosixPath(urlsplit(url).path).name)
    readable = "".join(c if c.isalnum() or c in "._-" else "_" for c in last)[-80:]
    return root / f"{_sha256(url.encode('utf-8'))[:8]}-{readable or 'text'}"


def _download(url: str, path: Path, sha256: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(
        dir=path.parent, prefix=path.name, suffix=".part"
    )
    try:
        with os.fdopen(handle, "wb") as file:
            _fetch(url, file)
        content = Path(partial).read_bytes()
        _check_sha256(url, content, sha256)
        _decode(url, content)
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def _fetch(url: str, file) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "lmcourse"})
    n_bytes, total = 0, None
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            if response.headers.get_content_type() == "text/html":
                raise ValueError(
                    f"{url} is a web page (text/html), not a text file: look for the link that "
                    "says 'raw' or 'plain text'"
                )
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            with tqdm(
                total=total, unit="B", unit_scale=True, leave=False, desc=url
            ) as bar:
                while block := response.read(BLOCK_BYTES):
                    file.write(block)
                    n_bytes += len(block)
                    bar.update(len(block))
    except urllib.error.HTTPError as error:
        raise OSError(
            f"{url}: the server answered {error.code} {error.reason}: check the address"
        ) from error
    except http.client.IncompleteRead as error:  # newer Pythons notice it themselves
        raise OSError(_broken(url, n_bytes + len(error.partial), total)) from error
    except (
        OSError,
        http.client.HTTPException,
    ) as error:  # URLErrors and time-outs are OSErrors
        reason = getattr(error, "reason", error)
        raise OSError(
            f"{url}: no answer ({reason}). Is there a network? If not, fetch the file elsewhere "
            "and give its path"
        ) from error
    if total is not None and n_bytes != total:
        raise OSError(_broken(url, n_bytes, total))


def _broken(url: str, n_bytes: int, total: int | None) -> str:
    return f"{url}: {n_bytes} of {total or 'more'} bytes came: the connection broke; try again"


def _check_sha256(name: str, content: bytes, expected: str | None) -> None:
    actual = _sha256(content)
    if expected is not None and actual != expected.lower():
        raise ValueError(
            f"{name}: its SHA-256 is {actual}, expected {expected.lower()}: the file is another "
            "version, or it is damaged"
        )


def _decode(name: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not a UTF-8 text: byte 0x{content[error.start]:02x} at position "
            f"{error.start}. Unpack it if it is an archive, or save it as UTF-8"
        ) from error
    if "\0" in text:
        raise ValueError(
            f"{name} is not a text: byte 0x00 at position {content.index(0)}"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
