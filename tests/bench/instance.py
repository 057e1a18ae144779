"""musterd on a booted instance with a cloud around it: what it takes while it waits, and until it is ready."""

import json
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from rig import faults, goapp  # noqa: E402
from rig.cloud import Cloud  # noqa: E402
from rig.host import wait_for  # noqa: E402
from rig.lab import Lab  # noqa: E402
from rig.operator import Muster  # noqa: E402

GROUP = "bench"
VERSION = "1.0.0"
POLL_USUAL = 30  # seconds, muster.conf(5)
POLLS = 40
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
STARTS = 20  # a round


class Booted:
    """An instance whose libraries nobody else has mapped: what they take is counted whole."""

    def __init__(self, lab, folder):
        self.cloud = Cloud(lab)
        self.muster = Muster(lab.layers[0] / "usr/bin/muster")
        self.muster.prepare(self.cloud)
        self.instance = lab.instance()
        self.cloud.attach(self.instance)
        for library in (self.instance.root / LIBRARIES[1:]).glob("*.so*"):
            if library.is_file() and not library.is_symlink():
                self.instance.put(f"{LIBRARIES}/{library.name}", library, mode=0o755)
        self.muster.publish(goapp.build(folder, VERSION), VERSION)
        self.muster.set_target(GROUP, VERSION)
        user_data = self.muster.template(GROUP, poll_interval="1s").user_data
        self.instance.user_data(user_data.replace("[launch]\nhook = muster\n", ""))
        self.instance.boot()
        wait_for(self.serves, 60, f"release {VERSION} to be good", 0.2)

    def serves(self):
        answer = self.instance.run("muster", "status", "--json", check=False)
        apps = json.loads(answer.out)["apps"] if answer.code == 0 else []
        return apps and apps[0]["state"] == "good"

    def polls(self):
        return len(self.cloud.proxy.requests(service="s3", client=self.instance.address, path="target.json"))


def musterd_of(instance):
    """/proc/PID of an instance's musterd, as this machine sees it."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text() == "musterd\n" and instance.id in (process / "cgroup").read_text():
                return process
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise LookupError("musterd does not run")


def memory(process):
    """kB of (what is nobody else's and no file's, everything with its share of what others use too)."""
    found = dict(re.findall(r"^(\w+): +(\d+) kB", (process / "smaps_rollup").read_text(), re.M))
    return int(found["Pss_Anon"]), int(found["Pss"])


def cpu(process):
    return int((process / "schedstat").read_text().split()[0]) / 1e9


def idle(report, booted, rounds):
    process = musterd_of(booted.instance)
    certificates = len(list((booted.instance.root / "etc/ssl/certs").glob("*.pem")))
    report.part(f"idle: a depot in S3 over TLS, {certificates} certificates, each poll a connection of its own")
    samples, hours = [], []
    for _ in range(rounds):
        with booted.cloud.fault(faults.closed()):
            polls, spent = booted.polls(), cpu(process)
            wait_for(lambda: booted.polls() >= polls + POLLS, 4 * POLLS, "some polls", 0.2)  # noqa: B023
            hours.append((cpu(process) - spent) / (booted.polls() - polls) * 3600 / POLL_USUAL)
        samples.append(memory(process))
    report.line("idle: memory of its own (private dirty)", [s[0] / 1000 for s in samples], "MB", goal=3)
    report.line("idle: memory with its share (PSS)", [s[1] / 1000 for s in samples], "MB", goal=10)
    report.line(f"idle: CPU in an hour of polls every {POLL_USUAL} s", hours, goal=0.5)


def starts(report, booted, programs, rounds):
    report.part("start: musterd until it is ready, an empty program with the same libraries until it has ended")
    booted.instance.run("systemctl", "stop", "musterd")
    for name in ("ready-driver", "empty"):
        booted.instance.put(f"/opt/{name}", programs / name, mode=0o755)
    environment = booted.instance.run("systemctl", "show", "-P", "Environment", "musterd").text
    said = booted.instance.run("/opt/ready-driver", str(STARTS * rounds), "/usr/sbin/musterd", "/opt/empty",
                               env=dict(word.split("=", 1) for word in environment.split()), timeout=600).out
    service, service_cpu, other, other_cpu = zip(*([int(word) / 1e6 for word in line.split()]
                                                   for line in said.splitlines()))
    report.line("start: empty program", other, "ms", factor=1000)
    report.line("start: musterd", service, "ms", beside=other, goal=1.5, factor=1000)
    report.line("start: musterd, CPU", service_cpu, "ms", beside=other_cpu, factor=1000)


def run(report, programs, rounds):
    with Lab(say=lambda _: None) as lab, tempfile.TemporaryDirectory() as folder:
        lab.require_package()
        booted = Booted(lab, Path(folder))
        time.sleep(2)
        idle(report, booted, rounds)
        starts(report, booted, programs, rounds)
        booted.cloud.close()
