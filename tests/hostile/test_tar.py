"""A hostile tar for every rule of the unpacker."""

import pytest

from archives import compress, file, folder, gnu_long, gnu_sparse, hard_link, header, link, pax, tar

GOOD = file(b"good", b"1234")

# What is put after a good file, the entry that is to be named, and a part of what is said about it.
ENTRIES = {
    "absolute": (file(b"/etc/x"), "/etc/x", "absolute"),
    "absolute, doubled": (file(b"//x"), "//x", "absolute"),
    "root itself": (folder(b"/"), "/", "absolute"),
    "parent": (file(b"../x"), "../x", '".."'),
    "parent inside": (file(b"a/../../x"), "a/../../x", '".."'),
    "parent at the end": (folder(b"a/.."), "a/..", '".."'),
    "no name": (file(b""), "", "empty"),
    "a file called like the root": (file(b"./."), "./.", "empty"),
    "control character": (file(b"a\nb"), "a?b", "control"),
    "escape sequence": (file(b"\x1b[2J"), "?[2J", "control"),
    "not UTF-8": (file(b"caf\xe9"), "caf?", "UTF-8"),
    "long part": (pax({b"path": b"x" * 256}) + file(b"x"), "x" * 256, "256 bytes"),
    "long path": (pax({b"path": b"/".join([b"y" * 200] * 6)}) + file(b"x"), "y" * 200 + "/" + "y" * 183, "1205 bytes"),
    "very long path": (gnu_long(b"L", b"z/" * 5000 + b"x") + file(b"x"), "z/" * 192, "too long"),
    "deep": (pax({b"path": b"a/" * 64 + b"x"}) + file(b"x"), "a/" * 64 + "x", "65 folders deep"),
    "link out": (link(b"l", b"../outside"), "l", "out of the release"),
    "link out, from below": (folder(b"d") + link(b"d/l", b"../../outside"), "d/l", "out of the release"),
    "absolute link": (link(b"l", b"/etc/passwd"), "l", "absolute"),
    "link through a link": (folder(b"d") + link(b"d/up", b"..") + link(b"d/out", b"up/../x"), "d/out", "after a name"),
    "empty link": (link(b"l", b""), "l", "link target"),
    "link, target with control characters": (link(b"l", b"a\rb"), "l", "control"),
    "beneath a link": (folder(b"d") + link(b"l", b"d") + file(b"l/x"), "l/x", "beneath"),
    "beneath a link out, made a folder": (link(b"l", b".") + folder(b"l"), "l", "two entries"),
    "beneath a file": (file(b"good/x"), "good/x", "beneath"),
    "hard link out": (hard_link(b"h", b"../canary"), "h", '".."'),
    "hard link to an absolute path": (hard_link(b"h", b"/etc/passwd"), "h", "absolute"),
    "hard link to nothing": (hard_link(b"h", b"none"), "h", "did not come before"),
    "hard link to itself": (hard_link(b"h", b"h"), "h", "did not come before"),
    "hard link to a link": (link(b"l", b"good") + hard_link(b"h", b"l"), "h", "is no file"),
    "hard link to a folder": (folder(b"d") + hard_link(b"h", b"d"), "h", "is no file"),
    "hard link to the root": (hard_link(b"h", b"."), "h", "is no file"),
    "character device": (header(b"null", kind=b"3", device=(1, 3)), "null", "device"),
    "block device": (header(b"disk", kind=b"4", device=(8, 0)), "disk", "device"),
    "fifo": (header(b"pipe", kind=b"6"), "pipe", "fifo"),
    "setuid": (file(b"su", b"", mode=0o4755), "su", "setuid"),
    "setgid": (file(b"sg", b"", mode=0o2755), "sg", "setgid"),
    "same file twice": (file(b"good", b""), "good", "two entries"),
    "same file twice, written otherwise": (file(b".//good", b""), ".//good", "two entries"),
    "same folder twice": (folder(b"d") + folder(b"d/"), "d/", "two entries"),
    "folder over file": (folder(b"good"), "good", "two entries"),
    "file over folder": (folder(b"d") + file(b"d"), "d", "two entries"),
    "link over file": (link(b"good", b"x"), "good", "two entries"),
    "hard link over file": (hard_link(b"good", b"good"), "good", "two entries"),
    "sparse, GNU": (gnu_sparse(b"s", 1 << 40), "s", "sparse"),
    "sparse, pax": (pax({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": b"s",
                         b"GNU.sparse.realsize": b"1000000"}) + file(b"x", b"1\n999999\n1\n".ljust(512, b"\0") + b"y"),
                    "s", "sparse"),
    "size beyond all bounds": (header(b"huge", size=1 << 62), "huge", "more than 100 bytes"),
    "negative size": (header(b"neg", size=-1), "", ""),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_entry(refused, case):
    entries, name, reason = ENTRIES[case]
    refused(tar(GOOD, entries), name, reason, entries=1000)


def test_more_entries(refused):
    refused(tar(*(file(b"f%d" % i) for i in range(4))), "f3", "more than 3 entries", entries=3)
    refused(tar(file(b"a/b/c/d")), "a/b/c/d", "more than 3 entries", entries=3)


def test_fewer_entries(refused):
    refused(tar(GOOD), "", "has 1 entries of 4 bytes, the release says 2 and 4", entries=2, unpacked=4)


def test_more_bytes(refused):
    refused(tar(GOOD, file(b"more", b"x")), "more", "more than 4 bytes", entries=2, unpacked=4)


def test_fewer_bytes(refused):
    refused(tar(GOOD), "", "the release says 1 and 5", entries=1, unpacked=5)


def test_path_and_depth_of_the_limits(refused):
    refused(tar(file(b"abcdef")), "abcdef", "6 bytes, at most 5", path=5)
    refused(tar(file(b"a/b/c")), "a/b/c", "3 folders deep, at most 2", depth=2)


@pytest.mark.parametrize("cut", [100, 512, 700, 1024, 1300])
def test_ends_early(refused, cut):
    """In a header, before and in a content, and without an end."""
    archive = tar(file(b"a", b"x" * 400), file(b"b", b"y" * 300))[:cut]
    refused(archive, {700: "a", 100: "", 512: "a", 1300: ""}.get(cut, ""), "", entries=2, unpacked=700)


def test_ends_without_end(refused):
    refused(tar(GOOD, end=b""), "", "ends early", entries=1, unpacked=4)
    refused(tar(GOOD, end=b"\0" * 500), "", "", entries=1, unpacked=4)


def test_something_follows(refused):
    refused(tar(GOOD) + b"x" * 512, "", "something follows", entries=1, unpacked=4)
    refused(tar(GOOD) + tar(file(b"second")), "", "something follows", entries=1, unpacked=4)
    refused(tar(GOOD) + bytes(100000) + b"x", "", "something follows", entries=1, unpacked=4)


def test_padding_may_follow(unpack):
    assert unpack(tar(GOOD) + bytes(100000), entries=1, unpacked=4).counts == (1, 4)


def test_endless_padding(refused):
    archive = compress(tar(GOOD) + bytes(64 << 20), "zst")
    refused(archive, "", "decompresses to more", "tar.zst", entries=1, unpacked=4)


def test_large_special_header(refused):
    refused(tar(pax({b"comment": b"x" * (2 << 20)}), GOOD), "", "damaged", entries=1, unpacked=4)
    refused(tar(gnu_long(b"L", b"x" * (2 << 20)), GOOD), "", "damaged", entries=1, unpacked=4)


def test_damaged_header(refused):
    archive = bytearray(tar(GOOD, file(b"next")))
    archive[1024] ^= 1
    refused(bytes(archive), "", "damaged", entries=2, unpacked=4)


def test_no_archive(refused):
    refused(b"#!/bin/sh\necho hello\n" * 100, "", "damaged", entries=1)


@pytest.mark.parametrize("kind", ["zst", "gz", "xz"])
class TestCompressed:
    ARCHIVE = tar(GOOD, file(b"random", bytes((i * i * 7919 >> 3) & 0xff for i in range(5000))))
    COUNTS = {"entries": 2, "unpacked": 5004}

    def test_good(self, unpack, kind):
        assert unpack(compress(self.ARCHIVE, kind), "tar." + kind, **self.COUNTS).counts == (2, 5004)

    def test_in_pieces(self, unpack, kind):
        archive = compress(self.ARCHIVE[:3000], kind) + compress(self.ARCHIVE[3000:], kind)
        assert unpack(archive, "tar." + kind, **self.COUNTS).counts == (2, 5004)

    @pytest.mark.parametrize("garbage", [b"x", b"\0", b"x" * 100000, bytes(1023)])
    def test_something_follows(self, refused, kind, garbage):
        refused(compress(self.ARCHIVE, kind) + garbage, "", "", "tar." + kind, **self.COUNTS)

    def test_ends_early(self, refused, kind):
        archive = compress(self.ARCHIVE, kind)
        for cut in (1, 10, len(archive) - 1):
            refused(archive[:cut], "", "ends early", "tar." + kind, **self.COUNTS)

    def test_damaged(self, unpack, kind):
        archive = bytearray(compress(self.ARCHIVE, kind))
        archive[len(archive) // 2] ^= 0x10
        result = unpack(bytes(archive), "tar." + kind, **self.COUNTS)
        assert (result.status, result.fault) == (1, "release")

    def test_another_format(self, refused, kind):
        other = {"zst": "gz", "gz": "xz", "xz": "zst"}[kind]
        refused(compress(self.ARCHIVE, other), "", "damaged", "tar." + kind, **self.COUNTS)


def test_zstd_window(refused, unpack):
    archive = compress(tar(GOOD), "zst", "--ultra", "-22", "--zstd=wlog=27")
    refused(archive, "", "more than 4 MiB of memory", "tar.zst", entries=1, unpacked=4, memory=4 << 20)
    assert unpack(archive, "tar.zst", entries=1, unpacked=4, memory=200 << 20).counts == (1, 4)


def test_xz_memory(refused, unpack):
    archive = compress(tar(GOOD), "xz", ("preset", 9))
    refused(archive, "", "more than 8 MiB of memory", "tar.xz", entries=1, unpacked=4, memory=8 << 20)
    assert unpack(archive, "tar.xz", entries=1, unpacked=4).counts == (1, 4)


def test_bomb(refused):
    archive = compress(tar(file(b"zeros", bytes(64 << 20))), "zst")
    result = refused(archive, "zeros", "more than 1000 bytes", "tar.zst", entries=1, unpacked=1000)
    assert result.names() == []


def test_name_with_nul(unpack):
    """A name ends at its first NUL, as everywhere: in the header's field and in a pax record."""
    result = unpack(tar(pax({b"path": b"cut\0/../../x"}) + file(b"x")), entries=1, unpacked=0)
    assert result.names() in (["cut"], [])


def test_special_bits_of_folders_go(unpack):
    result = unpack(tar(folder(b"d", mode=0o7777), file(b"d/f", mode=0o1666)), entries=2, unpacked=0)
    assert result.counts == (2, 0)
    assert (result.folder / "d").stat().st_mode & 0o7777 == 0o755
    assert (result.folder / "d/f").stat().st_mode & 0o7777 == 0o664
