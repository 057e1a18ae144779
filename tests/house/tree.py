"""The project's files, and what the makefile lists, as the rules see them."""

import re
import subprocess
from pathlib import Path

LISTS = ("LIB_SRC", "MAIN_SRC", "PROGRAMS", "UNIT_TESTS", "TEST_SUPPORT_SRC", "FUZZERS", "MAN_PAGES", "OUT", "VERSION")


class Tree:
    """A folder, the names of the files in it that belong to the project, and the makefile's lists."""

    def __init__(self, root, files, lists):
        self.root = Path(root)
        self.files = sorted(files)
        self.lists = {name: lists.get(name, []) for name in LISTS}

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def named(self, *suffixes):
        return [name for name in self.files if name.endswith(suffixes)]

    def programs(self):
        """Each program's name and the file that make built."""
        out = "".join(self.lists["OUT"])
        return [(name, self.root / out / name) for name in self.lists["PROGRAMS"]]


def load(root):
    """The tree that stands at ROOT: what git knows or would add, and what make says."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                            capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.split("\0") if name and (Path(root) / name).is_file()]
    said = subprocess.run(["make", "-s", "print-lists"], cwd=root, capture_output=True, text=True, check=True).stdout
    lists = {name: words.split() for name, words in re.findall(r"^(\w+) :=(.*)$", said, re.M)}
    return Tree(root, files, lists)


def without_comments_and_strings(text):
    """C source with comments and the inside of strings blanked, line by line the same."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)
