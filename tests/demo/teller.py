"""Writes the story for a person: one line for each thing that was seen, colours on a terminal only."""

import os
import sys

_SAID = {
    "launched": "launched by the group",
    "pending_wait": "Pending:Wait, held by the launch hook",
    "deployed": "{version} is in place",
    "healthy": "{version} answers its health check",
    "in_service": "InService",
    "first_request": "serves its first request",
    "canary": "is the canary of {version}",
    "spared": "never had {version}",
    "updated": "serves {version}",
    "rolled_back": "is back on {version}",
    "abandoned": "ABANDON: the group terminates it",
}
_COLOURS = {"in_service": 32, "updated": 32, "spared": 32, "first_request": 32, "rolled_back": 33, "abandoned": 31}


class Teller:
    def __init__(self, stream=sys.stdout):
        self._stream = stream
        self._colourful = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def _paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self._colourful and code else text

    def line(self, text=""):
        print(text, file=self._stream, flush=True)

    def chapter(self, title):
        self.line(f"\n{self._paint(1, title)}")

    def event(self, seconds, instance, event, version, note=""):
        said = _SAID[event].format(version=version)
        self.line(f"  {seconds:6.1f} s  {self._paint(36, instance[:11])}  {self._paint(_COLOURS.get(event), said)}")
        for line in note.splitlines()[:4]:
            self.line(f"{'':24}{line}")

    def good(self, text):
        self.line(self._paint(32, text))

    def bad(self, text):
        self.line(self._paint(31, text))
