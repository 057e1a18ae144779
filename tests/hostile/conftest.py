"""Runs the real muster-unpack on an archive, as musterd does, in a folder of its own."""

import os
import resource
import shutil
import struct
import subprocess
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / os.environ.get("MUSTER_UNPACK", "build/gcc/muster-unpack")
DECODER_MEMORY = 96 << 20


def limits(archive_format, size, entries, unpacked, memory=DECODER_MEMORY, path=1024, depth=64,
           sync=False):
    """The header of artifacts/unpack_protocol.h."""
    fields = struct.pack("<II", 1, sync) + archive_format.encode().ljust(16, b"\0")
    return (b"MUSTERUP" + fields + struct.pack("<QQQQII", size, entries, unpacked, memory, path, depth)).ljust(128, b"\0")


def limit_memory():
    """Sanitizers need more."""
    if "-" not in PROGRAM.parent.name:
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 28, 1 << 28))


@dataclass
class Result:
    status: int
    lines: list
    folder: Path
    stderr: str
    word: str = ""
    fault: str = ""
    entry: str = ""
    reason: str = ""
    counts: tuple = field(default=(0, 0))

    def __post_init__(self):
        words = self.lines[-1].split(" ") if self.lines else [""]
        self.word = words[0]
        if self.word == "error":
            self.fault = words[1]
            self.entry, self.reason = (urllib.parse.unquote("" if w == "-" else w, errors="strict") for w in words[2:])
        elif self.word == "done":
            self.counts = (int(words[1]), int(words[2]))

    def names(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))


@pytest.fixture
def unpack(tmp_path):
    """unpack(archive, format, entries, unpacked, …) -> Result; whatever it does, nothing may change beside its folder."""
    place = tmp_path / "outer" / "staging"
    place.mkdir(parents=True)
    canary = tmp_path / "outer" / "canary"
    canary.write_text("sings")

    def run(archive, archive_format="tar", entries=10, unpacked=100, cut=None, folder=place, command=(), seekable=None,
            size=None, **more):
        if folder is place:
            shutil.rmtree(place)
            place.mkdir()
        head = limits(archive_format, len(archive) if size is None else size, entries, unpacked, **more)
        source = tmp_path / "input"
        source.write_bytes(head + archive[:cut])
        if seekable is None:
            seekable = archive_format == "zip"
        feed = source.open("rb")
        if not seekable:
            feed = subprocess.Popen(["cat"], stdin=feed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        done = subprocess.run([*command, PROGRAM], stdin=feed, cwd=folder, capture_output=True, timeout=60, check=False,
                              env={**os.environ, **({"ASAN_OPTIONS": "detect_leaks=0"} if command else {})},
                              preexec_fn=limit_memory)
        feed.close()
        assert sorted(os.listdir(tmp_path / "outer")) == ["canary", "staging"]
        assert canary.read_text() == "sings"
        assert os.stat(canary).st_nlink == 1
        result = Result(done.returncode, done.stdout.decode("ascii").splitlines(), folder, done.stderr.decode())
        assert (result.status, result.stderr) == ({"done": 0, "error": 1}.get(result.word), "")
        return result

    return run


@pytest.fixture
def refused(unpack):
    """The archive is refused: the release's fault, with this entry named and this said about it."""

    def check(archive, entry, reason, *arguments, **more):
        result = unpack(archive, *arguments, **more)
        assert (result.status, result.word, result.fault) == (1, "error", "release"), (result.lines, result.stderr)
        assert result.entry == entry
        assert reason in result.reason
        return result

    return check
