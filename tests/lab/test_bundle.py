"""A bundle as it was made for CodeDeploy, taken from S3 as it lies there: a zip of Windows with one folder around everything, so without
modes, an appspec with Windows line ends, a daemon started with nohup. What its scripts see and leave behind."""

import io
import json
import zipfile

import pytest
from rig.host import wait_for
from rig.operator import Muster

APPSPEC = """\
# Deployed by CodeDeploy until now.
version: 0.0
os: linux
hooks:
  ApplicationStop: &stop
    - location: /scripts/stop.sh
      timeout: 60
      runas: root
  BeforeInstall:
    - location: scripts/user.sh
      sudo: yes
  AfterInstall:
    - location: ./scripts/environment.sh
      timeout: "120"
      runas: webapp
      sudo: true
    - location: scripts/long.sh
  ApplicationStart:
    - location: scripts/start.sh
      runas: webapp
      timeout: 30
  ValidateService:
    - {location: scripts/validate.sh}
"""
EVENTS = "/srv/events"
TELL = f'#!/bin/bash\necho "$LIFECYCLE_EVENT ${{0##*/}} $(id -un) $MUSTER_VERSION" >>{EVENTS}\n'
SCRIPTS = {
    "stop.sh": TELL + f"pgrep -u webapp -a -f ^app- >>{EVENTS} || true\n",
    "user.sh": TELL + "id webapp >/dev/null 2>&1 || useradd --create-home webapp\n",
    "environment.sh": TELL + "env -0 >/srv/environment\npwd\necho to-stderr >&2\n",
    "long.sh": TELL + "yes 'a line of much output' | head -c 3000000\necho 'the end of it'\n",
    "start.sh": TELL + "nohup bash -c 'echo up; exec -a app-@ sleep 5000' &\n",
    "validate.sh": TELL + "for i in $(seq 50); do pgrep -u webapp -f app-@ && exit 0; sleep 0.1; done\nexit 1\n",
    "unused.sh": "#!/bin/sh\r\nexit 1\r\n",
}


def bundle(version, appspec=APPSPEC):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        def add(name, text):
            entry = zipfile.ZipInfo(f"api-{version}/{name}")
            entry.create_system = 0  # FAT: it says nothing of modes
            archive.writestr(entry, text)
            entry.external_attr = 0
        add("appspec.yml", "\ufeff" + appspec.replace("\n", "\r\n"))
        for name, script in SCRIPTS.items():
            add(f"scripts/{name}", script.replace("@", version))
    return packed.getvalue()


@pytest.fixture
def team(built, cloud, new_instance):
    """An operator whose builds lie in S3, and an instance that runs what comes of them."""
    class Team(Muster):
        def __init__(self):
            from rig.desk import BUILD
            super().__init__(BUILD / "muster")
            self.prepare(cloud)
            self.s3 = cloud.client_of(cloud.operator, "s3")
            self.instance = new_instance()
            cloud.attach(self.instance)
            self.instance.boot()
            self.instance.sh(f"touch {EVENTS} /srv/environment; chmod 666 {EVENTS} /srv/environment")

        def release(self, version, **more):
            """Published from S3 as it lies there, and made the target."""
            put = self.s3.put_object(Bucket=self.bucket, Key=f"builds/{version}.zip", Body=bundle(version, **more))
            self.publish(f"s3://{self.bucket}/builds/{version}.zip", version)
            self.set_target("prod", version)
            return put

        def events(self):
            lines = self.instance.get(EVENTS).decode().splitlines()
            self.instance.sh(f": >{EVENTS}")
            return lines

        def history(self):
            return json.loads(self.instance.run("muster", "history", "--json").out)["deployments"]

        def running(self):
            return self.instance.sh("pgrep -u webapp -a || true").out.split("\n")[:-1]

        def wait_good(self, version):
            wait_for(lambda: self.is_good(self.instance, version), 60, f"{version} to be good")
    return Team()


