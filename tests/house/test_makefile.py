"""What the makefile makes again, and when."""

import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_flags(tmp_path):
    """Everything is made again when a flag of the compiler or of the linker is another one, and only then."""
    flags = tmp_path / "flags"

    def stamp(*settings):
        subprocess.run(["make", "-s", f"OUT={tmp_path}", "CFLAGS=-O2", "LDFLAGS=", *settings, flags], cwd=TOP, check=True)
        return flags.stat().st_mtime_ns

    first = stamp()
    assert stamp() == first
    linked = stamp("LDFLAGS=-Wl,-O1")
    assert linked != first
    assert stamp("LDFLAGS=-Wl,-O1") == linked
    assert stamp("LDFLAGS=-Wl,-O1", "CFLAGS=-O1") != linked
