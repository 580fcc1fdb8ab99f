"""Perspective as it answers, served by this computer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

from llamabench.scorers.perspective import ATTRIBUTES

Answer = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""


def rate(*values: float) -> bytes:
    """The body of an answer: the values of the attributes, the last for all that are left."""
    padded = [*values, *[values[-1]] * (len(ATTRIBUTES) - len(values))]
    scores = {
        name: {"summaryScore": {"value": value, "type": "PROBABILITY"}}
        for name, value in zip(ATTRIBUTES, padded, strict=True)
    }
    return json.dumps({"attributeScores": scores}).encode()


@contextmanager
def serve_perspective(answer: Callable[[str], Answer]) -> Iterator[SimpleNamespace]:
    """A service that gives each text its answer; keeps the `texts`, the whole requests (`asked`) and their `paths`."""
    kept = SimpleNamespace(texts=[], asked=[], paths=[], url="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.paths.append(self.path)
            kept.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            kept.texts.append(kept.asked[-1]["comment"]["text"])
            status, body, headers = answer(kept.texts[-1])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/v1alpha1/comments:analyze"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
