"""Many instances around one depot in a folder of this machine, each booted, with a systemd and a musterd of its own: the register, its
locks and the releases are real. The witnesses are the `current` of each, looked at all the while, and what the release's own hooks
write down when a change begins and ends: never do more run a candidate than the stage that is open allows, and never do more change
at once than the target allows."""

import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from rig import host
from rig.host import wait_for

PARALLEL = 4
PATIENCE = 300
REGISTER = "depot/apps/api/groups/prod/rollouts/{}.json"
CONFIGURATION = """[agent]
depot = file:///srv/depot
group = prod
instance_id = {name}
poll_interval = 1s
report_interval = 5s
settle_time = 100ms
[app api]
"""
APPSPEC = """version: 0.0
os: linux
hooks:
  BeforeInstall:
    - location: begin
      timeout: 60
  ValidateService:
    - location: end
      timeout: 60
"""
# One line is one write, so that those of many do not mix.
BEGIN = 'echo "+ $DEPLOYMENT_ID" >>/srv/log-{version}\nsleep 0.5\n'
END = 'echo "- $DEPLOYMENT_ID" >>/srv/log-{version}\n'
FAILS = "[ ! -e /srv/bad ] || exit 1\n"


class Many:
    """N instances that share /srv, of which none runs anything yet."""

    def __init__(self, new_instance, n, folder):
        self._folder = folder
        (folder / "depot").mkdir()
        self._instances = {f"a-{i:02}": new_instance() for i in range(n)}
        self.names = list(self._instances)
        for name, instance in self._instances.items():
            host.run("mount", "--bind", folder, instance.root / "srv")
            instance.put("/etc/muster/muster.conf", CONFIGURATION.format(name=name))
        self._first = self._instances[self.names[0]].boot()
        for role in ("root", "release", "target"):
            self.muster("key", "generate", "--out", f"/srv/{role}.key")
        self.muster("root", "init", "--root-key", "/srv/root.key", "--release-key", "/srv/release.key", "--target-key",
                    "/srv/target.key", "--out", "/srv/root.json")
        for instance in self._instances.values():
            instance.put("/etc/muster/root.json", (folder / "root.json").read_text())

    def muster(self, *words):
        return self._first.run("muster", *words, env={"MUSTER_DEPOT": "file:///srv/depot", "MUSTER_ROOT": "/srv/root.json"})

    def signed(self, *words):
        self.muster(*words, "--key", "/srv/target.key")

    def publish(self, version, fails=""):
        app = self._folder / f"app-{version}"
        app.mkdir()
        for name, text in {"appspec.yml": APPSPEC, "begin": BEGIN, "end": fails + END}.items():
            (app / name).write_text(text if name == "appspec.yml" else "#!/bin/sh\nset -e\n" + text.format(version=version))
            (app / name).chmod(0o755)
        self.muster("publish", f"/srv/app-{version}", "--app", "api", "--version", version, "--key", "/srv/release.key")

    def boot(self):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: self._instances[name].boot(wait=False), self.names[1:]))

    def kill(self, name):
        self._instances[name].run("systemctl", "kill", "--kill-who=main", "-s", "KILL", "musterd", check=False)

    def bad(self):
        (self._folder / "bad").touch()

    def running(self, version):
        """Who has switched to it."""
        found = []
        for name in self.names:
            try:
                link = os.readlink(self._instances[name].root / "var/lib/muster/apps/api/current")
            except OSError:
                continue
            found += [name] * os.path.basename(link).startswith(f"{version}-")
        return found

    def register(self, rollout):
        try:
            return json.loads((self._folder / REGISTER.format(rollout)).read_text())
        except OSError:
            return None

    def wait_state(self, rollout, state):
        return wait_for(lambda: (r := self.register(rollout)) and r["state"] == state and r, PATIENCE, f"{rollout} to be {state}", 0.2)

    def wait_all(self, version):
        wait_for(lambda: len(self.running(version)) == len(self.names), PATIENCE, f"all to run {version}", 0.2)

    def begun(self, version):
        """How many have begun to change, whether or not somebody looked just then."""
        return sum(line.startswith("+") for line in (self._folder / f"log-{version}").read_text().splitlines())

    def most_changing(self, version):
        """How many changed at once, by what their hooks wrote down; one that was broken off is not there any more."""
        most, changing = 0, set()
        for line in (self._folder / f"log-{version}").read_text().splitlines():
            what, deployment = line.split()
            (changing.add if what == "+" else changing.discard)(deployment)
            most = max(most, len(changing))
        return most


class Witness:
    def __init__(self, many, rollout, version, allowed):
        self._many, self._rollout, self._version, self._allowed = many, rollout, version, allowed
        self.most, self.broken = 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        while not self._stop.wait(0.05):
            running = self._many.running(self._version)
            register = self._many.register(self._rollout)  # read afterwards: stages only grow
            self.most = max(self.most, len(running))
            if len(running) > (self._allowed[register["stage"]] if register else 0):
                self.broken.append((running, register))

    def end(self):
        self._stop.set()
        self._thread.join()
        assert self.broken == []
        return self.most


@pytest.mark.parametrize("n", [6, pytest.param(60, marks=pytest.mark.long)])
def test_many_agents_one_folder(new_instance, tmp_path, n):
    """A good candidate gets to all although agents are killed; a bad one, which fails with half of them, to no more, and it leaves
    none."""
    many, chance = Many(new_instance, n, tmp_path), random.Random(n)
    allowed = [1, n // 2, n]
    many.publish("1.0")
    many.signed("target", "set", "--app", "api", "--group", "prod", "--version", "1.0", "--max-parallel", str(PARALLEL))
    many.boot()
    many.wait_all("1.0")
    many.publish("2.0")
    witness = Witness(many, "r-2", "2.0", allowed)
    many.signed("rollout", "start", "api", "prod", "--version", "2.0", "--stages", "1:2s,50%:2s,100%", "--id", "r-2")
    while many.register("r-2")["state"] == "active":
        many.kill(chance.choice(many.names))
        time.sleep(2)
    many.wait_state("r-2", "complete")
    many.wait_all("2.0")
    assert witness.end() == n
    many.signed("rollout", "finish", "api", "prod")

    many.publish("3.0", FAILS)
    witness = Witness(many, "r-3", "3.0", allowed)
    many.signed("rollout", "start", "api", "prod", "--version", "3.0", "--stages", "1:5s,50%:2s,100%", "--id", "r-3",
                "--max-failures", "1")
    wait_for(lambda: many.register("r-3")["members"] == 1, PATIENCE, "the first one to be healthy", 0.2)
    many.bad()
    assert many.wait_state("r-3", "aborted")["reason"].endswith(" instances failed, 1 may")  # two, or the first one as well
    wait_for(lambda: many.register("r-3")["running"] == 0, PATIENCE, "all to be back", 0.2)
    many.wait_all("2.0")
    assert witness.end() <= allowed[1] < n and many.begun("3.0") > allowed[0]
    assert many.most_changing("3.0") <= PARALLEL
