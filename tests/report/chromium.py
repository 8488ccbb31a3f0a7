"""Headless Chromium, asked in its DevTools protocol: what a page does when it is opened."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PATIENCE = 60.0  # seconds for an answer
# A sandbox needs rights that tests lack in a container; nothing here comes from the network.
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")
_IMAGES = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
_WIDTH = "document.documentElement.scrollWidth"


def executable() -> str | None:
    """The browser of this machine, if it has one."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Visit:
    """What happened when a page was opened.

    Attributes:
        requests: addresses that were asked for, data in the page itself left out.
        complaints: errors and warnings of the console.
        width: pixels of the page's content.
        images_shown: whether every image could be drawn.
        screenshot: PNG of the whole page.
    """

    requests: list[str]
    complaints: list[str]
    width: int
    images_shown: bool
    screenshot: bytes


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser that lives as long as the context, with its files in `profile`."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [executable(), *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    ends = [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[*null, *ends])
    for end in (theirs_in, theirs_out):
        os.close(end)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        for end in (ours_in, ours_out):
            os.close(end)


class Browser:
    """The other end of the pipe."""

    def __init__(self, answers: int, questions: int) -> None:
        self._answers, self._questions = answers, questions
        self._received = b""
        self._asked = 0
        self._events: list[dict[str, Any]] = []

    def visit(self, url: str, width: int, *, dark: bool = False) -> Visit:
        """Open `url` in a window of `width` pixels."""
        self._events.clear()
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        tab = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._ask(f"{domain}.enable", tab)
        phone = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("Emulation.setDeviceMetricsOverride", tab, **phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", tab, features=[scheme])
        self._ask("Page.navigate", tab, url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._next())
        return Visit(
            width=self._evaluated(tab, _WIDTH),
            images_shown=self._evaluated(tab, _IMAGES),
            screenshot=self._screenshot(tab),
            requests=[r for r in map(_request, self._events) if r and not r.startswith("data:")],
            complaints=[told for told in map(_complaint, self._events) if told],
        )

    def _evaluated(self, tab: str, expression: str) -> Any:
        return self._ask("Runtime.evaluate", tab, expression=expression)["result"]["value"]

    def _screenshot(self, tab: str) -> bytes:
        how = {"format": "png", "captureBeyondViewport": True}
        return base64.b64decode(self._ask("Page.captureScreenshot", tab, **how)["data"])

    def _ask(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        self._asked += 1
        question = {"id": self._asked, "method": method, "params": parameters}
        if session is not None:
            question["sessionId"] = session
        os.write(self._questions, json.dumps(question).encode() + b"\0")
        while (message := self._next()).get("id") != self._asked:
            self._events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._answers], [], [], _PATIENCE)
            content = os.read(self._answers, 1 << 20) if ready else b""
            if not content:
                raise RuntimeError("the browser does not answer")
            self._received += content
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)


def _request(event: dict[str, Any]) -> str | None:
    sent = event["method"] == "Network.requestWillBeSent"
    return event["params"]["request"]["url"] if sent else None


def _complaint(event: dict[str, Any]) -> str | None:
    about = event.get("params", {})
    if event["method"] == "Runtime.exceptionThrown":
        return about["exceptionDetails"]["text"]
    if event["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
        return str(about["args"])
    if event["method"] == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
        return about["entry"]["text"]
    return None
