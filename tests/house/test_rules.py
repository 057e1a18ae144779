"""Each rule passes a small good tree, and finds the fault that is put into it."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import rules  # noqa: E402  (the path has to be there first)
from tree import Tree  # noqa: E402

HEADER = """#pragma once

/* One promise that is long enough to be read as a sentence by anyone who comes here. */

int thing_do(int value);
"""
SOURCE = """#include <errno.h>

#include "agent/base/thing.h"

int thing_do(int value) {
        return value < 0 ? -EINVAL : 0;
}
"""
PAGE = """.Dd November 21, 2026
.Dt MUSTERD 8
.Os
.Sh NAME
.Nm musterd
.Nd deploys an instance
.Sh DESCRIPTION
It deploys.
"""
PROGRAM = """#!/bin/sh
case "$1" in
--help) echo "Usage: musterd" ;;
--version) echo "musterd 1.2" ;;
--check-config) grep -q depot "$3" || { echo "$3:1: no depot" >&2; exit 3; } ;;
*) echo "musterd: what is $1?" >&2; exit 2 ;;
esac
"""
MUSTER = """#!/bin/sh
case "$1" in
--help) echo "Usage: muster" ;;
--version) echo "muster 1.2" ;;
publish | target) [ "$2" = --help ] || [ "$3" = --help ] ;;
*) echo "muster: what is $1?" >&2; exit 2 ;;
esac
"""
EXAMPLES = """```sh
muster publish ./api --app api
```

```ini
[agent]
depot = file:///srv/depot
```

```json
{ "Version": "2012-10-17" }
```

    muster target set --app api
