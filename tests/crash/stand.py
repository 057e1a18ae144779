"""The stand: a booted instance on which a deployment is interrupted at a point, again and again. Musterd runs on it from
the package and under systemd; a drop-in puts crash-tracer before it, and another before muster-unpack."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import places
import release
from balance import ARN, Balance
from launch import Launch
from rig.host import wait_for
from rig.site import Site

TOP = Path(__file__).resolve().parents[2]
STATE = "var/lib/muster"
APP = f"{STATE}/apps/api"
UNITS = "etc/systemd/system"
OF_THE_DISK = ("lost+found", "units")  # in STATE, where that is a disk of its own
UNIT_NAMES = ("api.service", "extra.service")
FOLDER = "/srv/crash"  # on the instance: the tracer, its plans and logs
TRACER = "/usr/lib/muster/crash-tracer"  # in /usr, which the unpacker's sandbox shows
CONVERGED = 60  # an app whose folder cannot be opened is tried again after half a minute

CONFIGURATION = """[agent]
depot = {depot}
group = site
instance_id = {instance}
poll_interval = 200ms
settle_time = 100ms

[app api]
"""
LAUNCH = """
[launch]
hook = muster
"""
TRAFFIC = f"""
[launch]
hook = none

[traffic]
target_groups = {ARN}
"""
# musterd's filter of system calls knows no ptrace; and systemd is not to start it again by itself.
MUSTERD_DROP_IN = f"""[Service]
ExecStart=
ExecStart={TRACER} {FOLDER}/musterd.plan /usr/sbin/musterd
NotifyAccess=all
WatchdogSec=0
Restart=no
KillMode=control-group
SystemCallFilter=
"""
UNPACK_DROP_IN = f"""[Service]
ExecStart=
ExecStart={TRACER} /crash/muster-unpack.plan /usr/lib/muster/muster-unpack
BindPaths={FOLDER}:/crash
BindReadOnlyPaths=/proc
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
AmbientCapabilities=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
SystemCallFilter=
LimitNPROC=infinity
TasksMax=infinity
"""
LOGS = {"musterd": f"{FOLDER}/musterd.log", "muster-unpack": "/crash/muster-unpack.log"}


class Stand:
    """folder: of the host, for app folders and snapshots. cloud: for the story of an instance that is launched."""

    def __init__(self, lab, folder, cloud=None):
        self.folder = Path(folder)
        self.instance = lab.instance()
        self.launch = Launch(cloud, self.instance) if cloud else None
        self.balance = Balance(cloud, self.instance) if cloud else None
        self.in_cloud = False
        self.root = self.instance.root
        self.versions = {}  # version -> its app folder
        self.target = None  # the name of the one that lies in the depot
        self._serials = {}
        self._mask_generators()
        self._before_boot()
        self.site = None

    def boot(self):
        """Until musterd is there, and stopped. Several stands can do this side by side."""
        self.instance.boot()
        self.site = Site(self.instance, self.folder)
        self._install()
        self.stop()
        self.configure()

    def _mask_generators(self):
        """Most of what a daemon-reload costs, and here they have nothing to say."""
        masks = self.path("/etc/systemd/system-generators")
        masks.mkdir(parents=True)
        for generator in self.path("/lib/systemd/system-generators").iterdir():
            (masks / generator.name).symlink_to("/dev/null")

    def _before_boot(self):
        """For stands that have more to do."""

    def path(self, name):
        """Where a file of the instance lies on the host."""
        return self.root / str(name).lstrip("/")

    def _install(self):
        self.path(FOLDER).mkdir(parents=True)
        self.path(FOLDER).chmod(0o777)
        self.instance.put(TRACER, TOP / "build/gcc/crash-tracer", mode=0o755)
        self.instance.put("/run/systemd/system/musterd.service.d/crash.conf", MUSTERD_DROP_IN)
        self.instance.put("/run/systemd/system/muster-unpack-.service.d/crash.conf", UNPACK_DROP_IN)
        self.instance.run("systemctl", "daemon-reload")

    def configure(self, more=""):
        """more: sections of an instance that has to do with AWS; its depot is in S3 then."""
        self.in_cloud = bool(more)
        depot = self.launch.depot if more else "file:///srv/depot"
        self.instance.put("/etc/muster/muster.conf", CONFIGURATION.format(depot=depot, instance=self.instance.id) + more)

    def publish(self, version, **how):
        self.versions[version] = top = release.build(self.folder, version, **how)
        subprocess.run(["cp", "-a", top, self.path(f"/srv/api-{version}")], check=True)
        self.site.muster("publish", f"/srv/api-{version}", "--app", "api", "--version", version, "--key",
                         "/srv/release.key")

    def sign_target(self, name, version):
        """Makes the next target, and keeps it under a name for use_target()."""
        self.site.set_target(version, "--env", f"TARGET={name}")
        shutil.copy(self._target, self.folder / f"{name}.json")
        self._serials[name] = len(self._serials) + 1

    @property
    def serial(self):
        return self._serials[self.target]

    def use_target(self, name):
        self.target = name
        new = self._target.with_suffix(".new")
        shutil.copy(self.folder / f"{name}.json", new)
        new.rename(self._target)
        if self.in_cloud:
            self.launch.put(self._target, self._depot)

    @property
    def _depot(self):
        return self.path("/srv/depot")

    @property
    def _reports(self):
        return self._depot / "apps/api/groups/site/instances"

    def report(self):
        """What the instance says of itself in the depot; {} when nothing."""
        if self.in_cloud:
            return self.launch.report()
        path = self._reports / f"{self.instance.id}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def upload(self):
        """Puts what lies in the depot on the instance into the one in S3."""
        for path in self._depot.rglob("*.*"):
            if path.is_file() and not path.name.startswith("."):
                self.launch.put(path, self._depot)

    def history(self):
        """Every deployment that was kept, oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.path(f"{APP}/history").glob("*.json"))]

    @property
    def _target(self):
        return self._depot / "apps/api/groups/site/target.json"

    # What is on the disk

    def save(self, name):
        """Keeps what the disk holds of the app, for restore()."""
        for folder in (STATE, UNITS, places.PLACE):
            to = self.folder / name / folder
            to.mkdir(parents=True)
            for entry in self._entries(folder):
                subprocess.run(["cp", "-a", entry, to], check=True)

    def _entries(self, folder):
        path = self.path(folder)
        return [entry for entry in path.iterdir() if entry.name not in OF_THE_DISK] if path.is_dir() else []

    def put_theirs(self):
        """What somebody else has where files are installed."""
        for name, item in places.THEIRS.items():
            if item.kind == "file":
                self.instance.put(f"/{places.PLACE}/{name}", item.text)

    def unsettled(self):
        folder = self.path(f"{APP}/files")
        return folder.is_dir() and any(path.name != "installed" for path in folder.iterdir())

    def begin(self, scenario):
        """Where the scenario begins, with musterd not yet started."""
        self.restore(scenario.before)
        wanted = LAUNCH if scenario.launching else TRAFFIC if scenario.balanced else ""
        if wanted or self.in_cloud:
            self.configure(wanted)
        if wanted:
            self.launch.begin()
            self.balance.begin()
        self.use_target(scenario.target)

    def restore(self, name):
        self.stop()
        before = self.folder / name
        for entry in self._entries(STATE):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        subprocess.run(["cp", "-a", f"{before / STATE}/.", self.path(STATE)], check=True)
        shutil.rmtree(self.path(places.PLACE), ignore_errors=True)
        subprocess.run(["cp", "-a", before / places.PLACE, self.path(places.PLACE)], check=True)
        for pattern in ("*", ".*.tmp", "*.wants/*"):
            for path in self.path(UNITS).glob(pattern):
                if path.name.removesuffix(".d") in UNIT_NAMES or path.suffix == ".tmp":
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.rmtree(self._reports, ignore_errors=True)
        subprocess.run(["cp", "-a", f"{before / UNITS}/.", self.path(UNITS)], check=True)
        units = [unit for unit in UNIT_NAMES if (before / UNITS / unit).exists()]
        start = f"systemctl start {' '.join(units)}" if units else ":"
        self.instance.sh(f"systemctl daemon-reload; {start}")

    # musterd

    def plan(self, program, call="", path="", nth=0, action=""):
        """What the tracer of a program does from its next start on; without arguments it writes the calls down."""
        self.path(f"{FOLDER}/{program}.plan").write_text(
            f"log={LOGS[program]}\ncall={call}\npath={path}\nnth={nth}\naction={action}\n")

    def plan_nothing(self):
        for program in LOGS:
            self.path(f"{FOLDER}/{program}.plan").unlink(missing_ok=True)

    def log(self, program):
        path = self.path(f"{FOLDER}/{program}.log")
        return path.read_text() if path.exists() else ""

    def clear_logs(self):
        for program in LOGS:
            self.path(f"{FOLDER}/{program}.log").unlink(missing_ok=True)

    def start(self):
        self.instance.run("systemctl", "start", "--no-block", "musterd.service")

    def restart(self):
        """Once it is back it is ready, and what it does at its start is done."""
        self.instance.run("systemctl", "restart", "musterd.service")
        self.wait(lambda: self.instance.run("muster", "status", check=False).code == 0, "musterd to answer")

    def stop(self):
        """Stops musterd and everything of the app, whatever state that is in."""
        self.instance.sh(f"systemctl stop musterd.service 'muster-*' {' '.join(UNIT_NAMES)} 2>/dev/null || true\n"
                         f"systemctl reset-failed 2>/dev/null || true")

    def ended(self):
        """Whether the musterd that was started last has ended, by its tracer."""
        return "\nend " in f"\n{self.log('musterd')}"

    def record(self):
        """The deploy record; None where there is none."""
        try:
            return json.loads(self.path(f"{APP}/record.json").read_text())
        except FileNotFoundError:
            return None

    def last_deployment(self):
        return (self.record() or {}).get("deployment")

    def deploying(self):
        return (self.last_deployment() or {}).get("outcome") == "running"

    def good_version(self):
        good = (self.record() or {}).get("good")
        return good and good["version"]

    def staged(self):
        folder = self.path(f"{APP}/staging")
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []

    def wait_stopped(self):
        """systemd has seen that musterd is gone."""
        self.wait(lambda: self.instance.run("systemctl", "show", "-P", "ActiveState", "musterd.service").text in
                  ("failed", "inactive"), "musterd to be gone")

    def wait(self, condition, what, timeout=CONVERGED):
        return wait_for(condition, timeout, what, interval=0.02)

    def units(self):
        """Units of muster's that systemd knows of, and for each unit of the app the folder that its main process runs
        in ("" where none runs)."""
        processes = f"systemctl show -P MainPID {' '.join(UNIT_NAMES)}"
        said = self.instance.sh("systemctl list-units --all --plain --no-legend 'muster-hook-*' 'muster-unpack-*'\n"
                                f'for pid in $({processes}); do echo "= $(readlink /proc/$pid/cwd)"; done').out
        lines = said.splitlines()
        known = [line.split()[0] for line in lines if not line.startswith("=")]
        return known, dict(zip(UNIT_NAMES, [line[2:] for line in lines if line.startswith("=")]))

    def tail(self, since):
        """The journal since a time of time.time(), for a person."""
        return self.instance.run("journalctl", "--no-pager", "--output=short-precise", f"--since=@{since:.3f}",
                                 check=False).out

    @staticmethod
    def now():
        return time.time()
