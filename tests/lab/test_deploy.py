"""Deployments on one instance, with a depot of files: what serves, what the record and the history say, what is left."""

import json

import pytest
from rig import goapp
from rig.host import wait_for
from rig.site import Site


@pytest.fixture
def site(instance, tmp_path):
    return Site(instance, tmp_path)


def api_is(site, state):
    return site.instance.run("systemctl", "is-active", "api.service", check=False).text == state


def test_waits_for_its_configuration(site):
    """cloud-init writes the configuration after musterd has started."""
    assert site.status()["state"] == "unconfigured"
    site.publish("1.0.0")
    site.set_target("1.0.0")
    site.configure()
    app = site.wait_app(state="good", version="1.0.0")
    assert app["reason"] == "release 1.0.0 is what target 1 asks for"
    assert "1.0.0" in site.serves()
    assert site.current().startswith("releases/1.0.0-")
    assert site.instance.run("systemctl", "is-enabled", "api.service").text == "enabled"
    steps = [step["step"] for step in site.history()[0]["steps"]]
    assert steps == ["VERIFY", "FETCH", "APPLICATION_STOP", "BEFORE_INSTALL", "SWITCH", "AFTER_INSTALL", "UNITS",
                     "APPLICATION_START", "VALIDATE_SERVICE", "HEALTH", "COMMIT"]
    # Nothing of the way is left: no staging, no unit of a hook or of the unpacker.
    assert site.instance.run("ls", "/var/lib/muster/apps/api/staging").out == ""
    wait_for(lambda: "muster-hook" not in site.instance.run("systemctl", "list-units", "--all").out, 10,
             "hooks' units to be forgotten")


def test_reload_goes_to_the_new_code_and_back(site):
    site.publish("1.0.0")
    site.publish("2.0.0")
    site.publish("3.0.0", appspec=goapp.impatient, FAIL_HEALTH="1")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")

    site.set_target("2.0.0")
    site.wait_app(state="good", version="2.0.0")
    assert "2.0.0" in site.serves()

    site.set_target("3.0.0")
    app = site.wait_app(state="held", version="2.0.0")
    assert "release 3.0.0 failed in HEALTH" in app["reason"]
    assert "503" in app["last_failure"]["reason"]
    assert app["last_failure"]["fault"] == "release"
    assert "2.0.0" in site.serves()
    assert site.current().startswith("releases/2.0.0-")
    newest = site.history()[0]
    assert newest["outcome"] == "rolled-back"
    assert newest["steps"][-1]["step"] == "ROLLBACK_HEALTH"
    # It is not tried again by itself.
    assert len(site.history()) == 3

    site.set_target("1.0.0")
    site.wait_app(state="good", version="1.0.0")
    assert "1.0.0" in site.serves()


def test_first_release_that_is_bad_leaves_nothing(site):
    site.publish("1.0.0", appspec=goapp.impatient, FAIL_HEALTH="1")
    site.set_target("1.0.0")
    site.configure()
    app = site.wait_app(state="failed")
    assert app["version"] is None
    assert site.current() == ""
    assert api_is(site, "inactive")
    assert site.instance.run("ls", "/etc/systemd/system").out.find("api.service") < 0
    assert site.status()["state"] == "failed"


def test_hook_that_fails(site):
    """The reason has the hook's last lines; the old release goes on."""
    def broken(text):
        return text.replace("hooks/before-install", "hooks/broken")
    site.publish("1.0.0")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    folder = goapp.build(site.folder, "2.0.0", broken)
    (folder / "hooks/broken").write_text("#!/bin/sh\necho migrating\necho 'table users is missing' >&2\nexit 3\n")
    (folder / "hooks/broken").chmod(0o755)
    site.publish_folder(folder, "2.0.0")
    site.set_target("2.0.0")
    app = site.wait_app(state="held", version="1.0.0")
    assert "BEFORE_INSTALL" in app["reason"]
    assert "table users is missing" in app["last_failure"]["reason"]
    assert "1.0.0" in site.serves()


def test_environment_of_the_group(site):
    """Editing a value restarts the unit with it; the release stays."""
    site.publish("1.0.0")
    site.set_target("1.0.0", "--env", "LOG_LEVEL=info")
    site.configure()
    site.wait_app(state="good", version="1.0.0", serial=1)

    def environment():
        return site.instance.sh("tr '\\0' '\\n' </proc/$(systemctl show -P MainPID api.service)/environ").out
    assert "LOG_LEVEL=info" in environment()
    assert "GOMAXPROCS=2" in environment()
    site.set_target("1.0.0", "--env", "LOG_LEVEL=debug", "--env", "GOMAXPROCS=1")
    site.wait_app(state="good", version="1.0.0", serial=2)
    wait_for(lambda: "LOG_LEVEL=debug" in environment(), 10, "the new value")
    assert "GOMAXPROCS=1" in environment()


