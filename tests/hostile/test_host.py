"""What is this machine's fault is said to be."""

import os
import subprocess

import pytest

from archives import Zip, compress, file, folder, link, tar
from conftest import PROGRAM, limits

ARCHIVE = tar(folder(b"d"), *(file(b"d/f%d" % i, b"x" * 1000) for i in range(50)))
LINKED = tar(folder(b"d"), *(file(b"d/f%d" % i, b"x" * 1000) for i in range(50)), link(b"l", b"d"))
COUNTS = {"entries": 51, "unpacked": 50000}


def assert_host(result, *reasons):
    assert (result.status, result.word, result.fault) == (1, "error", "host"), (result.lines, result.stderr)
    assert any(reason in result.reason for reason in reasons), result.reason


@pytest.mark.parametrize("cut", [0, 1, 512, 30000])
def test_feed_breaks_off(unpack, cut):
    result = unpack(ARCHIVE, cut=cut, **COUNTS)
    assert_host(result, f"the feed broke off after {cut} of the archive's {len(ARCHIVE)} bytes")


def test_feed_of_a_file_breaks_off(unpack):
    archive = Zip().add(b"f").bytes()
    assert_host(unpack(archive, "zip", cut=30), "does not hold the archive's")
    assert_host(unpack(archive, "zip", cut=30, seekable=False), "can only be read from a file")


def test_more_than_announced(unpack):
    assert_host(unpack(ARCHIVE, size=len(ARCHIVE) - 1, **COUNTS), "more bytes came")


def test_disk_full(unpack, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=True)
    try:
        result = unpack(tar(file(b"large", b"x" * 200000)), folder=small, entries=1, unpacked=200000)
        assert_host(result, "cannot write a file: No space left on device")
        assert result.entry == "large"
    finally:
        subprocess.run(["umount", small], check=True)


def test_no_inodes(unpack, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=20", "none", small], check=True)
    try:
        assert_host(unpack(ARCHIVE, folder=small, **COUNTS), "cannot make a file: No space left on device")
    finally:
        subprocess.run(["umount", small], check=True)


# A call that fails once, and what is said then.
FAULTS = {
    "write": ("write:error=EIO:when=5", "cannot write a file: Input/output error"),
    "quota": ("write:error=EDQUOT:when=5", "cannot write a file: Disk quota exceeded"),
    "mkdir": ("mkdirat:error=EROFS", "cannot make a folder: Read-only file system"),
    "time": ("utimensat:error=EPERM:when=3", "cannot finish a file"),
    "link": ("symlinkat:error=EACCES", "cannot make a link: Permission denied"),
    "sync": ("syncfs:error=EIO", "cannot make the files durable: Input/output error"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_injected(unpack, case):
    inject, reason = FAULTS[case]
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={inject}"]
    assert_host(unpack(LINKED, command=strace, sync=True, entries=52, unpacked=50000), reason)


def test_thread(unpack):
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=clone3,clone:error=EAGAIN"]
    assert_host(unpack(ARCHIVE, command=strace, **COUNTS), "cannot start a thread")


def test_folder_not_empty(unpack, tmp_path):
    (tmp_path / "used" / "d").mkdir(parents=True)
    assert_host(unpack(ARCHIVE, folder=tmp_path / "used", **COUNTS), "cannot make a folder: File exists")


def test_no_limits(tmp_path):
    for text, reason in ((b"", b"ended"), (b"x" * 200, b"does%20not%20begin"),
                         (limits("tar.bz2", 1, 1, 1), b"malformed"), (limits("tar", 0, 1, 1), b"archive%20size")):
        done = subprocess.run([PROGRAM], input=text, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 1
        assert done.stdout.startswith(b"error ") and reason in done.stdout
    assert os.listdir(tmp_path) == []


def test_nobody_listens(tmp_path):
    archive = compress(ARCHIVE, "zst")
    (tmp_path / "input").write_bytes(limits("tar.zst", len(archive), **COUNTS) + archive)
    (tmp_path / "staging").mkdir()
    read, write = os.pipe()
    os.close(read)
    with (tmp_path / "input").open("rb") as feed:
        done = subprocess.run([PROGRAM], stdin=feed, stdout=write, cwd=tmp_path / "staging", check=False)
    os.close(write)
    assert done.returncode == 1
    assert len(os.listdir(tmp_path / "staging/d")) == 50