"""
GOOD = {
    ".clang-format": Path(__file__).resolve().parents[2].joinpath(".clang-format").read_text(),
    "Makefile": "VERSION := 1.2\n",
    "README.md": "See [the manual](agent/musterd.8) and [the site](https://example.com/).\n\n" + EXAMPLES,
    "CHANGELOG.md": "# Changes\n\n## [1.2] - 2026-11-21\n",
    "debian/changelog": "muster (1.2-1) unstable; urgency=medium\n",
    "debian/control": "Source: muster\nBuild-Depends:\n debhelper-compat (= 13),\n libssl-dev,\n",
    "tests/setup": "echo build-essential libssl-dev\n",
    "agent/base/thing.h": HEADER,
    "agent/base/thing.c": SOURCE,
    "agent/musterd.8": PAGE,
    "tests/unit/test-thing.c": '#include "agent/base/thing.h"\n',
    "tests/fuzz/fuzz-thing.c": '#include "agent/base/thing.h"\n',
    "tests/fuzz/corpus/thing/one": "1",
    "out/musterd": PROGRAM,
    "out/muster": MUSTER,
    "agent/muster.1": PAGE.replace("MUSTERD 8", "MUSTER 1").replace("musterd", "muster"),
}
LISTS = {
    "LIB_SRC": ["agent/base/thing.c"],
    "PROGRAMS": ["musterd", "muster"],
    "UNIT_TESTS": ["test-thing"],
    "FUZZERS": ["fuzz-thing"],
    "MAN_PAGES": ["agent/musterd.8", "agent/muster.1"],
    "OUT": ["out"],
    "VERSION": ["1.2"],
}


@pytest.fixture
def tree(tmp_path):
    """Makes a tree of the good files with some changed (None: left out) and some lists changed."""

    def make(files=(), **lists):
        content = {name: text for name, text in {**GOOD, **dict(files)}.items() if text is not None}
        for name, text in content.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for program in ("muster", "musterd"):
            (tmp_path / "out" / program).chmod(0o755)
        return Tree(tmp_path, [name for name in content if not name.startswith("out/")], {**LISTS, **lists})

    return make


def long_function(lines):
    body = "".join(f"        value += {n};\n" for n in range(lines - 3))
    return f"#include \"agent/base/thing.h\"\n\nint thing_do(int value) {{\n{body}        return value;\n}}\n"


# Words are put together here, so that no rule finds this file itself.
FAULTS = [
    (rules.top_level, {"src/x.c": ""}, {}, "src"),
    (rules.includes, {"agent/base/thing.c": '#include "agent/net/http.h"\n', "agent/net/http.h": HEADER}, {},
     "agent/base may not include agent/net"),
    (rules.includes, {"units/x.c": '#include "hooks/y.h"\n', "hooks/y.h": HEADER}, {}, "units may not include hooks"),
    (rules.includes, {"artifacts/x.c": '#include "agent/config.h"\n', "agent/config.h": HEADER}, {},
     "artifacts may not include agent"),
    (rules.includes, {"agent/base/thing.c": '#include "thing.h"\n'}, {}, "no such file"),
    (rules.includes, {"agent/config.c": '#include "tests/unit/test.h"\n', "tests/unit/test.h": HEADER}, {},
     "agent may not include tests"),
    (rules.includes, {"agent/config.c": "#include <archive.h>\n"}, {}, "<archive.h>: agent may not use it"),
    (rules.includes, {"units/x.c": "#include <curl/curl.h>\n"}, {}, "units may not use it"),
    (rules.includes, {"agent/config.c": "#include <glib.h>\n"}, {}, "<glib.h>: of no library"),
    (rules.function_sizes, {"agent/base/thing.c": long_function(81)}, {}, "thing_do() has 81 lines"),
    (rules.function_sizes, {"agent/base/thing.c": long_function(16)}, {}, "the median function has 16 lines"),
    (rules.file_sizes, {"agent/base/thing.c": "\n" * 701}, {}, "701 lines"),
    (rules.timers, {"agent/base/thing.c": "r = sd_event_add_time(event, &timer, CLOCK_BOOTTIME, 0,\n        0, on_timer, x);\n"},
     {}, "an accuracy of 0"),
    (rules.members, {"agent/base/thing.h": "struct Thing {\n        const char\n                *name; /* long */\n};\n"}, {},
     "const char *name;: its type stands on a line alone"),
    (rules.banners, {"agent/base/thing.c": "/* " + "-" * 20 + " */\n"}, {}, "a banner"),
    (rules.banners, {"agent/base/thing.c": "/" + "*" * 40 + "/\n"}, {}, "a banner"),
    (rules.left_to_do, {"agent/base/thing.c": "/* TO" + "DO: more */\n"}, {}, "left to do"),
    (rules.left_to_do, {"agent/base/thing.c": "/* not implem" + "ented */\n"}, {}, "left to do"),
    (rules.foreign_words, {"README.md": "It lies in /wo" + "rk/x.\n"}, {}, "does not belong"),
    (rules.foreign_words, {"agent/musterd.8": "Co-Author" + "ed-By: someone\n"}, {}, "does not belong"),
    (rules.listed, {"agent/base/other.c": SOURCE}, {}, "agent/base/other.c: in no list"),
    (rules.listed, {}, {"UNIT_TESTS": ["test-thing", "test-none"]}, "tests/unit/test-none.c: listed, but not there"),
    (rules.listed, {"agent/musterd.8": None}, {}, "agent/musterd.8: listed, but not there"),
    (rules.listed, {}, {"LIB_SRC": ["agent/base/thing.c"] * 2}, "listed twice"),
    (rules.corpora, {"tests/fuzz/corpus/thing/one": None}, {}, "nothing in tests/fuzz/corpus/thing"),
    (rules.modules, {"agent/base/thing.h": None}, {}, "agent/base/thing.c: no header"),
    (rules.modules, {"agent/base/other.h": HEADER}, {}, "agent/base/other.h: promises functions"),
    (rules.contracts, {"agent/base/thing.h": "#pragma once\n\nint thing_do(int value);\n"}, {}, "does not begin"),
    (rules.contracts, {"agent/base/thing.h": "#pragma once\n\n/* A thing. */\n"}, {}, "next to nothing"),
    (rules.formatting, {"agent/base/thing.c": SOURCE.replace("        ", "    ")}, {}, "agent/base/thing.c: not as"),
    (rules.manuals, {}, {"PROGRAMS": ["musterd", "muster-unpack"]}, "muster-unpack: no man page"),
    (rules.manuals, {"agent/musterd.8": PAGE + ".Xx odd\n"}, {}, "agent/musterd.8"),
    (rules.answers, {"out/musterd": PROGRAM.replace("--help)", "-h)")}, {}, "musterd --help: exit status 2"),
    (rules.answers, {"out/musterd": PROGRAM.replace("1.2", "1.3")}, {}, "musterd --version"),
    (rules.answers, {"out/musterd": PROGRAM.replace("exit 2", "exit 0")}, {}, "musterd --no-such-option"),
    (rules.answers, {"out/musterd": "#!/bin/sh\nexec sleep 30\n"}, {}, "timed out"),
    (rules.versions, {"debian/changelog": "muster (1.1-1) unstable; urgency=low\n"}, {}, "debian/changelog: speaks of"),
    (rules.versions, {"CHANGELOG.md": "# Changes\n"}, {}, "CHANGELOG.md: speaks of version none"),
    (rules.examples, {"README.md": "    muster launch --app api\n"}, {}, "muster launch: there is no such command"),
    (rules.examples, {"README.md": "```ini\n[agent]\n```\n"}, {}, "a configuration that musterd refuses"),
    (rules.examples, {"README.md": "```json\n{ 'a': 1 }\n```\n"}, {}, "JSON that cannot be parsed"),
    (rules.build_depends, {"tests/setup": "echo gcc libssl-dev\n"}, {}, "does not install build-essential"),
    (rules.build_depends, {"tests/setup": "echo build-essential\n"}, {}, "does not install libssl-dev"),
    (rules.links, {"README.md": "[x](agent/none.md)\n"}, {}, "agent/none.md, which is not there"),
]


@pytest.mark.parametrize("rule", [rule for rule in rules.RULES if rule is not rules.linked], ids=lambda r: r.__name__)
def test_good_tree(tree, rule):
    assert rule(tree()) == []


@pytest.mark.parametrize("rule, files, lists, sentence", FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_fault_is_found(tree, monkeypatch, rule, files, lists, sentence):
    monkeypatch.setattr(rules, "PROGRAM_SECONDS", 0.5)
    problems = rule(tree(files, **lists))
    assert any(sentence in problem for problem in problems), problems


def test_every_rule_has_a_fault():
    assert {rule for rule, *_ in FAULTS} | {rules.linked} == set(rules.RULES)


def test_mains_and_tests_include_what_they_like(tree):
    text = '#include <archive.h>\n\n#include "agent/config.h"\n'
    files = {"agent/config.h": HEADER, "artifacts/unpack-main.c": text, "tests/unit/test-thing.c": text}
    assert rules.includes(tree(files)) == []


@pytest.mark.parametrize("library, found", [("-lm", True), ("", False)])
def test_linked(tree, tmp_path, library, found):
    """A program that is linked with a library that is not for it."""
    made = tree(PROGRAMS=["musterd"])
    (tmp_path / "x.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-Wl,--no-as-needed", "-o", tmp_path / "out/musterd", tmp_path / "x.c", *library.split()],
                   check=True)
    said = rules.linked(made)
    assert said == (["musterd: linked with libm.so.6, which is not for it"] if found else [])


def test_linked_wants_a_program(tree):
    assert "readelf" in rules.linked(tree())[0]
