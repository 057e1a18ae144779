"""The sandbox of muster-unpack (agent/unpack_unit.h): each of its limits, by trying from within.

What is tried inside is also tried by root outside, so that a probe that proves nothing is found out."""

import io
import lzma
import re
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
DRIVER, PROBE = "/usr/local/bin/sandbox-driver", "/usr/local/bin/sandbox-probe"
STATE = "/var/lib/muster/apps/probe"
STAGING = f"{STATE}/staging/5ta91n9"

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK = 1, 2, 10, 16, 17, 40


@pytest.fixture(scope="module")
def sandbox(lab):
    """An instance with the probe, secrets of root to look for, and a staging folder, which no musterd tidies."""
    subprocess.run(["make", "--no-print-directory", "-s", "test-programs"], cwd=TOP, check=True)
    instance = lab.instance()
    instance.boot()
    for program in (DRIVER, PROBE):
        instance.put(program, TOP / "build/gcc" / Path(program).name, mode=0o755)
    instance.sh(f"""
        systemctl stop musterd
        mkdir -p {STATE}/releases /etc/muster
        mkdir -m 700 {STATE}/staging {STAGING} {STATE}/staging/other
        chown muster-unpack: {STAGING} {STATE}/staging/other
        echo secret >{STATE}/record.json
        echo secret >/etc/muster/root.json
        echo secret >/root/key
        echo secret >/home/key
        echo secret >/tmp/file
        chmod 666 /tmp/file {STATE}/record.json""")
    yield instance
    lab.remove(instance)


def parse(output):
    """{"probe argument": result}"""
    return dict(re.fullmatch(r"(\S+ .*?) (\S+)", line).groups() for line in output.splitlines() if " " in line)


def words(probes):
    return [word for probe in probes for word in probe.split(" ", 1)]


def inside(instance, *probes, check=True):
    done = instance.run(DRIVER, STAGING, PROBE, *words(probes), check=False)
    assert not check or done.code == 0, done
    return done


def outside(instance, *probes):
    """By root, in the same folder."""
    done = instance.run("sh", "-c", f'cd {STAGING}; exec "$@"', "sh", PROBE, *words(probes), check=False)
    return parse(done.out)


READABLE_BY_ROOT = ["/etc/shadow", "/etc/passwd", "/etc/hostname", "/etc/muster/root.json", f"{STATE}/record.json",
                    "/root/key", "/home/key", "/tmp/file", "/proc/1/environ", "/proc/self/status", "/proc/cpuinfo",
                    "/sys/kernel/uevent_seqnum", "/dev/null", "/dev/urandom", "/run/systemd/private",
                    "/run/systemd/notify"]
LISTABLE_BY_ROOT = ["/var", "/var/lib", STATE, f"{STATE}/staging", f"{STATE}/staging/other", "/home", "/root", "/etc/ssl",
                    "/etc/muster", "/proc", "/sys", "/dev", "/run/systemd/system", "/tmp", "/boot", "/srv"]
WRITABLE_BY_ROOT = ["/x", "/etc/x", "/var/tmp/x", "/tmp/x", "/tmp/file", "/run/x", "/dev/shm/x", "/usr/x",
                    "/usr/lib/muster/muster-unpack", "/usr/local/bin/x", f"{STATE}/record.json", f"{STATE}/releases/x",
                    f"{STATE}/staging/other/x", "../x", "/lib/x"]


def test_files(sandbox):
    """It sees nothing but the system's programs and its folder, and writes only there."""
    probes = [*(f"read {p}" for p in READABLE_BY_ROOT), *(f"list {p}" for p in LISTABLE_BY_ROOT),
              *(f"write {p}" for p in WRITABLE_BY_ROOT)]
    got = parse(inside(sandbox, *probes).out)
    assert set(got) == set(probes)
    assert {probe: r for probe, r in got.items() if r == "ok"} == {}
    assert {r for r in got.values()} <= {"ENOENT", "EROFS", "EACCES"}, got
    harmless = [p for p in probes if not p.startswith("write") and "/run/systemd/" not in p]
    assert {p: r for p, r in outside(sandbox, *harmless).items() if r != "ok"} == {}


def test_its_folder(sandbox):
    got = parse(inside(sandbox, "write file", "read file", "list .", "mode 644", "list /usr/lib", "list /").out)
    assert set(got.values()) == {"ok"}
    stat = sandbox.run("stat", "-c", "%U %a", f"{STAGING}/file", f"{STAGING}/probe-mode").text
    assert stat == "muster-unpack 600\nmuster-unpack 644"


