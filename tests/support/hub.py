"""A hub and a GitHub inside this computer: they serve the layout of the real ones from a folder, and can fail."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has, what it was asked, and how it fails.

    Attributes:
        root: Folder of `OWNER/NAME/files`, for both hosts.
        url: Where it listens.
        asked: Method, path and Range header of each request.
        agents: User-Agent of each request.
        cut_after: Bytes of each file after which the connection is closed, None for none; counts down `n_cuts`.
        n_cuts: How many downloads are cut.
        spoil: Whether bytes of files are changed on their way.
    """

    root: Path
    url: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    cut_after: int | None = None
    n_cuts: int = 0
    spoil: bool = False

    def files_asked(self, method: str = "GET") -> list[tuple[str, str | None]]:
        """Names of the files that were downloaded, with the range asked for."""
        return [
            (path.rsplit("/", 1)[1], part)
            for how, path, part in self.asked
            if how == method and not path.startswith("/api/")
        ]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        self.hub.agents.append(self.headers.get("User-Agent", ""))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            self._describe("/".join(parts[2:4]))
        elif parts[0] == "datasets" and parts[3] == "resolve":
            self._serve(self.hub.root / parts[1] / parts[2] / "/".join(parts[5:]), parts[4])
        elif parts[0] == "raw":
            self._serve(self.hub.root / parts[1] / parts[2] / "/".join(parts[4:]), parts[3])
        else:
            self._send(404, b"")

    def _describe(self, name: str) -> None:
        folder = self.hub.root / name
        if not folder.is_dir():
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        body = {"id": name, "sha": COMMIT, "private": False, "siblings": [{"rfilename": file} for file in files]}
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _serve(self, path: Path, revision: str) -> None:
        if not path.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data = path.read_bytes()
        etag = hashlib.sha256(data).hexdigest()
        if self.hub.spoil:
            data = data[:-9] + bytes(9)
        headers = {
            "ETag": f'"{etag}"',
            "X-Repo-Commit": revision if len(revision) == 40 else COMMIT,
            "Accept-Ranges": "bytes",
        }
        asked = self.headers.get("Range")
        if asked is None:
            self._send(200, data, headers)
            return
        start = int(asked.removeprefix("bytes=").split("-")[0])
        if start >= len(data):
            self._send(416, b"", headers)
            return
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206, data[start:], headers)

    def _send(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        is_cut = (
            code in (200, 206) and self.hub.cut_after is not None and self.hub.n_cuts > 0 and "/api/" not in self.path
        )
        if is_cut:
            self.hub.n_cuts -= 1
            self.close_connection = True
            body = body[: self.hub.cut_after]
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Serves a hub on a free port of this computer."""

    daemon_threads = True

    def __init__(self, hub: Hub):
        handler = type("Handler", (_Handler,), {"hub": hub})
        super().__init__(("127.0.0.1", 0), handler)
        hub.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error."""
