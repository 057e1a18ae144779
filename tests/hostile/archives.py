"""Archives made by hand, byte by byte, so that they can be wrong in just one way."""

import gzip
import io
import lzma
import struct
import subprocess
import zipfile
import zlib

BLOCK = 512
END = bytes(2 * BLOCK)


def number(value, size):
    """A number in a tar header: octal, or GNU's base 256 where that does not fit (or is negative)."""
    if 0 <= value < 8 ** (size - 1):
        return b"%0*o\0" % (size - 1, value)
    return bytes([0xff if value < 0 else 0x80]) + (value & (1 << 8 * (size - 1)) - 1).to_bytes(size - 1, "big")


def padded(data):
    return data + bytes(-len(data) % BLOCK)


def summed(fields):
    """A header with its checksum put in."""
    fields = fields[:148] + b" " * 8 + fields[156:].ljust(BLOCK - 156, b"\0")
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def header(name, kind=b"0", size=0, mode=0o644, target=b"", device=(0, 0), magic=b"ustar\x0000", mtime=1700000000):
    """One ustar header with a right checksum."""
    return summed(b"".join([
        name.ljust(100, b"\0")[:100], number(mode, 8), number(0, 8), number(0, 8), number(size, 12), number(mtime, 12),
        b" " * 8, kind, target.ljust(100, b"\0")[:100], magic, b"root".ljust(32, b"\0"), b"root".ljust(32, b"\0"),
        number(device[0], 8), number(device[1], 8)]))


def file(name, content=b"", **fields):
    return header(name, size=len(content), **fields) + padded(content)


def folder(name, **fields):
    return header(name, kind=b"5", **{"mode": 0o755, **fields})


def link(name, target):
    return header(name, kind=b"2", target=target, mode=0o777)


def hard_link(name, target):
    return header(name, kind=b"1", target=target)


def gnu_sparse(name, size):
    """A file of SIZE bytes that has none of them (GNU's old format: map and real size in the header)."""
    old = header(name, kind=b"S", magic=b"ustar  \0")
    return summed(old[:386] + number(size, 12) + number(0, 12) + bytes(73) + number(size, 12))


def pax(records, kind=b"x"):
    """A pax extended header; its records hold for the entry that follows."""
    body = b""
    for key, value in records.items():
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        body += str(length).encode() + rest
    return header(b"PaxHeaders/x", kind=kind, size=len(body)) + padded(body)


def gnu_long(kind, value):
    return header(b"././@LongLink", kind=kind, size=len(value) + 1, magic=b"ustar  \0") + padded(value + b"\0")


def tar(*entries, end=END):
    return b"".join(entries) + end


def compress(data, kind, *options):
    """By zstd's own program, or by Python."""
    if kind == "gz":
        return gzip.compress(data, mtime=0)
    if kind == "xz":
        return lzma.compress(data, **dict(options))
    return subprocess.run(["zstd", "-q", "-c", "--check", *options], input=data, capture_output=True, check=True).stdout


LOCAL, CENTRAL = "<IHHHHHIIIHH", "<IHHHHHHIIIHHHHHII"


class Zip:
    """A zip whose fields can be told to lie. Entries are (name, content) with any field of a record changed by name."""

    def __init__(self):
        self.body = b""
        self.directory = b""
        self.count = 0

    def add(self, name, content=b"", mode=0o100644, method=0, flags=0, local=None, **lies):
        data = content
        if method == 8:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            data = deflate.compress(content) + deflate.flush()
        fields = {"crc": zlib.crc32(content), "packed": len(data), "size": len(content), "offset": len(self.body),
                  "local_name": name, **lies}
        if local is None:
            local = struct.pack(LOCAL, 0x04034b50, 20, flags, method, 0, 0x21, fields["crc"], fields["packed"],
                                fields["size"], len(fields["local_name"]), 0) + fields["local_name"] + data
        self.body += local
        self.directory += struct.pack(CENTRAL, 0x02014b50, 3 << 8 | 20, 20, flags, method, 0, 0x21, fields["crc"],
                                      fields["packed"], fields["size"], len(name), 0, 0, 0, 0, mode << 16,
                                      fields["offset"]) + name
        self.count += 1
        return self

    def bytes(self, count=None, comment=b"", prefix=b"", suffix=b""):
        count = self.count if count is None else count
        end = struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, count, count, len(self.directory), len(self.body), len(comment))
        return prefix + self.body + self.directory + end + comment + suffix


def zip_of(method, **files):
    """By Python's zipfile."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()
