"""An instance: a container with systemd as PID 1, its own network namespace and its own overlay over the image."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import host
from .host import LabError
from .network import CLOUD_ADDRESS

STATE_FOLDER = "var/lib/muster"
UNIT_FOLDER = "lib/systemd/system"
WARNING = 4  # syslog's
REPORT_ENTRIES = 200
# On a hybrid host nspawn gives the memory and pids hierarchies to the instance to read only, and MemoryMax= and TasksMax=
# then do nothing, without a word. They are its own part of the hierarchies, so it may write there.
_INIT = ["/bin/sh", "-c", "for name in memory pids; do [ ! -d /sys/fs/cgroup/$name ] || "
         "mount -o remount,bind,rw /sys/fs/cgroup/$name; done; exec /lib/systemd/systemd"]
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                "LANG": "C.UTF-8", "USER": "root"}


NOT_ON = 255  # as ssh says that it could not connect


@dataclass
class Result:
    """What a command on an instance did."""
    code: int
    out: str
    err: str

    @property
    def text(self):
        return self.out.strip()


class Instance:
    """Made by Lab.instance(). It can be booted again after power_off() or pull_plug(): its disk and address stay."""

    def __init__(self, run, network, layers, instance_id):
        self.id = instance_id
        self.folder = run.folder / instance_id
        self.root = self.folder / "root"
        self.state_disk = None
        self._run = run
        self._network = network
        self._layers = layers
        self._process = None
        self.leader = None
        self.namespace, self.address = network.attach()
        self._mount()
        self._identify()

    # Its disk

    def _mount(self):
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        options = f"lowerdir={':'.join(str(p) for p in self._layers)},upperdir={self.folder / 'upper'}," \
                  f"workdir={self.folder / 'work'}"
        host.run("mount", "-t", "overlay", "muster-lab", "-o", options, self.root)

    def _identify(self):
        name = f"ip-{self.address.replace('.', '-')}"
        self.put("/etc/hostname", f"{name}\n")
        self.put("/etc/hosts", f"127.0.0.1 localhost\n{self.address} {name}\n")
        self.put("/etc/resolv.conf", f"nameserver {CLOUD_ADDRESS}\n")

    def use_state_disk(self, size="256M", *mkfs):
        """Puts /var/lib/muster on an ext4 file system of its own: for power cuts that lose the page cache, and for a
        disk that is full. Before the first boot. MKFS are options of mkfs.ext4."""
        image = self.folder / "state.img"
        host.run("truncate", "--size", size, image)
        host.run("mkfs.ext4", "-q", "-F", "-m", "0", *mkfs, image)
        self.state_disk = host.run("losetup", "--find", "--show", image).stdout.strip()
        folder = self.root / STATE_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._mount_state_disk()

    def _mount_state_disk(self):
        host.run("mount", self.state_disk, self.root / STATE_FOLDER)

    # Power

    def boot(self, wait=True):
        """Switches it on; with wait, until systemd has started everything."""
        if self._process is not None:
            raise LabError(f"{self.id} is on already")
        command = ["systemd-nspawn", "--quiet", "-D", self.root, "--register=no", "--keep-unit",
                   f"--network-namespace-path=/run/netns/{self.namespace}", "-M", self.id,
                   "--capability=CAP_NET_ADMIN", "--rlimit=NOFILE=1024:524288",
                   "--resolv-conf=off", "--timezone=off", "--link-journal=no", *_INIT]
        self._process = self._run.spawn(command, self.id, log=self.folder / "console.log")
        self.leader = host.wait_for(self._find_leader, 10, f"{self.id} to start")
        if wait:
            self.wait_running()
        return self

    def _find_leader(self):
        """The container's PID 1: the child of nspawn that is process 1 of a PID namespace."""
        if self._process.poll() is not None:
            console = (self.folder / "console.log").read_text(errors="replace")
            raise LabError(f"systemd-nspawn for {self.id} ended with status {self._process.returncode}\n{console}")
        try:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            for pid in children:
                status = Path(f"/proc/{pid}/status").read_text()
                numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                if len(numbers) == 2 and numbers[1] == "1":
                    return int(pid)
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            pass
        return None

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    def system_state(self):
        return self.run("systemctl", "is-system-running", check=False).text

    def wait_running(self, timeout=30, degraded=True):
        """Waits until the boot is over; a unit that failed leaves `degraded`, which is an error unless allowed."""
        wanted = ("running", "degraded") if degraded else ("running",)
        host.wait_for(lambda: self.system_state() in wanted, timeout, f"{self.id} to be {' or '.join(wanted)}")
        return self

    def power_off(self, timeout=60):
        """An orderly shutdown, as EC2 asks for one. Asked for again and again: an instance that has only just been switched
        on does not hear it yet."""
        deadline = time.monotonic() + timeout
        while self.running and time.monotonic() < deadline:
            os.kill(self.leader, signal.SIGRTMIN + 4)
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                pass
        self._gone(1)

    def reboot(self):
        """An orderly shutdown, and the next boot."""
        self.power_off()
        return self.boot()

    def pull_plug(self):
        """The power fails. With a state disk, what was never synced is lost too."""
        if self.running:
            self._signal_all(signal.SIGSTOP)
            if self.state_disk:
                self._keep_state_disk()
            host.cgroup_kill(f"{self._run.cgroup}/{self.id}")
        self._gone(20)
        if self.state_disk:
            self._restore_state_disk()

    def hibernate(self):
        """Nothing of it runs, what it has in memory stays, and the time goes on."""
        self.cut()
        self._signal_all(signal.SIGSTOP)

    def wake(self):
        self._signal_all(signal.SIGCONT)
        self.join()

    def _signal_all(self, number):
        for pid in host.cgroup_pids(f"{self._run.cgroup}/{self.id}"):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def _gone(self, timeout):
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.id} did not switch off within {timeout} s") from error
        finally:
            host.cgroup_kill(f"{self._run.cgroup}/{self.id}")
            self._process = None
            self.leader = None

    def _keep_state_disk(self):
        """Copies what the device holds at this moment: not what the page cache of the file system above still keeps.
        A write of the kernel's own in the middle would make a copy of two moments, so that one is made again."""
        statistics = Path("/sys/block", Path(self.state_disk).name, "stat")
        for _ in range(20):
            before = statistics.read_text().split()
            host.run("cp", "--sparse=always", self.folder / "state.img", self.folder / "state.cut")
            after = statistics.read_text().split()
            # Fields 5 and 9 of the kernel's block statistics: writes completed, requests in flight.
            if before[4] == after[4] and before[8] == after[8] == "0":
                return
        raise LabError(f"the state disk of {self.id} does not come to rest")

    def _restore_state_disk(self):
        host.run("umount", self.root / STATE_FOLDER)
        host.run("losetup", "--detach", self.state_disk)
        (self.folder / "state.cut").rename(self.folder / "state.img")
        self.state_disk = host.run("losetup", "--find", "--show", self.folder / "state.img").stdout.strip()
        self._mount_state_disk()

    def remove(self):
        """Switches it off at once and forgets its disk."""
        host.cgroup_kill(f"{self._run.cgroup}/{self.id}")
        if self._process is not None:
            self._process.wait()
            self._process = None
        self._network.detach(self.namespace)
        host.unmount_below(self.folder)
        for device in host.loops_below(self.folder):
            host.run("losetup", "--detach", device, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    # On it

    def enter(self, argv, env=None):
        """The command line of this machine that runs argv on the instance."""
        if not self.running:
            raise LabError(f"{self.id} is not on")
        settings = [f"{key}={value}" for key, value in {**_ENVIRONMENT, **(env or {})}.items()]
        return ["nsenter", "-t", str(self.leader), "-a", "--wdns=/", "env", "-i", *settings, *map(str, argv)]

    def run(self, *argv, check=True, timeout=60, input=None, env=None):
        """Runs a command on the instance as root. With check, a failure is a LabError that shows its output; without, that the
        instance is not on is a failure of the command."""
        if not check and not self.running:
            return Result(NOT_ON, "", f"{self.id} is not on\n")
        process = self.start(*argv, env=env, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.PIPE if input else subprocess.DEVNULL)
        name = f"{self.id}: {shlex.join(map(str, argv))}"
        try:
            out, err = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise LabError(f"{name}: not done after {timeout} s\n{out}{err}") from None
        if check and process.returncode != 0:
            raise LabError(f"{name}: exit status {process.returncode}\n{out}{err}")
        return Result(process.returncode, out, err)

    def sh(self, script, **options):
        """Runs a shell script on the instance, which ends at its first failing command."""
        return self.run("sh", "-ec", script, **options)

    def start(self, *argv, env=None, **options):
        """Starts a command on the instance and returns the process (subprocess.Popen), which leads a process group of
        its own: os.killpg() ends all of it."""
        return subprocess.Popen(self.enter(argv, env), text=True, start_new_session=True, **options)

    def put(self, path, content, mode=0o644):
        """Writes a file on the instance, running or not; content is text, bytes or the path of a file of the host."""
        path = os.fspath(path)
        data = content.read_bytes() if isinstance(content, Path) else content
        data = data.encode() if isinstance(data, str) else data
        if self.running:
            script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
            command = self.enter(["sh", "-c", script, "sh", path, f"{mode:o}"], None)
            subprocess.run(command, input=data, check=True, timeout=60)
            return
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(data)
        target.chmod(mode)

    def get(self, path):
        """The bytes of a file on the instance."""
        path = os.fspath(path)
        if self.running:
            return subprocess.run(self.enter(["cat", path], None), check=True, capture_output=True,
                                  timeout=60).stdout
        return (self.root / path.lstrip("/")).read_bytes()

    def user_data(self, script):
        """A script that the first boot runs after multi-user.target, as cloud-init does."""
        self.put("/var/lib/cloud/user-data", script, mode=0o755)

    def journal(self, unit=None, **fields):
        """The journal as a list of entries (dicts), oldest first, also of an instance that is off."""
        matches = [f"{key}={value}" for key, value in fields.items()]
        if unit:
            matches.append(f"_SYSTEMD_UNIT={unit}")
        output = host.run("journalctl", f"--directory={self.root / 'var/log/journal'}", "--output=json", "--all",
                          "--quiet", *matches).stdout
        return [json.loads(line) for line in output.splitlines()]

    def messages(self, unit=None, **fields):
        """The text of the journal's entries."""
        return [str(entry.get("MESSAGE", "")) for entry in self.journal(unit, **fields)]

    def wait_message(self, text, timeout=30, unit=None):
        """Waits until the journal has an entry that contains text, and returns it."""
        def found():
            return next((e for e in self.journal(unit) if text in str(e.get("MESSAGE", ""))), None)
        return host.wait_for(found, timeout, f"“{text}” in the journal of {self.id}", interval=0.2)

    # Its network

    def cut(self):
        """Takes its network away."""
        self._network.link(self.namespace, up=False)

    def join(self):
        """Gives its network back."""
        self._network.link(self.namespace, up=True)

    def shape(self, rate):
        """Limits its bandwidth ("20mbit"); None lifts the limit."""
        self._network.shape(self.namespace, rate)

    def _is_noise(self, entry):
        """What systemd says of units that belong to the image: every boot and every shutdown says it."""
        unit = entry.get("UNIT", "")
        ours = unit.endswith((".service", ".socket", ".timer")) and not (self._layers[-1] / UNIT_FOLDER / unit).exists()
        return entry.get("_PID") == "1" and int(entry.get("PRIORITY", 6)) > WARNING and not ours

    def report(self):
        """All that a person needs who asks why a test failed: console, failed units, the journal's end."""
        console = self.folder / "console.log"
        parts = [f"==== {self.id} {self.address} {'on' if self.running else 'off'}\n"]
        if self.running:
            parts.append(self.run("systemctl", "--no-pager", "--failed", check=False).out)
        elif console.exists():
            parts.append("".join(console.read_text(errors="replace").splitlines(True)[-5:]))
        for entry in [e for e in self.journal() if not self._is_noise(e)][-REPORT_ENTRIES:]:
            at = time.strftime("%H:%M:%S", time.gmtime(int(entry["__REALTIME_TIMESTAMP"]) / 1e6))
            who = entry.get("SYSLOG_IDENTIFIER", entry.get("_COMM", "?"))
            parts.append(f"{at} {who}: {entry.get('MESSAGE', '')}\n")
        return "".join(parts)
