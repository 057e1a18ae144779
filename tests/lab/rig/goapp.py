"""Builds releases of the lab's Go service (../app): folders that `muster publish` takes as they are."""

import hashlib
import os
import shutil
from pathlib import Path

from . import host, rootfs
from .host import LabError

SOURCE = host.TOOL / "app"
# Debian's comes first: it is the one that the package's users have.
COMPILERS = ["/usr/bin/go", "go"]


def _compile(version, binary):
    compiler = next((c for c in COMPILERS if shutil.which(c)), None)
    if compiler is None:
        raise LabError("there is no Go compiler: run tests/setup, or install golang-go")
    binary.parent.mkdir(parents=True, exist_ok=True)
    temporary = binary.with_name(f".{binary.name}.{os.getpid()}")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath", "GOTOOLCHAIN": "local",
                   "GOCACHE": str(rootfs.CACHE / "go-cache")}
    host.run(compiler, "build", "-ldflags", f"-s -w -X main.version={version}", "-o", temporary, ".", cwd=SOURCE,
             env=environment, timeout=300)
    temporary.rename(binary)


def impatient(appspec):
    """For a release that does not become healthy however long one waits: soon enough for a test."""
    return appspec.replace("deadline: 30s", "deadline: 3s")


def program(version):
    """The program of a version."""
    source = hashlib.sha256((SOURCE / "main.go").read_bytes()).hexdigest()[:12]
    binary = rootfs.CACHE / "app" / source / version
    if not binary.exists():
        _compile(version, binary)
    return binary


def write_switches(release, switches):
    if switches:
        (release / "switches").write_text("".join(f"{k}={v}\n" for k, v in switches.items()))


def build(folder, version, appspec=None, **switches):
    """Makes the app folder of a version below `folder` and returns it. Switches are those of main.go (FAIL_HEALTH="1");
    appspec, if given, is a function from the text of appspec.yml to another."""
    release = Path(folder) / f"api-{version}"
    shutil.copytree(SOURCE, release, ignore=shutil.ignore_patterns("*.go", "go.mod"))
    (release / "bin").mkdir()
    shutil.copy(program(version), release / "bin/api")
    write_switches(release, switches)
    if appspec:
        path = release / "appspec.yml"
        path.write_text(appspec(path.read_text()))
    return release
