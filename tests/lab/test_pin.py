"""Pins on booted instances: back to a release from the disk, a pin of one instance, and who may do what."""

import json

import pytest
from rig import goapp
from rig.desk import CONFLICT, DENIED, FAILED, NOT_FOUND, USAGE
from rig.host import wait_for
from rig.site import GROUP, Site

KEY = ["--key", "/srv/target.key"]
DEPOT = "/srv/depot/apps/api"


@pytest.fixture
def site(instance, tmp_path):
    """Release 2.0.0 serves, 1.0.0 served before it."""
    site = Site(instance, tmp_path)
    site.bring_up("2.0.0")
    site.set_target("2.0.0")
    site.wait_app(state="good", version="2.0.0")
    return site


def refused(site, code, pattern, *words):
    answer = site.muster(*words, check=False)
    assert answer.code == code, answer
    assert pattern in answer.err, answer
    return answer


def publish_broken(site, version):
    site.publish(version, goapp.impatient, FAIL_HEALTH="1")


def record(site):
    return json.loads(site.instance.get("/var/lib/muster/apps/api/record.json"))


def pin_local(site, version, **options):
    return site.muster("pin", "--local", "api", version, "--reason", "looking into it", **options)


def test_pin_of_this_instance(site):
    """The group's target is not followed, through restarts, until root says so."""
    assert pin_local(site, "1.0.0").out == "api on this instance: pinned to 1.0.0\napi: 1.0.0 serves\n"
    app = site.app()
    assert (app["state"], app["version"]) == ("good", "1.0.0")
    assert app["local_pin"] == {"version": "1.0.0", "release_sha256": app["release_sha256"], "reason": "looking into it",
                                "since": app["local_pin"]["since"]}
    assert app["reason"] == "this instance is pinned to release 1.0.0: looking into it"
    assert "1.0.0" in site.serves()
    assert "api: PINNED ON THIS INSTANCE to 1.0.0, " in site.muster("status").out
    assert pin_local(site, "1.0.0").out == "api on this instance: already pinned to 1.0.0\n"
    reports = site.instance.sh(f"cat {DEPOT}/groups/{GROUP}/instances/*.json").out
    wait_for(lambda: json.loads(site.instance.sh(f"cat {DEPOT}/groups/{GROUP}/instances/*.json").out)["local_pin"], 20,
             f"the report to say so: {reports}")

    # The target goes on without it; its serial still counts.
    site.publish("3.0.0")
    site.set_target("3.0.0")
    site.wait_app(serial=3, state="good", version="1.0.0")
    refused(site, CONFLICT, "api is pinned to 1.0.0 on this instance: muster unpin --local api first", "deploy", "--local",
            "/srv/api-3.0.0", "--app", "api")
    site.instance.run("systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", "musterd")
    wait_for(site.app, 20, "musterd to be back")
    assert site.wait_app(state="good", version="1.0.0")["local_pin"]["version"] == "1.0.0"
    site.instance.run("systemctl", "restart", "musterd")
    assert site.wait_app(state="good", version="1.0.0", serial=3)["local_pin"]["version"] == "1.0.0"
    assert len(site.history()) == 3

    assert site.muster("unpin", "--local", "api").out == "api on this instance: unpinned, follows its group\n"
    app = site.wait_app(state="good", version="3.0.0")
    assert app["local_pin"] is None
    assert "PINNED" not in site.muster("status").out
    assert "not pinned" in site.muster("unpin", "--local", "api").out


def test_who_and_what(site):
    """Only root, only what is there; nothing of a refusal is kept."""
    refused(site, NOT_FOUND, "release 9.9 is not on this instance; there is: 2.0.0, 1.0.0", "pin", "--local", "api", "9.9",
            "--reason", "x")
    refused(site, NOT_FOUND, "this instance has no app 'web'", "pin", "--local", "web", "1.0.0", "--reason", "x")
    refused(site, NOT_FOUND, "this instance has no app 'web'", "unpin", "--local", "web")
    refused(site, USAGE, "one line of text", "pin", "--local", "api", "1.0.0", "--reason", "a\nb")
    for words in ("pin --local api 1.0.0 --reason x", "unpin --local api"):
        answer = site.instance.sh(f"su -s /bin/sh nobody -c 'muster {words}'", check=False)
        assert answer.code == DENIED and "only root" in answer.err, answer
    for call in ("PinLocal sss api 1.0.0 x", "UnpinLocal s api"):
        answer = site.instance.sh("su -s /bin/sh nobody -c 'busctl call org.muster.Agent1 /org/muster/Agent1 "
                                  f"org.muster.Agent1 {call}'", check=False)
        assert answer.code != 0 and "denied" in answer.err.lower(), answer
    assert record(site)["pin"] is None
    assert site.wait_app(state="good", version="2.0.0")["local_pin"] is None


def test_pin_of_another_machine(site):
    """An image that was made from a pinned instance: the pin was about that one."""
    pin_local(site, "1.0.0")
    path = "/var/lib/muster/apps/api/record.json"
    site.instance.run("systemctl", "stop", "musterd")
    site.instance.put(path, json.dumps({**record(site), "instance": "i-00000000000000000"}))
    site.instance.run("systemctl", "start", "musterd")
    wait_for(site.app, 20, "musterd to be back")
    site.wait_app(state="good", version="2.0.0", local_pin=None)
    assert "2.0.0" in site.serves()


