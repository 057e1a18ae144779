"""An operator's desk: the command, keys, a trust root, an app and a depot in a folder of its own, or, given a cloud, in a
bucket of it. Boots nothing."""

import base64
import json
import os
import re
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
BUILD = TOP / os.environ.get("MUSTER_BUILD", "build/gcc")  # a build with sanitizers, say

OK, FAILED, USAGE, INPUT, DENIED, NOT_FOUND, CONFLICT, UNREACHABLE = range(8)

APPSPEC = """\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: hooks/migrate
      timeout: 300
units:
  - name: api.service
    file: units/api.service
    on_deploy: reload
health:
  - type: tcp
    address: 127.0.0.1:8080
env:
  GOMAXPROCS: 4
"""


def build():
    """The programs as make builds them."""
    subprocess.run(["make", "--no-print-directory", "-s", "all", "test-programs"], cwd=TOP, check=True)


class Desk:
    """Somebody with the command at hand: keys, a trust root, a depot and an app in a folder of their own."""

    def __init__(self, folder, cloud=None):
        self.folder = folder
        self.cloud = cloud
        self.environment = {
            "PATH": os.environ["PATH"],
            "MUSTER_CONFIG": str(folder / "muster.conf"),
            "MUSTER_ROOT": str(folder / "root.json"),
            "MUSTER_DEPOT": f"file://{folder}/depot",
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/no-bus",
        }

    def command(self, *words):
        return [str(BUILD / "muster"), *map(str, words)]

    def run(self, *words, env=None, **options):
        environment = {name: value for name, value in {**self.environment, **(env or {})}.items() if value is not None}
        if self.cloud:
            return self.cloud.run(*self.command(*words), check=False, env=environment, cwd=self.folder)
        return subprocess.run(self.command(*words), cwd=self.folder, env=environment, text=True, capture_output=True,
                              timeout=60, check=False, **options)

    def ok(self, *words, **options):
        """Runs the command, which must succeed without a word on standard error; its output."""
        done = self.run(*words, **options)
        assert (done.returncode, done.stderr) == (OK, ""), (words, done)
        return done.stdout

    def json(self, *words, **options):
        return json.loads(self.ok(*words, "--json", **options))

    def fails(self, code, pattern, *words, **options):
        """Runs the command, which must end with the code and say one line that the pattern is found in."""
        done = self.run(*words, **options)
        assert done.returncode == code, (words, done)
        assert re.fullmatch(r"muster: [^\n]+\n", done.stderr), done.stderr
        assert re.search(pattern, done.stderr), done.stderr
        assert done.stdout == ""
        return done.stderr

    def keys(self):
        for role in ("root", "release", "target", "freshness"):
            self.ok("key", "generate", "--out", f"{role}.key", "--public-out", f"{role}.pub")
        return self

    def trust(self, *words):
        self.keys()
        (self.folder / "depot").mkdir()
        self.ok("root", "init", "--root-key", "root.key", "--release-key", "release.pub", "--target-key", "target.pub",
                "--out", "root.json", *words)
        return self

    def app(self, name="app", appspec=APPSPEC):
        folder = self.folder / name
        for path, text in {"appspec.yml": appspec, "hooks/migrate": "#!/bin/sh\nexit 0\n",
                           "units/api.service": "[Service]\nExecStart=/bin/true\nExecReload=/bin/true\n",
                           "bin/api": "program\n"}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "hooks/migrate").chmod(0o755)
        return folder

    def publish(self, version, *words, source="app", **options):
        return self.ok("publish", source, "--app", "api", "--version", version, "--key", "release.key", *words, **options)

    def set(self, version, *words, group="prod", **options):
        return self.ok("target", "set", "--app", "api", "--group", group, "--version", version, "--key", "target.key",
                       *words, **options)

    def depot(self, pattern="**/*"):
        """What lies in the depot, by key."""
        top = self.folder / "depot"
        return {str(path.relative_to(top)): path.read_bytes() for path in top.glob(pattern)
                if path.is_file() and not path.name.startswith(".")}

    def payload(self, key):
        return json.loads(base64.b64decode(json.loads((self.folder / "depot" / key).read_bytes())["payload"]))
