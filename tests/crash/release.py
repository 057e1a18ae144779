"""The releases of the crash matrix: an app that starts and stops in a moment, in a tree that has one of everything."""

from pathlib import Path

APPSPEC = """version: 0.0
os: linux
hooks:
  ApplicationStop:
    - location: hooks/stop
  BeforeInstall:
    - location: hooks/before
  ValidateService:
    - location: hooks/validate
units:
  - name: api.service
    file: units/api.service
{more}health:
  - type: command
    command: [bin/healthy]
    interval: 100ms
    deadline: 5s
"""
EXTRA_UNIT = "  - name: extra.service\n    file: units/extra.service\n"

UNIT = """[Unit]
Description=An app of the crash matrix
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/var/lib/muster/apps/api/current/bin/serve
WorkingDirectory=/var/lib/muster/apps/api/current
TimeoutStopSec=2

[Install]
WantedBy=multi-user.target
"""
FOLDERS, FILES = 3, 2  # below share/

# What some versions install in PLACE beside what is somebody else's: folders come and go, a file becomes a folder.
PLACE = "srv/files"
INSTALL = f"""files:
  - source: installed
    destination: /{PLACE}
file_exists_behavior: OVERWRITE
permissions:
  - object: /{PLACE}
    pattern: kept
    type: [directory]
    mode: {{mode}}
"""
THEIRS = {"theirs": "theirs\n", "gone/theirs": "theirs\n"}
INSTALLED = {
    "5.0.0": {"both": "4\n", "kept/a": "4\n", "gone/b": "4\n", "kind": "4\n"},
    "6.0.0": {"both": "5\n", "kept/a": "5\n", "new/c": "5\n", "new/deep/d": "5\n", "kind/e": "5\n"},
    "7.0.0": {"both": "6\n", "kept/b": "6\n", "new/c": "6\n"},
}


def installed(version):
    """What lies in PLACE while a version serves: path -> content."""
    return {**THEIRS, **INSTALLED.get(version, {})} if version in INSTALLED else {}


def build(folder, version, extra=False, bad=False, balanced=False):
    """Makes the app folder of a version and returns it. extra: with a second unit; bad: its ValidateService fails; balanced: it
    is out of its target groups while it changes."""
    top = Path(folder) / f"api-{version}"
    files = {
        "appspec.yml": APPSPEC.format(more=(EXTRA_UNIT if extra else "") + ("traffic: target-group\n" if balanced else "")),
        "units/api.service": UNIT,
        "version": f"{version}\n",
        "bin/serve": "#!/bin/sh\nexec sleep infinity\n",
        "bin/healthy": "#!/bin/sh\nexec test -e /var/lib/muster/apps/api/current/version\n",
        "hooks/stop": "#!/bin/sh\nexit 0\n",
        "hooks/before": "#!/bin/sh\necho before\n",
        "hooks/validate": f"#!/bin/sh\nexit {int(bad)}\n",
    }
    if extra:
        files["units/extra.service"] = UNIT
    for name, text in INSTALLED.get(version, {}).items():
        files[f"installed/{name}"] = text
    if version in INSTALLED:
        files["appspec.yml"] += INSTALL.format(mode=f"075{version[0]}")
    for number in range(FOLDERS):
        for name in range(FILES):
            files[f"share/{number}/{name}"] = f"{version} {number} {name}\n" * 100
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name.startswith(("bin/", "hooks/")) else 0o644)
    (top / "share/link").symlink_to("../bin/serve")
    return top
