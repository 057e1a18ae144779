"""The two trees of the benchmarks, made once and kept:

a   a Go program of 60 MB (what the Go distribution has as programs, one after the other in one file: no single one is
    that large) and 50 small files
b   19,999 files of 150 MB in 4,820 folders, cut from the sources of the Go distribution
"""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

PROGRAM_SIZE = 60_000_000
SMALL_FILES = 50
FILES, FOLDERS, BYTES = 19_999, 4_820, 150_000_000


def go_root():
    return Path(subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True).stdout.strip())


def make_a(folder):
    root = go_root()
    programs = sorted([*(root / "bin").iterdir(), *(p for p in (root / "pkg/tool").rglob("*") if p.is_file())])
    (folder / "bin").mkdir(parents=True)
    with (folder / "bin/app").open("wb") as app:
        for program in programs:
            app.write(program.read_bytes()[:PROGRAM_SIZE - app.tell()])
    (folder / "bin/app").chmod(0o755)
    (folder / "conf").mkdir()
    for i in range(SMALL_FILES):
        (folder / f"conf/{i:02}.json").write_text(json.dumps({"number": i, "text": "x" * (i * 40)}))


def source_text(random_source):
    files = sorted(p for p in (go_root() / "src").rglob("*.go") if p.is_file())
    random_source.shuffle(files)
    return b"".join(p.read_bytes() for p in files[:4000])


def make_b(folder):
    """Sizes are spread as in real trees: most files are small, some are not."""
    chance = random.Random(20261121)
    text = source_text(chance)
    folders = [folder]
    for i in range(FOLDERS):
        parent = chance.choice(folders[max(0, len(folders) - 400):])
        if len(parent.relative_to(folder).parts) > 8:
            parent = folder
        folders.append(parent / f"folder{i}")
        folders[-1].mkdir(parents=True)
    sizes = [chance.lognormvariate(7.8, 1.4) for _ in range(FILES)]
    scale = BYTES / sum(sizes)
    for i, size in enumerate(sizes):
        size = int(size * scale)
        at = chance.randrange(max(1, len(text) - size))
        (folders[i % len(folders)] / f"file{i}.go").write_bytes(text[at:at + size])


def describe(folder):
    paths = list(folder.rglob("*"))
    return {"entries": len(paths), "bytes": sum(p.stat().st_size for p in paths if p.is_file())}


def archive(cache, name):
    """The archive of a tree as tar.zst -3: (path, {"entries", "bytes"})."""
    made = cache / f"{name}.tar.zst"
    facts = cache / f"{name}.json"
    if not facts.exists():
        folder = cache / name
        shutil.rmtree(folder, ignore_errors=True)
        {"a": make_a, "b": make_b}[name](folder)
        subprocess.run(["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-I", "zstd -3 -q",
                        "-cf", made, "-C", folder, "."], check=True)
        facts.write_text(json.dumps(describe(folder)))
        shutil.rmtree(folder)
        os.sync()
    return made, json.loads(facts.read_text())
