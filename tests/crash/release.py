"""The releases of the crash matrix: an app that starts and stops in a moment, in a tree that has one of everything."""

from pathlib import Path

import places

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


def build(folder, version, extra=False, bad=False, balanced=False):
    """Makes the app folder of a version and returns it. extra: with a second unit; bad: its ValidateService fails; balanced: it
    is out of its target groups while it changes."""
    top = Path(folder) / f"api-{version}"
    files = {
        "appspec.yml": APPSPEC.format(more=(EXTRA_UNIT if extra else "") + ("traffic: target-group\n" if balanced else ""))
        + places.appspec(version),
        "units/api.service": UNIT,
        "version": f"{version}\n",
        "bin/serve": "#!/bin/sh\nexec sleep infinity\n",
        "bin/healthy": "#!/bin/sh\nexec test -e /var/lib/muster/apps/api/current/version\n",
        "hooks/stop": "#!/bin/sh\nexit 0\n",
        "hooks/before": "#!/bin/sh\necho before\n",
        "hooks/validate": f"#!/bin/sh\nexit {int(bad)}\n",
        **places.sources(version),
    }
    if extra:
        files["units/extra.service"] = UNIT
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
