"""The model hub: its cache on disk, and a small server that answers as it does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"


def fill_hub_cache(cache: Path, name: str, folder: Path, leave_out: tuple[str, ...] = ()) -> Path:
    """Put the files of a folder where the hub's client keeps them; return the snapshot, whose files are links."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot, blobs = repository / "snapshots" / REVISION, repository / "blobs"
    for made in (snapshot, blobs, repository / "refs"):
        made.mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    for path in folder.iterdir():
        if path.name not in leave_out:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            (blobs / digest).write_bytes(path.read_bytes())
            (snapshot / path.name).symlink_to(Path("../../blobs") / digest)
    return snapshot


@contextmanager
def hub_server(name: str, folder: Path, asked: list[str] | None = None) -> Iterator[str]:
    """Yield the address of a hub that holds one repository with the files of a folder.

    `asked`: gets the path of each request.
    """
    paths = asked if asked is not None else []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Hub, f"/{name}/resolve/", folder, paths))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Hub(BaseHTTPRequestHandler):
    def __init__(self, start: str, folder: Path, asked: list[str], *arguments: object) -> None:
        self.start, self.folder, self.asked = start, folder, asked
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        self.asked.append(self.path)
        path = self.folder / self.path.rpartition("/")[2]
        is_here = self.path.startswith(self.start)
        if not is_here or not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if is_here else "RepoNotFound")
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return data

    def log_message(self, format: str, *arguments: object) -> None:
        """Stay silent."""
