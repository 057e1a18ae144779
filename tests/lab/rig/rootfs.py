"""The root filesystem of instances: a Debian 12 base, cached by its package list, and over it a layer with muster's own
package installed, cached by the package's digest. Both are only ever read by instances (overlay mounts)."""

import fcntl
import hashlib
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

from . import host
from .host import LabError

TOP = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("MUSTER_LAB_CACHE", TOP / "build" / "lab"))
SOURCES = ["agent", "artifacts", "debian", "hooks", "units"]  # of the package
DEBIAN_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")

# curl and strace are for the tests; the rest is what a small cloud image has.
PACKAGES = ["ca-certificates", "curl", "dbus", "iproute2", "procps", "strace", "systemd", "systemd-sysv", "zstd"]
# What muster needs, for as long as there is no package whose Depends can be asked.
LIBRARIES = ["libarchive13", "libcurl4", "libexpat1", "libinih1", "libjansson4", "libssl3", "libsystemd0",
             "libyaml-0-2"]
# What is kept in the cache, in folders: 260 MB each, and a few.
KEEP_BASES, KEEP_LAYERS = 3, 3
# Change it when _finish() changes.
REVISION = 2

# cloud-init's last stage, as far as user data goes: after multi-user.target, which is what makes ordering on it a
# cycle for a unit that multi-user.target wants.
_CLOUD_INIT_TARGET = """[Unit]
Description=Cloud-init target
After=multi-user.target
"""
_CLOUD_FINAL = """[Unit]
Description=User data of this instance
After=multi-user.target network-online.target
ConditionPathExists=/var/lib/cloud/user-data
ConditionPathExists=!/var/lib/cloud/done

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/var/lib/cloud/user-data
ExecStartPost=/usr/bin/touch /var/lib/cloud/done

[Install]
WantedBy=cloud-init.target
"""
_NOISE = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "e2scrub_reap.service", "fstrim.timer", "console-getty.service", "systemd-networkd.service"]


@contextmanager
def _locked(name):
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _dependencies(deb):
    """The packages that a .deb depends on, the first of each set of alternatives."""
    if deb is None:
        return LIBRARIES
    fields = host.run("dpkg-deb", "--field", deb, "Depends", "Pre-Depends").stdout
    listed = ",".join(line.split(":", 1)[1] for line in fields.splitlines() if ":" in line)
    names = (re.match(r"[a-z0-9][a-z0-9+.-]*", item.strip()) for item in listed.split(","))
    return [name.group() for name in names if name]


def _finish(root):
    """Makes the tree an image: nobody's identity in it, no timers of a desktop, user data run as cloud-init does."""
    for name in _NOISE:
        (root / "etc/systemd/system" / name).symlink_to("/dev/null")
    units = root / "etc/systemd/system"
    (units / "cloud-init.target").write_text(_CLOUD_INIT_TARGET)
    (units / "cloud-final.service").write_text(_CLOUD_FINAL)
    for wanted, by in (("cloud-final.service", "cloud-init.target"), ("cloud-init.target", "multi-user.target")):
        (units / f"{by}.wants").mkdir(exist_ok=True)
        (units / f"{by}.wants" / wanted).symlink_to(f"../{wanted}")
    (root / "etc/machine-id").write_text("")  # "uninitialized" would enable every unit at the first boot
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    (root / "etc/hostname").unlink(missing_ok=True)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "var/log/journal").mkdir(exist_ok=True)
    (root / "var/lib/cloud").mkdir(exist_ok=True)


def base(deb=None, say=print):
    """The folder of the base for a package (or for muster's libraries alone), built if it is not there yet."""
    packages = sorted({*PACKAGES, *_dependencies(deb)})
    digest = hashlib.sha256(" ".join([*packages, str(REVISION)]).encode()).hexdigest()[:12]
    folder = CACHE / f"rootfs-{digest}"
    with _locked("rootfs"):
        if folder.is_dir():
            return folder
        say(f"building the root filesystem of the instances ({len(packages)} packages, half a minute)")
        temporary = CACHE / f"rootfs-{digest}.new"
        shutil.rmtree(temporary, ignore_errors=True)
        sources = [DEBIAN_SOURCES] if DEBIAN_SOURCES.exists() else []
        made = host.run("mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}",
                        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
                        "bookworm", temporary, *sources, timeout=600, check=False)
        if made.returncode != 0:
            trouble = [line for line in made.stderr.splitlines() if line.startswith(("E:", "W:", "Err:"))]
            raise LabError("\n".join(["mmdebstrap could not make it from Debian's packages:", *trouble[-10:]]))
        _finish(temporary)
        temporary.rename(folder)
        _prune("rootfs-*", KEEP_BASES)
    return folder


def package_layer(deb, lower):
    """The folder that holds what installing the package changes in the base."""
    digest = hashlib.sha256(Path(deb).read_bytes()).hexdigest()[:12]
    folder = CACHE / f"package-{lower.name.removeprefix('rootfs-')}-{digest}"
    with _locked("package"):
        if (folder / "upper").is_dir():
            return folder / "upper"
        temporary = CACHE / f"{folder.name}.new"
        host.unmount_below(temporary)
        shutil.rmtree(temporary, ignore_errors=True)
        for name in ("upper", "work", "root"):
            (temporary / name).mkdir(parents=True)
        _install(deb, lower, temporary)
        shutil.rmtree(temporary / "work")
        temporary.rename(folder)
        _prune("package-*", KEEP_LAYERS)
    return folder / "upper"


def _install(deb, lower, temporary):
    root = temporary / "root"
    host.run("mount", "-t", "overlay", "muster-lab", "-o",
             f"lowerdir={lower},upperdir={temporary / 'upper'},workdir={temporary / 'work'}", root)
    try:
        shutil.copy(deb, root / "tmp/muster.deb")
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        host.run("chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                 "dpkg", "--install", "/tmp/muster.deb")
        policy.unlink()
        (root / "tmp/muster.deb").unlink()
    finally:
        host.run("umount", root)


def _prune(pattern, keep):
    """Keeps the newest folders of the cache, and those that instances of another run stand on."""
    mounted = Path("/proc/self/mountinfo").read_text()
    for old in sorted(CACHE.glob(pattern), key=lambda p: p.stat().st_mtime, reverse=True)[keep:]:
        if str(old) not in mounted:
            shutil.rmtree(old, ignore_errors=True)


def find_package():
    """The package to test: $MUSTER_DEB, or the newest one that `make deb` left in build/; None when there is none."""
    if "MUSTER_DEB" in os.environ:
        return Path(os.environ["MUSTER_DEB"]) if os.environ["MUSTER_DEB"] else None
    debs = [p for p in (TOP / "build").glob("muster_*.deb") if not p.name.startswith("muster-dbgsym")]
    return max(debs, key=lambda p: p.stat().st_mtime, default=None)


def is_outdated(deb):
    """Whether a source of the package has been changed since it was built."""
    sources = (path for name in SOURCES for path in (TOP / name).rglob("*") if path.is_file())
    return any(path.stat().st_mtime > deb.stat().st_mtime for path in sources)


def layers(deb=None, say=print):
    """The lower folders of an instance's overlay, topmost first."""
    for tool, package in (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap")):
        if shutil.which(tool) is None:
            raise LabError(f"{tool} is not there: run tests/setup, or install {package}")
    lower = base(deb, say)
    return [package_layer(deb, lower), lower] if deb else [lower]
