"""Chromium without a window, spoken to through its DevTools protocol over two pipes: nothing to install for it.

The protocol: messages of JSON, each ended by a zero byte, on the file descriptors 3 and 4 of the browser
(`--remote-debugging-pipe`).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_PATIENCE_S = 120.0
_QUIET_S = 0.2
"""How long nothing may be reported before a page counts as still."""
_READ_TIMES = (
    "(([one]) => [one.domContentLoadedEventEnd, one.loadEventEnd])(performance.getEntriesByType('navigation'))"
)


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is looked at: the window's width (CSS pixels), dark or light, on a screen or printed."""

    name: str
    width: int = 1200
    is_dark: bool = False
    is_printed: bool = False


class Opened(NamedTuple):
    """Seconds from the start of the navigation to the end of a page's markup, and to the end of its loading."""

    markup_s: float
    load_s: float


@dataclass(slots=True)
class Heard:
    """What a page did while it was open: addresses it asked for, and what its console and the browser complained of."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class BrowserError(Exception):
    """The browser did not do what it was told."""


def find_chromium() -> str | None:
    """Path of Chromium or Chrome; None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One tab of a browser that is new, and gone afterwards.

    Raises:
        BrowserError: There is no Chromium.
    """

    def __init__(self) -> None:
        path = find_chromium()
        if path is None:
            raise BrowserError("There is no Chromium here: install chromium or google-chrome.")
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._process, self._sends, self._hears = _start(path, Path(self._folder.name))
        self._rest, self._number, self._session = b"", 0, ""
        self.heard = Heard()
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._sends)
        os.close(self._hears)
        self._folder.cleanup()

    def open(self, page: Path, look: Look) -> Opened:
        """Opens a page, and waits until it is still.

        Args:
            page: The HTML file.
            look: How to look at it.
        """
        self._call(
            "Emulation.setDeviceMetricsOverride", width=look.width, height=900, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if look.is_dark else "light"}
        self._call("Emulation.setEmulatedMedia", media="print" if look.is_printed else "screen", features=[scheme])
        self.heard = Heard()
        self._call("Page.navigate", url=page.resolve().as_uri())
        self._wait_for("Page.loadEventFired")
        while self._hear(_QUIET_S) is not None:
            pass
        markup_ms, load_ms = self.ask(_READ_TIMES)
        return Opened(markup_ms / 1000, load_ms / 1000)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; promises are waited for."""
        found = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise BrowserError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def run(self, script: str) -> None:
        """Runs a script in the page, whatever it gives."""
        found = self._call("Runtime.evaluate", expression=script)
        if "exceptionDetails" in found:
            raise BrowserError(json.dumps(found["exceptionDetails"])[:2000])

    def photograph(self, path: Path) -> None:
        """Writes a picture of the whole page."""
        image = self._call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        path.write_bytes(base64.b64decode(image["data"]))

    def print(self, path: Path) -> None:
        """Writes the page as it would be printed on A4."""
        document = self._call("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(document["data"]))

    # --- messages -------------------------------------------------------------------------------

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._sends, data) :]
        while True:
            answer = self._hear(_PATIENCE_S)
            if answer is None:
                raise BrowserError(f"{method} was not answered in {_PATIENCE_S:g} s.")
            if answer.get("id") == self._number:
                break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _wait_for(self, event: str) -> None:
        ends = time.monotonic() + _PATIENCE_S
        while time.monotonic() < ends:
            message = self._hear(ends - time.monotonic())
            if message is not None and message.get("method") == event:
                return
        raise BrowserError(f"{event} did not come in {_PATIENCE_S:g} s.")

    def _hear(self, patience_s: float) -> dict[str, Any] | None:
        """The next message; None where none comes in time."""
        while b"\0" not in self._rest:
            if not select.select([self._hears], [], [], max(patience_s, 0.0))[0]:
                return None
            data = os.read(self._hears, 1 << 20)
            if not data:
                raise BrowserError("The browser has ended.")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.heard.requests.append(parameters["request"]["url"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.heard.complaints.append(parameters["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.heard.complaints.append(json.dumps(parameters["exceptionDetails"])[:400])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.heard.complaints.append(json.dumps(parameters["args"])[:400])


def _start(path: str, folder: Path) -> tuple[subprocess.Popen[bytes], int, int]:
    """Starts a browser: the process, and where to write to it and to read from it."""
    its_end, sends = os.pipe()
    hears, its_other = os.pipe()
    # well above 3 and 4, so that neither is overwritten before it is copied
    reads, writes = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (its_end, its_other))

    def place_pipes() -> None:
        os.dup2(reads, 3)
        os.dup2(writes, 4)

    process = subprocess.Popen(
        [path, *SWITCHES, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=place_pipes,
        pass_fds=(3, 4),
    )
    for end in (its_end, its_other, reads, writes):
        os.close(end)
    return process, sends, hears