def test_restart_of_musterd_in_the_middle(site):
    """A deployment that the agent's end interrupts is taken up, and nobody's application is touched."""
    site.publish("1.0.0")
    site.publish("2.0.0", appspec=lambda text: text.replace("healthy: 2", "healthy: 8"))
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    site.set_target("2.0.0")
    wait_for(lambda: (site.app()["deployment"] or {}).get("step") == "HEALTH", 30, "the health checks", 0.05)
    site.instance.run("systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", "musterd")
    site.instance.wait_message("taken up", unit="musterd.service")
    site.wait_app(state="good", version="2.0.0")
    interrupted = [s for s in site.history()[0]["steps"] if s["result"] == "interrupted"]
    assert [s["step"] for s in interrupted] == ["HEALTH"]


def test_power_cut_in_the_middle(new_instance, tmp_path):
    """What never passed its checks does not start itself at the next boot."""
    instance = new_instance()
    instance.use_state_disk("512M")
    instance.boot()
    site = Site(instance, tmp_path)
    site.publish("1.0.0")
    site.publish("2.0.0", appspec=lambda text: text.replace(
        "env:", "  - type: command\n    command: [/usr/bin/test, -e, /run/healthy]\n    interval: 200ms\nenv:"))
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    site.set_target("2.0.0")
    wait_for(lambda: (site.app()["deployment"] or {}).get("step") == "HEALTH", 30, "the health checks", 0.05)
    instance.pull_plug()
    instance.put("/etc/muster/muster.conf", "")  # so that nothing but what was there at boot acts
    instance.boot()
    instance.wait_running()
    wait_for(lambda: "1.0.0" in site.serves(), 20, "release 1.0.0")
    assert site.current().startswith("releases/1.0.0-")
    instance.run("touch", "/run/healthy")
    site.configure()
    site.wait_app(state="good", version="2.0.0", timeout=90)


def test_deploy_local(site):
    site.configure()
    site.wait_app(state="none")
    site.copy(goapp.build(site.folder, "0.9.0"), "/srv/local")
    site.muster("deploy", "--local", "/srv/local", "--app", "api", "--version", "0.9.0")
    app = site.wait_app(version="0.9.0")
    assert app["local"] is True
    assert "0.9.0" in site.serves()
    site.publish("1.0.0")
    site.set_target("1.0.0")
    site.wait_app(state="good", version="1.0.0", local=False)


def test_hostile_and_foreign_targets(site):
    """What is not signed for this group and app changes nothing, and says why."""
    site.publish("1.0.0")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    target = "/srv/depot/apps/api/groups/site/target.json"
    good = site.instance.get(target)
    document = json.loads(good)
    for change, expected in (
            (lambda d: d.update(payload=d["payload"][::-1]), "target"),
            (lambda d: d.update(signatures=[]), "sign"),
    ):
        broken = json.loads(json.dumps(document))
        change(broken)
        site.instance.put(target, json.dumps(broken))
        site.muster("poll")
        site.instance.wait_message(expected, unit="musterd.service")
        assert site.app()["version"] == "1.0.0"
    site.instance.put(target, good)
    site.muster("target", "set", "--app", "api", "--group", "other", "--version", "1.0.0", "--key", "/srv/target.key")
    site.instance.sh(f"cp /srv/depot/apps/api/groups/other/target.json {target}")
    site.muster("poll")
    site.instance.wait_message("other", unit="musterd.service")
    assert site.app()["serial"] == 1


def test_follows_the_trust_root(site):
    """Keys change: the next root, signed by the old root's key, is found in the depot."""
    site.publish("1.0.0")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    site.muster("key", "generate", "--out", "/srv/new.key", "--public-out", "/srv/new.pub")
    site.muster("root", "publish", "/etc/muster/root.json")
    site.muster("root", "rotate", "--root", "/etc/muster/root.json", "--root-key", "/srv/root.key", "--target-key",
                "/srv/target.pub", "--target-key", "/srv/new.pub", "--out", "/srv/root.2.json", "--depot", "file:///srv/depot")
    site.instance.run("systemctl", "restart", "musterd")
    site.instance.wait_message("trust root 2 is believed", unit="musterd.service")
    site.publish("2.0.0")
    site.muster("target", "set", "--app", "api", "--group", "site", "--version", "2.0.0", "--key", "/srv/new.key",
                "--root", "/srv/root.2.json")
    site.wait_app(state="good", version="2.0.0")
