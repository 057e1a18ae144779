"""How releases get to instances of a fleet: by muster, used as an operator uses it."""

import json
import tempfile
from pathlib import Path

from .director import Template

_CONFIGURATION = """[agent]
depot = s3://{bucket}/depot
group = {group}
poll_interval = {poll_interval}
{agent}
[launch]
hook = {hook}
{launch}
{sections}
[app api]
required = yes
"""
# What an operator's launch template says: the package is in the image, the rest comes with the user data.
_USER_DATA = """#!/bin/sh
set -eu
cat >/etc/muster/root.json <<'END'
{root}
END
cat >/etc/muster/muster.conf.new <<'END'
{configuration}
END
mv /etc/muster/muster.conf.new /etc/muster/muster.conf
"""


class Muster:
    """command: the `muster` program to use."""

    def __init__(self, command):
        self._command = command
        self._cloud = self._bucket = self._folder = None

    def _run(self, *arguments, check=True):
        environment = {"MUSTER_DEPOT": f"s3://{self._bucket}/depot", "MUSTER_ROOT": "root.json"}
        return self._cloud.run(self._command, *arguments, cwd=self._folder, env=environment, check=check)

    def prepare(self, cloud):
        self._cloud, self._bucket = cloud, cloud.bucket()
        self._folder = Path(tempfile.mkdtemp(prefix="operator-", dir=cloud.folder))
        for role in ("root", "release", "target"):
            self._run("key", "generate", "--out", f"{role}.key", "--public-out", f"{role}.pub")
        self._run("root", "init", "--root-key", "root.key", "--release-key", "release.pub", "--target-key",
                  "target.pub", "--out", "root.json")

    def publish(self, folder, version, app="api"):
        self._run("publish", folder, "--app", app, "--version", version, "--key", "release.key")

    def set_target(self, group, version, app="api"):
        self._run("target", "set", "--app", app, "--group", group, "--version", version, "--key", "target.key")

    def thaw(self, group, begins):
        return self._run("freeze", "remove", "api", group, "--from", begins, "--key", "target.key")

    def rollout(self, verb, group, *options, check=True):
        """A verb of `muster rollout`; start and finish are signed."""
        key = ["--key", "target.key"] if verb in ("start", "finish") else []
        return self._run("rollout", verb, "api", group, *key, *options, check=check)

    def start_rollout(self, group, version, stages):
        self.rollout("start", group, "--version", version, "--stages", stages)

    def rollout_state(self, group):
        return json.loads(self.rollout("status", group, "--json").stdout)["state"]

    def finish_rollout(self, group):
        self.rollout("finish", group)

    def freeze(self, group, begin, end, reason):
        return self._run("freeze", "add", "api", group, "--from", begin, "--until", end, "--reason", reason, "--key",
                         "target.key")

    def why(self, group, instance):
        return self._run("why", instance, "--app", "api", "--group", group, check=False).stdout

    def failures(self, group, instance=None):
        """What instances that failed have left in the depot, the newest first."""
        options = ["--instance", instance] if instance else []
        told = self._run("show", "failure", "--app", "api", "--group", group, "--json", *options, check=False)
        return json.loads(told.stdout)["failures"] if told.returncode == 0 else []

    def pin(self, group, version, reason, *options, check=True):
        return self._run("pin", "api", group, version, "--reason", reason, "--key", "target.key", *options, check=check)

    def unpin(self, group):
        return self._run("unpin", "api", group, "--key", "target.key")

    def rollback(self, group, *options, check=True):
        return self._run("rollback", "api", group, "--key", "target.key", *options, check=check)

    @property
    def bucket(self):
        return self._bucket

    def _configuration(self, group, launch="", poll_interval="2s", agent="", sections="", hook="muster"):
        return _CONFIGURATION.format(bucket=self._bucket, group=group, launch=launch, poll_interval=poll_interval,
                                     agent=agent, sections=sections, hook=hook)

    def template(self, group, **more):
        """launch, agent: further lines of these sections; sections: further ones; hook: which one is completed."""
        root = (self._folder / "root.json").read_text()
        return Template(user_data=_USER_DATA.format(root=root, configuration=self._configuration(group, **more)))

    def install(self, instance, group, **more):
        """Configures muster on an instance of no group."""
        instance.put("/etc/muster/root.json", self._folder / "root.json")
        instance.put("/etc/muster/muster.conf", self._configuration(group, **more).replace("hook = muster\n", ""))

    @staticmethod
    def _app(instance):
        """What muster tells an operator on the instance about api; {} while it tells nothing."""
        answer = instance.run("muster", "status", "--json", check=False)
        if answer.code != 0:
            return {}
        return next((a for a in json.loads(answer.out)["apps"] if a["app"] == "api"), {})

    @classmethod
    def is_good(cls, instance, version):
        """Whether a version is committed: a target that comes earlier takes the instance back first."""
        app = cls._app(instance)
        return app.get("state") == "good" and app.get("version") == version

    @classmethod
    def reason(cls, instance, version):
        """Why a version was undone; None while that is not told."""
        failure = cls._app(instance).get("last_failure") or {}
        return failure.get("reason") if failure.get("version") == version else None
