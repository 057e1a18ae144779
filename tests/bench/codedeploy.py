"""A bundle of CodeDeploy's, 2,000 files of 60 MB with a script, deployed as a whole: by muster on a booted instance, and by
CodeDeploy's own codedeploy-local where this machine has it. Both unpack, run the script and install all files; only muster
makes them durable."""

import io
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))

from rig.lab import Lab  # noqa: E402  (the path has to be there first)

GOAL = 0.35
FILES, BYTES = 2_000, 60_000_000
AGENT = "/opt/codedeploy-agent/bin/codedeploy-local"
APPSPEC = """\
version: 0.0
os: linux
files:
  - source: site
    destination: {destination}
hooks:
  AfterInstall:
    - location: scripts/after-install
      timeout: 60
"""


def bundle(path, destination, version):
    """Sizes are spread as in real bundles; every second file changes with the version."""
    chance = random.Random(20261121)
    sizes = [chance.lognormvariate(9, 1.3) for _ in range(FILES)]
    scale = BYTES / sum(sizes)
    files = {"appspec.yml": APPSPEC.format(destination=destination).encode(), "scripts/after-install": b"#!/bin/sh\nexit 0\n"}
    for i, size in enumerate(sizes):
        content = random.Random(i * 2 + version * (i % 2)).randbytes(max(1, int(size * scale) // 2)).hex()
        files[f"site/{i % 40}/{i}"] = content.encode()
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755 if name.startswith("scripts/") else 0o644
            archive.addfile(info, io.BytesIO(content))
    return path


def timed(command):
    start = time.monotonic()
    command()
    return time.monotonic() - start


class Muster:
    """On an instance of its own."""

    def __init__(self, instance, folder):
        self.instance = instance
        for version in (1, 2):
            instance.put(f"/root/{version}.tgz", bundle(folder / f"muster-{version}.tgz", "/srv/bench", version))

    def deploy(self, version):
        self.instance.run("muster", "deploy", "--local", f"/root/{version}.tgz", "--app", "bench", timeout=300)


class CodeDeploy:
    """On this machine, with all it writes in one folder."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.config = folder / "codedeployagent.yml"
        self.config.write_text(f"---\n:root_dir: '{folder}/root'\n:log_dir: '{folder}/log'\n:pid_dir: '{folder}'\n"
                               ":program_name: codedeploy-agent\n:max_revisions: 2\n")
        for version in (1, 2):
            bundle(folder / f"{version}.tgz", folder / "installed", version)

    def deploy(self, version):
        done = subprocess.run([self.program, "--bundle-location", self.folder / f"{version}.tgz", "--type", "tgz",
                               "--deployment-group", "bench", "--agent-configuration-file", self.config],
                              cwd=self.folder, check=False, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise SystemExit(f"bench: codedeploy-local: {done.stdout}{done.stderr}")


def find_agent():
    return shutil.which("codedeploy-local") or (AGENT if Path(AGENT).exists() else None)


def run(report, _, rounds):
    program = find_agent()
    with Lab(say=lambda _: None) as lab, tempfile.TemporaryDirectory(dir=TOP / "build") as folder:
        lab.require_package()
        report.part(f"bundle: a whole deployment of CodeDeploy's bundle, {FILES} files of {BYTES // 1_000_000} MB, one script")
        ways = [Muster(lab.instance().boot(), Path(folder)), *([CodeDeploy(program, Path(folder))] if program else [])]
        for way in ways:
            way.deploy(1)
        took = {way: [] for way in ways}
        for i in range(rounds):
            for way in ways:
                took[way].append(timed(lambda way=way, i=i: way.deploy(2 - i % 2)))
        if program:
            report.line("codedeploy-local", took[ways[1]])
            report.line("muster deploy --local", took[ways[0]], beside=took[ways[1]], goal=GOAL)
        else:
            report.line("muster deploy --local", took[ways[0]])
            report.missing("beside codedeploy-local", "it is not on this machine")
