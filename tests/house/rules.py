"""The rules of the house. Each takes a Tree and gives the sentences that say what is wrong with it, none if nothing is.

They hold the layers, the names, the sizes and the manners of the code where a compiler does not."""

import json
import re
import subprocess
import tempfile
from statistics import median

TOP_LEVEL = {"agent", "hooks", "artifacts", "units", "tests", "debian", "Makefile", "README.md", "ARCHITECTURE.md",
             "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}

# Who may include whom.
BASE = "agent/base"
LAYERS = {
    BASE: set(),
    "agent/net": {BASE},
    "units": {BASE},
    "artifacts": {BASE, "agent/net"},
    "hooks": {BASE, "agent/net", "units"},
    "agent": {BASE, "agent/net", "units", "artifacts", "hooks"},
}

# Which layer may use which library; what is not here is the C library's, or nobody's.
LIBRARIES = {
    r"systemd/": set(LAYERS),
    r"openssl/": {"agent/net", "artifacts", "agent"},
    r"jansson\.h": {"agent/net", "artifacts", "hooks", "agent"},
    r"curl/": {"agent/net"},
    r"expat\.h": {"agent/net"},
    r"archive(_entry)?\.h": {"artifacts"},
    r"yaml\.h": {"artifacts"},
    r"(zstd|zstd_errors|zlib|lzma)\.h": {"artifacts"},
    r"pthread\.h": {"artifacts"},
    r"ini\.h": {"agent"},
}
C_LIBRARY = re.compile(
    r"(arpa|asm|linux|net|netinet|sys)/\w+\.h|"
    r"(assert|ctype|dirent|endian|errno|fcntl|fnmatch|getopt|glob|grp|inttypes|limits|link|locale|malloc|math|netdb|poll|pwd|"
    r"sched|search|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|sysexits|syslog|termios|"
    r"time|unistd|wchar)\.h")

# Headers that speak for a family of sources: each of those is one function and what it needs.
FAMILIES = {"agent/engine_step.h": ("agent/step_",), "tests/analyzer.h": ("tests/analyzer",),
            "agent/agent_parts.h": ("agent/agent_bus.c", "agent/agent_launch.c"),
            "agent/cli/doctor_checks.h": ("agent/cli/doctor_aws.c", "agent/cli/doctor_balancer.c", "agent/cli/doctor_depot.c",
                                          "agent/cli/doctor_host.c",
                                          "agent/cli/doctor_services.c", "agent/cli/doctor_command.c"),
            "agent/app_parts.h": ("agent/app_open.c", "agent/app_local.c", "agent/app_failure.c",
                                  "agent/app_traffic.c", "agent/app_place.c", "agent/app_health.c", "agent/app_rollout.c")}

# What each program is linked with, at most.
LIBC = {"libc.so.6"}
LINKED = {
    "musterd": LIBC | {"libcurl.so.4", "libcrypto.so.3", "libexpat.so.1", "libjansson.so.4", "libsystemd.so.0",
                       "libinih.so.1"},
    "muster-unpack": LIBC | {"libarchive.so.13", "libzstd.so.1", "libz.so.1", "liblzma.so.5"},
    "muster": LIBC | {"libcurl.so.4", "libcrypto.so.3", "libexpat.so.1", "libjansson.so.4", "libsystemd.so.0",
                      "libinih.so.1", "libarchive.so.13", "libyaml-0.so.2", "libzstd.so.1", "libz.so.1",
                      "liblzma.so.5"},
}

FUNCTION_LINES_MAX = 80
FUNCTION_LINES_MEDIAN = 15
FILE_LINES_MAX = 700
CONTRACT_LENGTH_MIN = 40
PROGRAM_SECONDS = 10

# Written so that this file does not hold them itself.
FOREIGN_WORDS = re.compile(r"/[w]ork/|/[f]arm/|\b[L]LM\b|[c]laude|[c]o-authored-by|[a]nthropic|/[h]ome/\w+/", re.I)
LEFT_TO_DO = re.compile(r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b|[n]ot (yet )?implemented")
BANNER = re.compile(r"(/[*]|//|#) ?[-=*#~_]{5,}|[-=#~_]{8,} ?[*]/")
CODE = (".c", ".h", ".py", ".mk", ".sh", "Makefile")


def top_level(tree):
    """Nothing else stands at the top than the agreed names and dotfiles."""
    names = {name.split("/")[0] for name in tree.files}
    return [f"{name}: not one of the names at the top of the tree" for name in sorted(names - TOP_LEVEL)
            if not name.startswith(".")]


def _layer(name):
    """The layer that a source belongs to; None for tests and mains, which may include everything."""
    if name.startswith("tests/") or name.endswith("-main.c"):
        return None
    return next((layer for layer in sorted(LAYERS, key=len, reverse=True) if name.startswith(layer + "/")), None)


def _own_include(name, layer, header, tree):
    if header not in tree.files:
        return f'{name}: "{header}": there is no such file (own headers are named from the top)'
    other = _layer(header)
    if layer is None or other in {layer, *LAYERS[layer]} or other is None and header == name:
        return None
    return f'{name}: "{header}": {layer} may not include {other or "tests"}'


def _foreign_include(name, layer, header):
    allowed = next((layers for pattern, layers in LIBRARIES.items() if re.match(pattern, header)), None)
    if allowed is None:
        known = C_LIBRARY.fullmatch(header) or layer is None and header in {"cmocka.h", "setjmp.h"}
        return None if known else f"{name}: <{header}>: of no library that muster uses"
    if layer is None or layer in allowed:
        return None
    return f"{name}: <{header}>: {layer} may not use it"


def includes(tree):
    """Who may include whom, own headers and those of libraries."""
    problems = []
    for name in tree.named(".c", ".h"):
        layer = _layer(name)
        for mark, header in re.findall(r'^#\s*include\s*([<"])([^>"]+)[>"]', tree.text(name), re.M):
            problems.append(_own_include(name, layer, header, tree) if mark == '"'
                            else _foreign_include(name, layer, header))
    return [problem for problem in problems if problem]


def function_lengths(tree):
    """(lines, file, function) of every function, as universal-ctags sees them."""
    sources = tree.named(".c", ".h")
    if not sources:
        return []
    tags = subprocess.run(["ctags", "-L", "-", "--languages=C", "--map-C=+.h", "--kinds-C=f", "--fields=+ne", "-o", "-"],
                          input="\n".join(sources), cwd=tree.root, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^([^!\t]\S*)\t(\S+)\t.*\tline:(\d+)(?:\t.*)?\tend:(\d+)", tags, re.M)
    return [(int(end) - int(line) + 1, file, name) for name, file, line, end in found]


def function_sizes(tree):
    """No function is over 80 lines, and half of those in the product are of at most 15."""
    lengths = function_lengths(tree)
    problems = [f"{file}: {name}() has {lines} lines, {FUNCTION_LINES_MAX} are allowed"
                for lines, file, name in lengths if lines > FUNCTION_LINES_MAX]
    middle = median([lines for lines, file, _ in lengths if not file.startswith("tests/")] or [0])
    if middle > FUNCTION_LINES_MEDIAN:
        problems.append(f"the median function has {middle:.0f} lines, {FUNCTION_LINES_MEDIAN} are allowed")
    return problems


def file_sizes(tree):
    """No source file is over 700 lines."""
    sizes = ((name, tree.text(name).count("\n")) for name in tree.named(*CODE))
    return [f"{name}: {lines} lines, {FILE_LINES_MAX} are allowed" for name, lines in sizes if lines > FILE_LINES_MAX]


def _lines_matching(tree, pattern, names, complaint):
    return [f"{name}:{number}: {complaint}: {match.group()}" for name in names
            for number, line in enumerate(tree.text(name).splitlines(), 1) if (match := pattern.search(line))]


def banners(tree):
    """Comments have no frames."""
    return _lines_matching(tree, BANNER, tree.named(*CODE), "a banner")


def left_to_do(tree):
    """What is left to do is in an issue, not in the code."""
    return _lines_matching(tree, LEFT_TO_DO, [n for n in tree.named(*CODE) if n != "tests/house/test_rules.py"],
                           "left to do")


def foreign_words(tree):
    """Nothing speaks of the place or the tools with which it was written."""
    return _lines_matching(tree, FOREIGN_WORDS, tree.files, "does not belong in the project")


def _listed_sources(tree):
    lists = tree.lists
    return (lists["LIB_SRC"] + lists["MAIN_SRC"] + lists["TEST_SUPPORT_SRC"] +
            [f"tests/unit/{name}.c" for name in lists["UNIT_TESTS"]] + [f"tests/fuzz/{name}.c" for name in lists["FUZZERS"]])


def timers(tree):
    """No timer leaves it to sd-event how late it may be: that is a quarter of a second (agent/base/clock.h)."""
    return [f"{name}: {' '.join(found.group().split())}...: an accuracy of 0" for name in tree.named(".c")
            for found in re.finditer(r"sd_event_add_time\w*\([^;]*?,\s*0(?=,\s*on_\w+,)", tree.text(name))]


def members(tree):
    """No comment is so long that clang-format parts a member's type from its name: such a comment stands before the member."""
    return [f"{name}: {' '.join(found.group(1).split())}: its type stands on a line alone" for name in tree.named(*CODE)
            for found in re.finditer(r"^ +((?:const )?\w+\n +\**\w+;) /\*", tree.text(name), re.M)]


def listed(tree):
    """Every C file is in one of the makefile's lists, once, and what is listed is there."""
    names = _listed_sources(tree)
    others = [name for name in tree.named(".c") if name.startswith(("tests/lab/", "tests/bench/"))]
    problems = [f"{name}: in no list of the makefile" for name in tree.named(".c") if name not in names + others]
    problems += [f"{name}: listed, but not there" for name in names + tree.lists["MAN_PAGES"] if name not in tree.files]
    problems += [f"{name}: listed twice" for name in sorted(set(names)) if names.count(name) > 1]
    return problems


def corpora(tree):
    """Every fuzzer has a corpus to begin with."""
    return [f"{name}: nothing in tests/fuzz/corpus/{name.removeprefix('fuzz-')}" for name in tree.lists["FUZZERS"]
            if not any(f.startswith(f"tests/fuzz/corpus/{name.removeprefix('fuzz-')}/") for f in tree.files)]


def modules(tree):
    """A module is one .c and one .h of the same name; a header alone only holds what is inline or a type."""
    members = tuple(prefix for prefixes in FAMILIES.values() for prefix in prefixes)
    problems = [f"{name}: no header of the same name" for name in tree.lists["LIB_SRC"]
                if name[:-1] + "h" not in tree.files and not name.startswith(members)]
    for name in tree.named(".h"):
        promises = re.search(r"^(?!static|typedef|DEFINE)\w[\w \t*]*\([^;{]*\)[^;{]*;", tree.text(name), re.M)
        if name[:-1] + "c" not in tree.files and promises and name not in FAMILIES:
            problems.append(f"{name}: promises functions, but there is no source of the same name")
    return problems


def contracts(tree):
    """Every header begins with its contract."""
    problems = []
    for name in tree.named(".h"):
        found = re.match(r"#pragma once\n\n/\*(.*?)\*/", tree.text(name), re.S)
        if not found:
            problems.append(f"{name}: does not begin with #pragma once and a comment that says what it promises")
        elif len(" ".join(found.group(1).replace("\n *", " ").split())) < CONTRACT_LENGTH_MIN:
            problems.append(f"{name}: its contract says next to nothing")
    return problems


def formatting(tree):
    """clang-format has nothing to change."""
    sources = tree.named(".c", ".h")
    if not sources:
        return []
    said = subprocess.run(["clang-format", "--dry-run", *sources], cwd=tree.root, capture_output=True, text=True,
                          check=False).stderr
    return sorted({f"{name}: not as clang-format has it (make format)"
                   for name in re.findall(r"^(\S+?):\d+:\d+: ", said, re.M)})


def manuals(tree):
    """Every program has a man page, and mandoc finds nothing wrong with any page."""
    pages = tree.lists["MAN_PAGES"]
    sections = {page.rsplit("/", 1)[-1].rsplit(".", 1)[0] for page in pages}
    problems = [f"{program}: no man page" for program in tree.lists["PROGRAMS"] if program not in sections]
    for page in pages:
        said = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], cwd=tree.root, capture_output=True, text=True,
                              check=False).stdout
        problems += [line.removeprefix("mandoc: ") for line in said.splitlines()]
    return problems


def linked(tree):
    """Each program is linked with the libraries that it may be, and no others; musterd cannot parse an archive."""
    problems = []
    for name, file in tree.programs():
        said = subprocess.run(["readelf", "-dW", file], capture_output=True, text=True, check=False).stdout
        needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", said))
        if not needed:
            problems.append(f"{name}: readelf says nothing about it")
        problems += [f"{name}: linked with {library}, which is not for it"
                     for library in sorted(needed - LINKED.get(name, LIBC))]
    return problems


def _answer(file, *arguments):
    """(exit status, standard output, standard error) of a program that is asked something; no status if it hangs."""
    try:
        done = subprocess.run([file, *arguments], capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, "", str(error)
    return done.returncode, done.stdout, done.stderr.strip()


def answers(tree):
    """Every program answers --help and --version, and refuses an option that it does not know in one line."""
    problems = []
    version = "".join(tree.lists["VERSION"])
    for name, file in tree.programs():
        for option, expected in (("--help", name), ("--version", version)):
            status, out, err = _answer(file, option)
            if status != 0 or expected not in out:
                problems.append(f'{name} {option}: exit status {status}, no "{expected}" on standard output; "{err}"')
        status, out, err = _answer(file, "--no-such-option")
        if status in (0, None) or out or not err or "\n" in err:
            problems.append(f'{name} --no-such-option: exit status {status}; expected one line on standard error: "{err}"')
    return problems


def versions(tree):
    """The makefile, the package and the change log speak of the same version."""
    version = "".join(tree.lists["VERSION"])
    where = {"debian/changelog": r"^muster \(([^)-]+)", "CHANGELOG.md": r"^## \[(\d[^\]]*)\]"}
    found = {name: re.search(pattern, tree.text(name), re.M) for name, pattern in where.items() if name in tree.files}
    return [f"{name}: speaks of version {match.group(1) if match else 'none'}, the makefile of {version}"
            for name, match in found.items() if not match or match.group(1) != version]


def links(tree):
    """What a document links to in the tree is there."""
    return [f"{name}: links to {target}, which is not there" for name in tree.named(".md")
            for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", tree.text(name))
            if not (tree.root / name).parent.joinpath(target).exists()]


def _blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.S | re.M)


def _bad_commands(name, text, muster):
    """Command lines of muster in code (fenced or indented) that it does not know."""
    code = "\n".join(_blocks(text, "sh") + re.findall(r"^    (.*)", text, re.M))
    used = set(re.findall(r"^\s*(?:sudo )?muster ((?:[a-z]+ ?){1,2})", code, re.M))
    return [f"{name}: muster {words.strip()}: there is no such command" for words in sorted(used)
            if _answer(muster, *words.split(), "--help")[0] != 0 and _answer(muster, words.split()[0], "--help")[0] != 0]


def examples(tree):
    """What the documents show is true: commands exist, configuration passes --check-config, JSON can be parsed."""
    programs = {name: file for name, file in tree.programs() if file.exists()}
    problems = []
    for name in tree.named(".md"):
        text = tree.text(name)
        if "muster" in programs:
            problems += _bad_commands(name, text, programs["muster"])
        for block in _blocks(text, "ini") if "musterd" in programs else []:
            with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
                file.write(block)
                file.flush()
                status, _, err = _answer(programs["musterd"], "--check-config", "--config", file.name)
            if status != 0:
                problems.append(f"{name}: a configuration that musterd refuses: {err}")
        for block in _blocks(text, "json"):
            try:
                json.loads(block)
            except ValueError as error:
                problems.append(f"{name}: JSON that cannot be parsed: {error}")
    return problems


def build_depends(tree):
    """What the package is built with, tests/setup installs on a machine that has nothing; build-essential is never said there."""
    control = tree.text("debian/control") if "debian/control" in tree.files else ""
    listed = re.search(r"^Build-Depends:\n((?: .*\n)*)", control, re.M)
    wanted = re.findall(r"^ ([a-z0-9][a-z0-9.+-]+)", listed[1], re.M) if listed else []
    setup = set(re.findall(r"[a-z0-9][a-z0-9.+-]+", tree.text("tests/setup"))) if wanted else set()
    return [f"tests/setup: does not install {name}, which debian/control builds with"
            for name in ["build-essential" if wanted else "", *wanted]
            if name and name not in setup and not name.startswith(("debhelper-compat", "dh-sequence-"))]


RULES = [top_level, includes, function_sizes, file_sizes, banners, left_to_do, foreign_words, timers, members, listed, corpora,
         modules, contracts, formatting, manuals, linked, answers, versions, links, examples, build_depends]
