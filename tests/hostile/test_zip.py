"""A hostile zip for every rule of the unpacker."""

import zipfile

import pytest

from archives import Zip, zip_of

LINK, FIFO, DEVICE, SOCKET = 0o120777, 0o010644, 0o020644, 0o140644

ENTRIES = {
    "absolute": (lambda z: z.add(b"/etc/x"), "/etc/x", "absolute"),
    "parent": (lambda z: z.add(b"../x"), "../x", '".."'),
    "parent, backslashes": (lambda z: z.add(b"..\\x", mode=0), None, ""),
    "link out": (lambda z: z.add(b"l", b"../x", mode=LINK), "l", "out of the release"),
    "absolute link": (lambda z: z.add(b"l", b"/etc", mode=LINK), "l", "absolute"),
    "beneath a link": (lambda z: z.add(b"l", b".", mode=LINK).add(b"l/x"), "l/x", "beneath"),
    "device": (lambda z: z.add(b"d", mode=DEVICE), "d", "device"),
    "socket": (lambda z: z.add(b"s", mode=SOCKET), "s", "socket"),
    "setuid": (lambda z: z.add(b"s", mode=0o104755), "s", "setuid"),
    "twice": (lambda z: z.add(b"good"), "good", "two entries"),
    "control character": (lambda z: z.add(b"a\tb"), "a?b", "control"),
    "code page 437": (lambda z: z.add(b"\x81ber"), "?ber", "UTF-8"),
    "encrypted": (lambda z: z.add(b"e", b"x" * 20, flags=1), "e", "encrypted"),
    "wrong sum": (lambda z: z.add(b"c", b"content", crc=1), "c", ""),
    "content shorter than it says": (lambda z: z.add(b"s", b"content", method=8, size=70), "s", ""),
    "content longer than it says": (lambda z: z.add(b"s", b"content", method=8, size=3), "s", ""),
    "other name in front of the content": (lambda z: z.add(b"one", local_name=b"../two"), None, ""),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_entry(unpack, case):
    add, name, reason = ENTRIES[case]
    archive = add(Zip().add(b"good", b"1234"))
    result = unpack(archive.bytes(), "zip", entries=100)
    assert (result.status, result.word, result.fault) == (1, "error", "release"), (result.lines, result.stderr)
    assert name is None or result.entry == name
    assert reason in result.reason


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods(refused, method):
    refused(zip_of(method, f="x" * 50), "f", "neither stored nor deflated", "zip")


WHOLE = Zip().add(b"good", b"1234")

FILES = {
    "something in front": (WHOLE.bytes(prefix=b"#!/bin/sh\n"), "does not begin"),
    "something after": (WHOLE.bytes(suffix=b"x"), "something follows"),
    "another zip after": (WHOLE.bytes(suffix=Zip().add(b"evil", b"1").bytes()), "malformed"),
    "cut": (WHOLE.bytes()[:-1], "ends early"),
    "only the beginning": (WHOLE.bytes()[:40], "ends early"),
    "more entries than it says": (Zip().add(b"a").add(b"b").bytes(count=1), "more entries"),
    "fewer entries than it says": (Zip().add(b"a").bytes(count=2), "fewer entries"),
    "name with NUL": (Zip().add(b"a\0b").bytes(), "NUL"),
    "more entries than may be": (Zip().add(b"a").add(b"b").add(b"c").bytes(), "has 3 entries, at most 2"),
    "comment that hides an end": (WHOLE.bytes(comment=b"PK\5\6" + b"x" * 18), "something follows"),
}


@pytest.mark.parametrize("case", FILES)
def test_file(refused, case):
    archive, reason = FILES[case]
    refused(archive, "", reason, "zip", entries=2)


def test_overlapping_entries(refused):
    """One content that many entries use: small to send, large to unpack. libarchive takes the first only."""
    archive = Zip().add(b"e0", b"x" * 4000, method=8)
    for i in range(1, 50):
        archive.add(b"e%d" % i, b"x" * 4000, method=8, local=b"", offset=0)
    result = refused(archive.bytes(), "", "has 1 entries", "zip", entries=50, unpacked=5000)
    assert result.names() == ["e0"]


def test_fifo(unpack):
    """Info-ZIP says so of what it read from its standard input; libarchive makes a file of it."""
    result = unpack(Zip().add(b"f", b"1", mode=FIFO).bytes(), "zip", entries=1, unpacked=1)
    assert (result.folder / "f").is_file()


def test_comment(unpack):
    assert unpack(WHOLE.bytes(comment=b"built today"), "zip", entries=1, unpacked=4).counts == (1, 4)


def test_empty(unpack):
    assert unpack(Zip().bytes(), "zip", entries=0, unpacked=0).counts == (0, 0)


def test_implied_folders(unpack):
    archive = Zip().add(b"a/b/f", b"1").add(b"a/", mode=0o040700).bytes()
    result = unpack(archive, "zip", entries=3, unpacked=1)
    assert result.counts == (3, 1)
    assert (result.folder / "a").stat().st_mode & 0o777 == 0o700
    assert (result.folder / "a/b").stat().st_mode & 0o777 == 0o755


def test_pipe(unpack):
    result = unpack(WHOLE.bytes(), "zip", entries=1, unpacked=4, seekable=False)
    assert (result.fault, result.reason) == ("host", "a zip archive can only be read from a file")