def test_network(sandbox):
    """No socket of any family: not to the network, not to IMDS, not to the bus, not to the kernel."""
    sockets = [f"socket {family}" for family in (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK)]
    others = ["connect 169.254.169.254", "connect 127.0.0.1", "bus /run/dbus/system_bus_socket",
              "bus /run/systemd/private", "bus /run/systemd/notify"]
    got = parse(inside(sandbox, *sockets, *others).out)
    assert len(got) == len(sockets + others)
    assert set(got.values()) <= {"ENOSYS", "EAFNOSUPPORT"}, got
    assert outside(sandbox, "socket 1", "socket 2", "bus /run/dbus/system_bus_socket") == {
        "socket 1": "ok", "socket 2": "ok", "bus /run/dbus/system_bus_socket": "ok"}


def test_processes_of_root(sandbox):
    victim = sandbox.sh("systemd-run -q --unit=victim sleep 1000; systemctl show --value -p MainPID victim").text
    own = sandbox.sh("systemd-run -q --unit=sibling -p User=muster-unpack sleep 1000;"
                     "systemctl show --value -p MainPID sibling").text
    got = parse(inside(sandbox, f"kill {victim}", f"kill {own}", "kill 1", "kill -1").out)
    assert set(got.values()) == {"ENOSYS"}
    for unit in ("victim", "sibling"):
        assert sandbox.run("systemctl", "is-active", unit).text == "active"
    assert outside(sandbox, f"kill {victim}")[f"kill {victim}"] == "ok"
    sandbox.sh("systemctl stop sibling")


def test_starting_a_unit(sandbox):
    """systemctl is there and may be executed; what it wants is not."""
    sandbox.put("/etc/systemd/system/evil.service", "[Service]\nExecStart=/usr/bin/touch /run/evil\n")
    sandbox.sh("systemctl daemon-reload")
    for program in (["/usr/bin/systemctl", "start", "evil.service"], ["/usr/bin/busctl", "list"],
                    ["/usr/bin/systemd-run", "/usr/bin/touch", "/run/evil"]):
        done = sandbox.run(DRIVER, STAGING, *program, check=False)
        assert done.code == 1, done
    assert sandbox.run("test", "-e", "/run/evil", check=False).code == 1
    sandbox.sh("systemctl start evil.service; sleep 0.2; test -e /run/evil")


# x86-64's and arm64's numbers differ, the names do not.
CALLS = ["acct", "add_key", "bpf", "chmod", "chown", "chroot", "clock_settime", "delete_module", "fchmodat", "fchown", "fchownat",
         "finit_module", "fsetxattr", "fsmount", "fsopen", "init_module", "io_setup", "io_uring_setup", "ioctl", "kexec_load",
         "keyctl", "kill", "lsetxattr", "memfd_create", "mknodat", "mount", "mount_setattr", "move_mount",
         "name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open", "personality", "pidfd_open",
         "pidfd_send_signal", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot",
         "renameat2", "rt_sigqueueinfo", "seccomp", "setdomainname", "setfsuid", "setgid", "setgroups", "sethostname", "setns",
         "setpriority", "setresuid", "setsid", "settimeofday", "setuid", "socketpair", "swapon", "syslog", "tgkill",
         "umount2", "unlinkat", "unshare", "userfaultfd", "vhangup"]


