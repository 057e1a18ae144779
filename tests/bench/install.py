"""A whole deployment of a bundle that installs 60 MB in 2,000 files outside of its folder, every one of them another than before,
beside `tar -xzpf` of the same bundle and `sync -f` on the same ext4, in turns; and what either writes to the disk."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))

from deployment import CONFIGURATION, lasted  # noqa: E402
from rig.host import wait_for  # noqa: E402  (the path has to be there first)
from rig.lab import Lab  # noqa: E402
from rig.site import Site  # noqa: E402
from trees import source_text  # noqa: E402

FILES, FOLDERS, BYTES = 2_000, 100, 60_000_000
GOALS = {"link": 1.2, "copy": 1.9}
DISK = "var/lib/muster"
STATE = f"/{DISK}/state"
APPSPEC = """\
version: 0.0
os: linux
files:
  - source: web
    destination: /{disk}/place-{mode}
    mode: {mode}
"""
SECTOR = 512


def build(folder, version, mode):
    """The bundle of a version as a build makes it: a tar.gz."""
    chance = random.Random(f"{version} {mode}")
    text = source_text(chance)
    top = folder / f"{mode}-{version}"
    sizes = [chance.lognormvariate(7.8, 1.4) for _ in range(FILES)]
    for i, size in enumerate(sizes):
        size = int(size * BYTES / sum(sizes))
        at = chance.randrange(len(text) - size)
        path = top / f"web/folder{i % FOLDERS}/file{i}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text[at:at + size])
    (top / "appspec.yml").write_text(APPSPEC.format(disk=DISK, mode=mode))
    bundle = folder / f"{mode}-{version}.tar.gz"
    subprocess.run(["tar", "-czf", bundle, "-C", top, "."], check=True)
    return bundle


class Bench:
    def __init__(self, instance, folder):
        self.instance, self.folder = instance, folder
        self.disk = instance.root / DISK
        self.site = Site(instance, folder)
        self.started = False

    def written(self):
        """Bytes that the disk was given so far."""
        device = os.stat(self.disk).st_dev
        stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
        return int(stat[6]) * SECTOR

    def measure(self, work):
        """(seconds, bytes written) of it; the disk has nothing to do before."""
        subprocess.run(["sync", "-f", self.disk], check=True)
        before, start = self.written(), time.monotonic()
        took = work() or time.monotonic() - start
        subprocess.run(["sync", "-f", self.disk], check=True)
        return took, self.written() - before

    def unpack(self, bundle):
        to = self.disk / "tar"
        subprocess.run(["rm", "-rf", to], check=True)
        to.mkdir()
        return self.measure(lambda: subprocess.run(f"tar -xzpf {bundle} -C {to} && sync -f {to}", shell=True, check=True) and 0)

    def publish(self, bundle, version):
        self.instance.put(f"/srv/{bundle.name}", bundle)
        self.site.muster("publish", f"/srv/{bundle.name}", "--app", "api", "--version", version, "--key", "/srv/release.key")
        self.site.set_target(version)

    def deploy(self, version):
        def work():
            self.site.muster("poll", check=False)
            done = wait_for(lambda: self.committed(version), 120, f"{version} to be committed", 0.005)
            return lasted(done)
        return self.measure(work)

    def committed(self, version):
        """Not before it has ended, and what it replaced is gone."""
        app = self.disk / "state/apps/api"
        if not (app / "record.json").exists() or (app / "files/journal").exists():
            return None
        last = json.loads((app / "record.json").read_text())["deployment"]
        return last if last and last["outcome"] == "succeeded" and last["to"]["version"] == version else None


def configure(bench):
    text = CONFIGURATION.format(instance=bench.instance.id).replace("[app api]", f"state_dir = {STATE}\n\n[app api]")
    bench.instance.put("/etc/muster/muster.conf", text)


def measure_mode(bench, mode, rounds):
    """Deployments and unpackings in turns; the first of each only makes the place."""
    deployments, unpackings = [], []
    for number in range(rounds + 1):
        version = f"{list(GOALS).index(mode) + 1}.{number}"
        bundle = build(bench.folder, version, mode)
        bench.publish(bundle, version)
        if not bench.started:
            configure(bench)
            bench.started = True
        deployments.append(bench.deploy(version))
        unpackings.append(bench.unpack(bundle))
    return deployments[1:], unpackings[1:]


def run(report, _, rounds):
    with Lab(say=lambda _: None) as lab, tempfile.TemporaryDirectory(dir=TOP / "build") as folder:
        lab.require_package()
        instance = lab.instance()
        instance.use_state_disk("2G")
        instance.boot()
        bench = Bench(instance, Path(folder))
        report.part(f"install: {FILES} files of {BYTES / 1e6:.0f} MB outside of the release's folder, all of them changed")
        for mode, goal in GOALS.items():
            deployments, unpackings = measure_mode(bench, mode, rounds)
            report.line(f"mode: {mode}, the whole deployment", [took for took, _ in deployments],
                        beside=[took for took, _ in unpackings], goal=goal)
            report.line("    tar -xzpf, sync -f", [took for took, _ in unpackings])
            report.line("    written", [size / BYTES for _, size in deployments], "x")
            report.line("    written by tar", [size / BYTES for _, size in unpackings], "x")
