"""What some releases of the crash matrix install outside of their folder, beside what is somebody else's: folders come and go,
kinds change, links lead into the release that serves, and owners, modes and access control lists change with the content and
without it."""

import os
import stat
import struct
from dataclasses import dataclass, replace

PLACE = "srv/files"
CURRENT = "/var/lib/muster/apps/api/current"
NAMES = {0: "root", 1: "daemon", 33: "www-data"}  # Debian's users, and the groups of the same number
XATTRS = {"acl": "system.posix_acl_access", "default": "system.posix_acl_default"}
TAGS = {0x01: "u", 0x02: "u", 0x04: "g", 0x08: "g", 0x10: "m", 0x20: "o"}  # of linux/posix_acl.h
NOBODY = 0xffffffff  # in an entry that is about no user or group of a name


@dataclass(frozen=True)
class Item:
    """What lies at a place. text: a file's content, or where a link leads; uid: the owner, and the number of the group; acl,
    default: the access control lists, all entries as _entries() says them; said: what the release says of them."""
    kind: str
    text: str = ""
    mode: int = 0
    uid: int = 0
    acl: tuple = ()
    default: tuple = ()
    said: tuple = ()


def _file(text, mode=0o644, uid=0, acl=(), said=()):
    return Item("file", text, mode, uid, acl, (), said)


def _folder(mode=0o755, uid=0, acl=(), default=(), said=()):
    return Item("folder", "", mode, uid, acl, default, said)


def _link(source):
    return Item("link", f"{CURRENT}/{source}")


THEIRS = {"theirs": _file("theirs\n"), "gone": _folder(), "gone/theirs": _file("theirs\n")}

READS = ("u::6", "u:33:4", "g::4", "m::4", "o::0"), ("u:www-data:r",)
WRITES = ("u::6", "u:1:6", "g::6", "m::6", "o::0"), ("u:daemon:rw",)
GUEST = "u::7", "u:33:7", "g::7", "m::7", "o::0"
HEIRS = "u::7", "u:1:7", "g::7", "m::7", "o::0"
INSTALLED = {
    "5.0.0": {
        "both": _file("4\n"), "gone/b": _file("4\n"), "kind": _file("4\n"),
        "kept": _folder(0o770, 1, GUEST, said=("u:www-data:rwx",)), "kept/a": _file("4\n", 0o640, 33),
        "same": _file("same\n", 0o640, 1, *READS),
        "web": _link("units"), "site": _link("units"), "stale": _link("units"), "moved": _folder(), "moved/x": _file("4\n"),
    },
    "6.0.0": {
        "both": _file("5\n"), "new": _folder(), "new/c": _file("5\n"), "new/deep": _folder(), "new/deep/d": _file("5\n"),
        "kind": _folder(), "kind/e": _file("5\n"),
        "kept": _folder(0o770, 33, GUEST, HEIRS, ("u:www-data:rwx", "d:u:daemon:rwx")), "kept/a": _file("5\n", 0o660, 1, *WRITES),
        "same": _file("same\n", 0o640, 1),
        "web": _link("units"), "site": _link("share"), "fresh": _link("share"), "moved": _link("units"),
    },
    "7.0.0": {
        "both": _file("6\n"), "new": _folder(), "new/c": _file("6\n"),
        "kept": _folder(0o750, 0, GUEST[:1] + ("u:1:5", "g::5", "m::5", "o::0"), said=("u:daemon:rx",)), "kept/b": _file("6\n"),
        "same": _file("same\n", 0o600, 33, READS[0][:1] + ("u:1:0", "g::0", "m::0", "o::0"), ("u:daemon:-",)),
        "web": _link("units"), "site": _folder(), "site/x": _file("6\n"), "fresh": _link("share"),
    },
}


def installed(version):
    """What lies in PLACE while a version serves: path -> item."""
    return {**THEIRS, **INSTALLED.get(version, {})} if version in INSTALLED else {}


def sources(version):
    """The files of the release's tree that are installed: path -> content."""
    return {f"installed/{name}": item.text for name, item in INSTALLED.get(version, {}).items() if item.kind == "file"}


def _permission(name, item):
    folder, _, last = f"/{PLACE}/{name}".rpartition("/")
    lines = [f"  - object: {folder}", f"    pattern: {last}", "    type: [directory]"] if item.kind == "folder" else \
        [f"  - object: {folder}/{last}"]
    lines += [f"    owner: {NAMES[item.uid]}", f"    group: {NAMES[item.uid]}", f"    mode: 0{item.mode:o}"]
    return lines + [f"    acls: [{', '.join(map(repr, item.said))}]"] * bool(item.said)


def appspec(version):
    """The sections of the appspec that install it."""
    if version not in INSTALLED:
        return ""
    lines = ["file_exists_behavior: OVERWRITE", "files:", "  - source: installed", f"    destination: /{PLACE}"]
    items = INSTALLED[version].items()
    for name, item in items:
        if item.kind == "link":
            lines += [f"  - source: {item.text.removeprefix(CURRENT)}", f"    destination: /{PLACE}/{name}", "    mode: link"]
    lines.append("permissions:")
    for name, item in items:
        if item.kind != "link" and replace(item, text="") not in (_file(""), _folder()):
            lines += _permission(name, item)
    return "\n".join(lines) + "\n"


def _entries(path, name):
    """An access control list as it lies on the disk, as TAG:ID:PERMISSIONS each; none where the file has only a mode."""
    try:
        value = os.getxattr(path, XATTRS[name], follow_symlinks=False)
    except OSError:
        return ()
    found = struct.iter_unpack("<HHI", value[4:])
    return tuple(f"{TAGS[tag]}:{'' if who == NOBODY else who}:{may}" for tag, may, who in found)


def _item(path):
    st = path.lstat()
    if stat.S_ISLNK(st.st_mode):
        return Item("link", str(path.readlink()))
    kind = "folder" if stat.S_ISDIR(st.st_mode) else "file"
    owner = st.st_uid if st.st_uid == st.st_gid else (st.st_uid, st.st_gid)
    return Item(kind, "" if kind == "folder" else path.read_text(), stat.S_IMODE(st.st_mode), owner, _entries(path, "acl"),
                _entries(path, "default"))


def _look(place):
    return {str(path.relative_to(place)): _item(path) for path in sorted(place.rglob("*"))}


def _is(found, wanted):
    return found == (wanted and replace(wanted, said=()))


def check(place, version):
    """What is in PLACE is exactly what the version installs and what somebody else put there."""
    wanted, found = installed(version), _look(place)
    return [f"/{PLACE}/{name} is not as version {version} installs it: {found.get(name)}"
            for name in sorted({*wanted, *found}) if not _is(found.get(name), wanted.get(name))]


def _is_of(name, item, versions):
    """Whether it is as one of the versions has it. A folder that stays is changed call by call."""
    ways = [installed(version).get(name) for version in versions]
    return any(way and (_is(item, way) or item.kind == way.kind == "folder") for way in ways)


def check_between(place, versions):
    """What holds at any moment: each file and link is a whole one of some version, what somebody else put there is untouched,
    and what the versions have in common is there."""
    found = {name: item for name, item in _look(place).items() if "/.muster-" not in f"/{name}"}
    always = [name for name in set.intersection(*(set(installed(version)) for version in versions))
              if len({installed(version)[name].kind for version in versions}) == 1]
    return [f"/{PLACE}/{name} is neither old nor new: {item}" for name, item in found.items() if not _is_of(name, item, versions)] + \
        [f"/{PLACE}/{name} is not there" for name in always if name not in found]