def numbers():
    source = "#include <sys/syscall.h>\n" + "".join(f"#ifdef SYS_{c}\n{c}=SYS_{c}\n#endif\n" for c in CALLS)
    out = subprocess.run(["gcc", "-E", "-P", "-x", "c", "-"], input=source, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^(\w+)=(\d+)$", out, re.M))


def test_system_calls(sandbox):
    """The kernel's less used doors are not there at all."""
    known = numbers()
    assert len(known) >= len(CALLS) - 2
    got = parse(inside(sandbox, *(f"call {n}" for n in known.values())).out)
    assert {name: got.get(f"call {n}") for name, n in known.items() if got.get(f"call {n}") != "ENOSYS"} == {}
    harmless = [f"call {known[c]}" for c in ("ioctl", "socketpair", "unlinkat", "fchown", "ptrace", "setpriority")]
    assert "ENOSYS" not in outside(sandbox, *harmless).values()


def test_privilege(sandbox):
    got = parse(inside(sandbox, "mode 4755", "mode 2755", "executable-memory -").out)
    assert got == {"mode 4755": "EPERM", "mode 2755": "EPERM", "executable-memory -": "EPERM"}
    assert outside(sandbox, "mode 4755", "executable-memory -") == {"mode 4755": "ok", "executable-memory -": "ok"}
    sandbox.sh(f"rm {STAGING}/probe-mode")


def test_execution_of_what_it_wrote(sandbox):
    assert parse(inside(sandbox, "execute-own -").out) == {"execute-own -": "EACCES"}
    assert outside(sandbox, "execute-own -") == {}
    sandbox.sh(f"rm {STAGING}/probe-program")


def test_private_memory(sandbox):
    lines = inside(sandbox, "memory private").out.splitlines()
    assert lines[-1] == "memory private ENOMEM"
    assert 200 <= int(lines[-2]) <= 256


def test_shared_memory(sandbox):
    """Its address space ends it, or MemoryMax where a cgroup counts."""
    done = inside(sandbox, "memory shared", check=False)
    lines = done.out.splitlines()
    if lines[-1] == "memory shared ENOMEM":
        lines.pop()
    else:
        assert done.code == 1 and ("memory" in done.err or "KILL" in done.err), done
    assert 400 <= int(lines[-1]) <= 512


def test_processes(sandbox):
    """Its user's count ends it, or TasksMax where a cgroup counts; and they all end with the first."""
    lines = inside(sandbox, "processes -").out.splitlines()
    assert lines[-1] == "processes - EAGAIN"
    assert int(lines[-2]) in (3, 31)
    assert sandbox.run("pgrep", "-c", "-u", "muster-unpack", check=False).text == "0"


def test_open_files(sandbox):
    lines = inside(sandbox, "files -").out.splitlines()
    assert lines[-1] == "files - EMFILE"
    assert 240 <= int(lines[-2]) <= 256


def test_time_and_rest(sandbox):
    """What systemd itself says of the unit."""
    sandbox.sh(f"{DRIVER} {STAGING} {PROBE} list . </dev/null >/dev/null 2>&1", env={"KEEP_UNIT": "1"})
    unit = f"muster-unpack-probe-{Path(STAGING).name}.service"
    shown = dict(line.split("=", 1) for line in sandbox.run("systemctl", "show", unit).out.splitlines() if "=" in line)
    wanted = {"User": "muster-unpack", "NoNewPrivileges": "yes", "PrivateNetwork": "yes", "CapabilityBoundingSet": "",
              "AmbientCapabilities": "", "RestrictNamespaces": "yes", "MemorySwapMax": "0", "LimitCORE": "0",
              "MemoryMax": str(512 << 20), "TasksMax": "4"}
    assert {key: shown.get(key, "") for key in wanted} == wanted
    assert shown["TimeoutStartUSec"] == "1h" or shown["RuntimeMaxUSec"] == "1h", shown
    assert "probe" not in shown.get("Environment", "")
    sandbox.sh(f"systemctl stop {unit}")


def limits(archive_format, size, entries, unpacked):
    fields = struct.pack("<II", 1, 1) + archive_format.encode().ljust(16, b"\0")
    return (b"MUSTERUP" + fields + struct.pack("<QQQQII", size, entries, unpacked, 96 << 20, 1024, 64)).ljust(128, b"\0")


@pytest.mark.parametrize("how", ["pipe", "file", "xz"])
def test_unpacking(sandbox, how):
    """And what it is for, it can do there, also with a compression that takes much memory."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for i in range(200):
            info = tarfile.TarInfo(f"folder{i % 7}/file{i}")
            info.size = 1000
            archive.addfile(info, io.BytesIO(bytes(1000)))
    content = data.getvalue()
    if how == "xz":
        content = lzma.compress(content, preset=9)
    sandbox.put("/tmp/input", limits("tar.xz" if how == "xz" else "tar", len(content), 207, 200000) + content)
    sandbox.sh(f"rm -rf {STAGING}/*")
    feed = "exec </tmp/input;" if how == "file" else "cat /tmp/input |"
    done = sandbox.sh(f"{feed} {DRIVER} {STAGING} /usr/lib/muster/muster-unpack")
    assert done.text.splitlines()[-1] == "done 207 200000"
    assert sandbox.sh(f"find {STAGING} -mindepth 1 | wc -l; du -sb --apparent-size {STAGING}/folder0/file0").text.split()[:2] \
        == ["207", "1000"]