def test_from_the_disk(site):
    """A group is pinned back while what the depot keeps of the release is gone."""
    site.instance.run("rm", "-r", f"{DEPOT}/artifacts")
    site.muster("pin", "api", GROUP, "1.0.0", "--reason", "2.0.0 is bad", "--urgent", *KEY)
    site.instance.run("rm", "-r", f"{DEPOT}/releases")
    app = site.wait_app(state="good", version="1.0.0", serial=3)
    assert app["pin"] == {"version": "1.0.0", "release_sha256": app["release_sha256"], "urgent": True, "serial": 3,
                          "reason": "2.0.0 is bad", "since": app["pin"]["since"]}
    assert app["reason"] == "release 1.0.0 is what target 3 pins the group to"
    assert "1.0.0" in site.serves()
    assert ", urgent: 2.0.0 is bad\n" in site.muster("status").out
    assert [deployment["outcome"] for deployment in site.history()] == ["succeeded"] * 3


def patient(text):
    """Health checks that take longer than any test waits."""
    return text.replace("healthy: 2", "healthy: 600").replace("deadline: 30s", "deadline: 15m")


@pytest.mark.parametrize("pin", ["group", "instance"])
def test_pin_while_the_checks_run(site, pin):
    """A release that is being checked when the pin comes is not checked to the end."""
    site.publish("3.0.0", patient)
    site.set_target("3.0.0")
    wait_for(lambda: (site.app()["deployment"] or {}).get("step") == "HEALTH", 30, "the health checks", 0.05)
    if pin == "group":
        site.muster("pin", "api", GROUP, "2.0.0", "--reason", "3.0.0 is slow", *KEY)
    else:
        pin_local(site, "2.0.0")
    site.wait_app(state="good", version="2.0.0", deployment=None)
    assert "2.0.0" in site.serves()
    newest = site.history()[0]
    assert (newest["version"], newest["outcome"]) == ("3.0.0", "rolled-back")
    assert [step["result"] for step in newest["steps"] if step["step"] == "HEALTH"] == ["interrupted"]


def test_pin_tries_again(site):
    """What failed on an instance is tried once more for a pin, and only once for each."""
    publish_broken(site, "3.0.0")
    site.set_target("3.0.0")
    site.wait_app(state="held", version="2.0.0", serial=3)
    for serial, reason in ((4, "it was the database"), (5, "now it is mended")):
        site.muster("pin", "api", GROUP, "3.0.0", "--reason", reason, *KEY)
        app = site.wait_app(state="held", version="2.0.0", serial=serial, deployment=None)
        assert "release 3.0.0 failed in HEALTH" in app["reason"] and app["pin"]["reason"] == reason
        assert len(site.history()) == serial
    refused(site, CONFLICT, "pinned to 3.0.0 already", "rollback", "api", GROUP, *KEY)
    site.muster("pin", "api", GROUP, "2.0.0", "--reason", "give up", *KEY)
    site.wait_app(state="good", version="2.0.0", serial=6)
    assert len(site.history()) == 5


def test_local_pin_of_what_fails_here(site):
    """The release that served goes on serving; the pin stays and says why it does not hold."""
    publish_broken(site, "3.0.0")
    site.set_target("3.0.0")
    site.wait_app(state="held", version="2.0.0", serial=3)
    for n in (4, 5):
        answer = pin_local(site, "3.0.0", check=False)
        assert answer.code == FAILED and "HEALTH" in answer.err, answer
        app = site.wait_app(state="held", version="2.0.0", deployment=None)
        assert "release 3.0.0 failed in HEALTH" in app["reason"] and app["local_pin"]["version"] == "3.0.0"
        assert "2.0.0" in site.serves()
        assert len(site.history()) == n
    site.muster("unpin", "--local", "api")
    assert "release 3.0.0 failed in HEALTH" in site.wait_app(state="held", local_pin=None)["reason"]
    assert len(site.history()) == 5


def test_killed_between_pin_and_deployment(site):
    """The pin is in the record before the command has its answer."""
    for version in ("1.0.0", "2.0.0") * 3:
        site.instance.sh(f"muster pin --local --no-wait api {version} --reason x && "
                         "systemctl kill --signal=SIGKILL --kill-whom=main musterd")
        assert record(site)["pin"]["release"]["version"] == version
        site.wait_app(state="good", version=version)
        assert version in site.serves()


def test_without_a_depot(new_instance, tmp_path):
    """The depot is gone, the power too: root pins, the instance goes there, keeps the group's values and stays."""
    instance = new_instance()
    instance.use_state_disk("512M")
    instance.boot()
    site = Site(instance, tmp_path)
    for version in ("1.0.0", "2.0.0"):
        site.publish(version)
        site.set_target(version, "--env", "LOG_LEVEL=debug")
        site.configure()
        site.wait_app(state="good", version=version)
    instance.sh("mv /srv/depot /srv/away && systemctl restart musterd")
    wait_for(site.app, 20, "musterd to be back")

    def environment():
        return instance.sh("tr '\\0' '\\n' </proc/$(systemctl show -P MainPID api.service)/environ", check=False).out
    pin_local(site, "1.0.0")
    wait_for(lambda: "LOG_LEVEL=debug" in environment(), 10, "the group's values")
    instance.pull_plug()
    instance.boot()
    instance.wait_running()
    app = site.wait_app(state="good", version="1.0.0")
    assert app["local_pin"]["reason"] == "looking into it"
    wait_for(lambda: "1.0.0" in site.serves(), 20, "release 1.0.0")
    assert "LOG_LEVEL=debug" in environment()
    instance.sh("mv /srv/away /srv/depot")
    site.muster("unpin", "--local", "api")
    site.wait_app(state="good", version="2.0.0", serial=2)
