"""What deployments take on a booted instance with its state on an ext4 with a journal and its depot in a folder: releases with
neither hooks nor health checks and one unit that is restarted. Forward, all but FETCH is muster's own part. Back to the release
before, from the instance's own disk: by the pin of its group, from musterd's look at the depot, and by a pin of its own, from the
command. Each step as musterd's own record has it."""

import json
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))

from rig.host import wait_for  # noqa: E402  (the path has to be there first)
from rig.lab import Lab  # noqa: E402
from rig.site import DEPOT, GROUP, Site  # noqa: E402

GOAL_OWN = 100  # ms, of a deployment without FETCH
GOAL_BACK = 200  # ms, from outside
FILES = 500  # of a release
APPSPEC = """\
version: 0.0
os: linux
units:
  - name: bench.service
    file: units/bench.service
    on_deploy: restart
"""
UNIT = """\
[Service]
Type=exec
ExecStart=/var/lib/muster/apps/api/current/bin/bench

[Install]
WantedBy=multi-user.target
"""
# settle_time is a health check in all but name: how long a unit is watched after its restart.
CONFIGURATION = f"""\
[agent]
depot = {DEPOT}
group = {GROUP}
instance_id = {{instance}}
poll_interval = 1h
settle_time = 0s

[app api]
"""


def build(folder, version):
    made = Path(folder, version)
    files = {"appspec.yml": APPSPEC, "units/bench.service": UNIT, "bin/bench": "#!/bin/sh\nexec sleep infinity\n",
             **{f"data/{i // 50}/{i}": f"{version} {i}\n" for i in range(FILES)}}
    for name, text in files.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (made / "bin/bench").chmod(0o755)
    return made


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Bench:
    """An instance that went from 1.0 to 2.0."""

    def __init__(self, instance, folder):
        self.record = instance.root / "var/lib/muster/apps/api/record.json"
        self.site = Site(instance, folder)
        for version in ("1.0", "2.0"):
            self.site.publish_folder(build(folder, version), version)
            self.site.set_target(version)
            instance.put("/etc/muster/muster.conf", CONFIGURATION.format(instance=instance.id))
            self.site.muster("poll", check=False)
            self.site.wait_app(state="good", version=version)

    def deployment(self):
        return json.loads(self.record.read_text())["deployment"]

    def committed(self, version, before):
        last = self.deployment()
        return last["id"] != before and last["outcome"] == "succeeded" and last["to"]["version"] == version and last

    def pin_group(self, version):
        """The target is there; what is measured is what the instance makes of it."""
        self.site.muster("pin", "api", GROUP, version, "--reason", "bench", "--key", "/srv/target.key")
        return ["poll"]

    def pin_instance(self, version):
        return ["pin", "--local", "api", version, "--reason", "bench"]

    def go_back(self, way, version):
        """(seconds from outside, the deployment as musterd recorded it)."""
        before = self.deployment()["id"]
        order = way(version)
        start = time.monotonic()
        self.site.muster(*order)
        deployment = wait_for(lambda: self.committed(version, before), 60, f"{version} to be committed", 0.001)
        took = time.monotonic() - start
        self.site.wait_app(state="good", version=version)  # and what it cleans up after that is done
        return took, deployment


    def unpin(self, way):
        if way == self.pin_group:
            self.site.muster("unpin", "api", GROUP, "--key", "/srv/target.key")
        else:
            self.site.muster("unpin", "--local", "api")

    def go_forward(self, number):
        """The deployment of a new release."""
        version, before = f"3.{number}", self.deployment()["id"]
        self.site.publish_folder(build(self.site.folder, version), version)
        self.site.set_target(version)
        self.site.muster("poll")
        deployment = wait_for(lambda: self.committed(version, before), 60, f"{version} to be committed", 0.01)
        self.site.wait_app(state="good", version=version)
        return deployment


def sync_time(folder):
    """What one small durable write costs on that disk."""
    times = []
    for _ in range(50):
        fd = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, b"x" * 4096)
        start = time.monotonic()
        os.fsync(fd)
        times.append(time.monotonic() - start)
        os.close(fd)
    (folder / "probe").unlink()
    return statistics.median(times)


def lasted(entry):
    return seconds(entry["finished"]) - seconds(entry["started"])


def own_part(deployment):
    return lasted(deployment) - sum(lasted(step) for step in deployment["steps"] if step["step"] == "FETCH")


def between(deployment):
    """Where the record is written, and the depot asked again."""
    return lasted(deployment) - sum(map(lasted, deployment["steps"]))


def tell_steps(report, deployments):
    for i, step in enumerate(deployments[0]["steps"]):
        report.line(f"    {step['step']}", [lasted(deployment["steps"][i]) for deployment in deployments], "ms", factor=1000)
    report.line("    between the steps", [between(deployment) for deployment in deployments], "ms", factor=1000)


def run(report, _, rounds):
    with Lab(say=lambda _: None) as lab, tempfile.TemporaryDirectory(dir=TOP / "build") as folder:
        lab.require_package()
        instance = lab.instance()
        instance.use_state_disk("1G")
        instance.boot()
        bench = Bench(instance, Path(folder))
        report.part(f"deployment: {FILES} files, one unit that is restarted, no hooks, no health checks; fsync takes "
                    f"{sync_time(instance.root / 'var/lib/muster') * 1000:.1f} ms")
        for name, way in (("the group's pin", bench.pin_group), ("a pin of the instance", bench.pin_instance)):
            runs = [bench.go_back(way, version) for _ in range(rounds) for version in ("1.0", "2.0")]
            report.line(f"rollback by {name}", [took for took, _ in runs], "ms", goal=GOAL_BACK, factor=1000)
            tell_steps(report, [deployment for _, deployment in runs])
            bench.unpin(way)
        forward = [bench.go_forward(i) for i in range(rounds)]
        report.line("deployment: muster's own part", list(map(own_part, forward)), "ms", goal=GOAL_OWN, factor=1000)
        tell_steps(report, forward)
