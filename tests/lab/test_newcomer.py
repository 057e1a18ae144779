"""What somebody who sets an instance up for the first time gets wrong: one line says what, nothing changes, and it goes on by
itself once it is put right."""

import json

import pytest
from rig import faults
from rig.desk import Desk
from rig.host import wait_for

APPSPEC = "version: 0.0\nos: linux\nunits:\n  - name: api.service\n    file: units/api.service\n"
UNIT = "[Service]\nExecStart=/bin/sleep 1000\n"
GOOD = {"bucket": None, "group": "prod", "more": ""}
# What is wrong (of the configuration, or of the cloud), and the line that says so.
MISTAKES = {
    "wrong bucket": ({"bucket": "no-such-bucket-here"}, {}, "there is no bucket 'no-such-bucket-here'"),
    "no role": ({}, {"role": None}, "no AWS credentials: looked in the environment"),
    "another group": ({"group": "staging"}, {}, "group staging of api has no target in the depot"),
    "no such tag": ({"group": "tag:muster"}, {}, "the instance metadata have no tag muster: set it on the instance"),
    "no group at all": ({"group": "auto-scaling-group"}, {}, "is in no Auto Scaling group"),
    "misspelt key": ({"more": "gruop = x\n"}, {}, "muster.conf:6: unknown key 'gruop'"),
}


@pytest.fixture
def depot(built, cloud, bucket, tmp_path):
    """A bucket with an app that the group prod runs."""
    desk = Desk(tmp_path, cloud)
    desk.environment["MUSTER_DEPOT"] = f"s3://{bucket}/x"
    desk.bucket = bucket
    desk.trust()
    (desk.app(appspec=APPSPEC) / "units/api.service").write_text(UNIT)
    desk.publish("1.0")
    desk.set("1.0")
    return desk


def configure(instance, depot, wrong):
    values = {**GOOD, "bucket": depot.bucket, **wrong}
    instance.put("/etc/muster/muster.conf", "[agent]\ndepot = s3://{bucket}/x\ngroup = {group}\npoll_interval = 1s\n"
                 "settle_time = 100ms\n{more}[app api]\n".format(**values))


def status(instance):
    return json.loads(instance.run("muster", "status", "--json").out)


def reasons(instance):
    now = status(instance)
    return [now["reason"], *(app["reason"] for app in now["apps"])]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(cloud, depot, new_instance, mistake):
    wrong, metadata, line = MISTAKES[mistake]
    instance = new_instance()
    known = cloud.attach(instance)
    role = known.role
    for name, value in metadata.items():
        setattr(known, name, value)
    instance.put("/etc/muster/root.json", depot.folder / "root.json")
    configure(instance, depot, wrong)
    instance.boot()
    wait_for(lambda: any(line in reason for reason in reasons(instance)), 30, f"“{line}”")
    said = status(instance)
    assert said["state"] == "waiting"
    if "more" not in wrong:
        assert said["depot"].startswith("s3://")
    assert instance.sh("ls -A /var/lib/muster/apps/api/releases 2>/dev/null || true").out == ""
    assert len([text for text in instance.messages("musterd.service") if line in text and text.startswith("api")]) <= 1

    known.role = role
    configure(instance, depot, {})
    instance.run("systemctl", "reload", "musterd")
    wait_for(lambda: [app["state"] for app in status(instance)["apps"]] == ["good"], 60, "the app")


def test_refusal_that_lasts_is_logged_once(cloud, depot, new_instance):
    """S3 gives every request another id."""
    instance = new_instance()
    cloud.attach(instance)
    instance.put("/etc/muster/root.json", depot.folder / "root.json")
    configure(instance, depot, {})
    with cloud.fault(faults.access_denied(), service="s3", path="target.json") as fault:
        instance.boot()
        wait_for(lambda: fault.hits > 4, 30, "some looks at the target")
        said = [text for text in instance.messages("musterd.service") if "AccessDenied" in text and "target.json" in text]
    assert len(said) == 1, said