def expected(version, old=None):
    """What the scripts write, in order: the stop is the old release's, which meets its daemon alive."""
    stop = [f"ApplicationStop stop.sh root {old}", f"[0-9]+ app-{old} 5000"] if old else []
    return stop + [f"BeforeInstall user.sh root {version}", f"AfterInstall environment.sh webapp {version}",
                   f"AfterInstall long.sh root {version}", f"ApplicationStart start.sh webapp {version}",
                   f"ValidateService validate.sh root {version}"]


def assert_lines(lines, patterns):
    import re
    assert len(lines) == len(patterns) and all(re.fullmatch(p, line) for p, line in zip(patterns, lines)), lines


def test_bundle_of_codedeploy(team):
    put = team.release("1.0")
    team.install(team.instance, "prod")
    team.wait_good("1.0")
    assert_lines(team.events(), expected("1.0"))
    deployment = team.history()[0]

    # What CodeDeploy gives, with the values of here, and the home of whom it runs as.
    seen = dict(line.split("=", 1) for line in team.instance.get("/srv/environment").decode().split("\0") if line)
    release = seen["PWD"]
    wanted = {"LIFECYCLE_EVENT": "AfterInstall", "APPLICATION_NAME": "api", "DEPLOYMENT_ID": deployment["id"],
              "DEPLOYMENT_GROUP_NAME": "prod", "DEPLOYMENT_GROUP_ID": "prod", "BUNDLE_BUCKET": team.bucket,
              "BUNDLE_KEY": "builds/1.0.zip", "BUNDLE_ETAG": put["ETag"].strip('"'), "BUNDLE_COMMIT": None,
              "BUNDLE_VERSION": None, "HOME": "/home/webapp", "USER": "webapp", "MUSTER_RELEASE_DIR": release}
    assert {name: seen.get(name) for name in wanted} == wanted
    assert release.startswith("/var/lib/muster/apps/api/releases/1.0-")
    # The folder around everything is gone; the archive is the one that was built.
    assert set(team.instance.run("ls", release).out.split()) == {"appspec.yml", "scripts"}

    # The daemon lives and has held nothing up.
    assert [line.split(" ", 1)[1] for line in team.running()] == ["app-1.0 5000"]
    steps = {step["step"]: step for step in deployment["steps"]}
    assert steps["APPLICATION_START"]["seconds"] < 20
    # Output: each script's in a file of its own, cut when it grows; its end in the history, with the warning.
    tail = steps["AFTER_INSTALL"]["output_tail"]
    assert tail.endswith("the end of it\n") and "scripts/environment.sh:\n" in tail and f"{release}\nto-stderr\n" in tail
    assert "no run bit" in tail
    logs = f"/var/lib/muster/apps/api/logs/{deployment['id']}"
    assert set(team.instance.run("ls", logs).out.split()) == {
        "BeforeInstall-0-1.log", "AfterInstall-0-1.log", "AfterInstall-1-1.log", "ApplicationStart-0-1.log",
        "ValidateService-0-1.log"}
    assert int(team.instance.sh(f"du -k {logs}/AfterInstall-1-1.log").out.split()[0]) <= 1100
    wait_for(lambda: "up" in team.instance.get(f"{logs}/ApplicationStart-0-1.log").decode(), 10, "the daemon's output")

    # The next release: the old one's stop meets the daemon, which is then ended.
    team.release("2.0")
    team.wait_good("2.0")
    assert_lines(team.events(), expected("2.0", old="1.0"))
    assert [line.split(" ", 1)[1] for line in team.running()] == ["app-2.0 5000"]

    # One that fails: the way back starts the old one's daemon again.
    team.release("3.0", appspec=APPSPEC.replace("runas: webapp\n      timeout: 30", "runas: nobodyknows"))
    wait_for(lambda: team.reason(team.instance, "3.0"), 60, "3.0 to fail")
    assert "ApplicationStart: scripts/start.sh: its user (runas) nobodyknows is not on this instance" in \
        team.reason(team.instance, "3.0")
    wait_for(lambda: [line.split(" ", 1)[1] for line in team.running()] == ["app-2.0 5000"], 20, "the daemon of 2.0")
