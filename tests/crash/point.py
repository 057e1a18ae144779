"""Points of the crash matrix: one call of one program in one scenario, and what happens to it there."""

import re
import zlib
from collections import Counter
from dataclasses import dataclass, replace

# kill: the program with all its processes, and musterd is started again; kill-twice: and killed again while it recovers;
# kill-process: only the child that makes the call, while musterd goes on; EIO, ENOSPC: the call fails. Of the calls that run out
# of space half run into a quota instead: EDQUOT.
ACTIONS = ("kill", "kill-twice", "EIO", "ENOSPC")
CHILD_ACTIONS = ("kill", "kill-process", "EIO", "ENOSPC")
# muster-unpack is a child of systemd: when it is killed, musterd goes on.
UNPACK_ACTIONS = ("kill", "EIO", "ENOSPC")
# These cannot run out of space.
_TAKES_NO_SPACE = ("unlink", "unlinkat", "rmdir", "fchmod", "fchmodat")

# What differs from run to run in a path, as fnmatch(3) patterns.
_VARYING = [
    (re.compile(r"[\[\]?]"), "?"),
    (re.compile(r"\bd-\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{4}\b"), "d-*"),
    (re.compile(r"\.tmp-\w+"), ".tmp-*"),
    (re.compile(r"muster-health-(.*)-[0-9a-f]+\b"), r"muster-health-\1-*"),
    (re.compile(r"#\d+( \(deleted\))?$"), "#*"),
    (re.compile(r"[0-9a-f]{12,}"), "*"),
]


def pattern_of(path):
    """The path without what is random in it."""
    for varying, pattern in _VARYING:
        path = varying.sub(pattern, path)
    return path


@dataclass(frozen=True)
class Point:
    """NAME is what a person types to try it again."""
    scenario: str
    program: str
    call: str
    path: str
    nth: int
    action: str

    @property
    def name(self):
        return f"{self.scenario}/{self.program}/{self.call}/{self.nth}/{self.action}:{self.path}"

    @classmethod
    def parse(cls, name):
        try:
            head, path = name.split(":", 1)
            scenario, program, call, nth, action = head.split("/")
            return cls(scenario, program, call, path, int(nth), action)
        except ValueError:
            raise SystemExit(f"{name}: not the name of a point") from None

    @property
    def number(self):
        """A number that belongs to the name: what chooses by it chooses the same on every run."""
        return zlib.crc32(self.name.encode())


def calls_in(log):
    """The calls of a tracer's log, in order: (who, call, path) each."""
    lines = (line.split(" ", 2) for line in log.splitlines())
    return [tuple(words) for words in lines if words[0] in ("main", "child")]


def _actions(program, who, call):
    if program == "muster-unpack":
        actions = UNPACK_ACTIONS
    else:
        actions = CHILD_ACTIONS if who == "child" else ACTIONS
    return [action for action in actions if action != "ENOSPC" or call not in _TAKES_NO_SPACE]


def points_of(scenario, program, log):
    """Every point that a fault-free run's log gives: each call with each thing that can happen to it."""
    met = Counter()
    found = []
    for who, call, path in calls_in(log):
        key = call, pattern_of(path)
        met[key] += 1
        points = [Point(scenario, program, *key, met[key], action) for action in _actions(program, who, call)]
        found += [replace(point, action="EDQUOT") if point.action == "ENOSPC" and point.number & 64 else point for point in points]
    return found
