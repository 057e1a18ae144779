"""What musterd finds when it comes back, or when the world has changed meanwhile: hooks that went on without it, a newer
target, a restarted instance, a way back that failed."""

import json

import pytest
from rig import goapp
from rig.host import wait_for
from rig.site import Site

COUNT = '#!/bin/sh\necho "$0 $MUSTER_ATTEMPT $MUSTER_RESUMED" | sed "s,.*/,," >>/run/ran\n'
HOLD = COUNT + "until [ -e /run/go ]; do sleep 0.1; done\n"


@pytest.fixture
def serving(instance, tmp_path):
    """A site on which 1.0.0 serves."""
    return bring_up(Site(instance, tmp_path))


def bring_up(site, **options):
    site.publish("1.0.0", **options)
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    return site


def publish_with_hooks(site, version, **scripts):
    """BeforeInstall runs `first` and then `second`."""
    folder = goapp.build(site.folder, version, lambda text: text.replace(
        "    - location: hooks/before-install\n      timeout: 30",
        "    - location: hooks/first\n    - location: hooks/second"))
    for name, script in scripts.items():
        (folder / "hooks" / name).write_text(script)
        (folder / "hooks" / name).chmod(0o755)
    site.publish_folder(folder, version)


def ran(site):
    return site.instance.sh("cat /run/ran 2>/dev/null || true").text.splitlines()


def kill_musterd(site):
    site.instance.run("systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", "musterd")


def in_step(site, step):
    wait_for(lambda: ((site.app() or {}).get("deployment") or {}).get("step") == step, 60, step, 0.05)


def test_hook_goes_on_without_musterd(serving):
    """A hook that runs while musterd is away is taken up again, and one whose success is recorded is not run twice."""
    publish_with_hooks(serving, "2.0.0", first=COUNT, second=HOLD)
    serving.set_target("2.0.0")
    wait_for(lambda: len(ran(serving)) == 2, 60, "both hooks to have begun")
    kill_musterd(serving)
    serving.instance.wait_message("taken up", unit="musterd.service")
    in_step(serving, "BEFORE_INSTALL")
    serving.instance.run("touch", "/run/go")
    serving.wait_app(state="good", version="2.0.0")
    assert ran(serving) == ["first 1 0", "second 1 0"]
    steps = [(s["step"], s["result"]) for s in serving.history()[0]["steps"] if s["step"] == "BEFORE_INSTALL"]
    assert steps == [("BEFORE_INSTALL", "interrupted"), ("BEFORE_INSTALL", "succeeded")]


def test_hook_ends_while_musterd_is_away(serving):
    publish_with_hooks(serving, "2.0.0", first=COUNT, second=HOLD + "echo done\n")
    serving.set_target("2.0.0")
    wait_for(lambda: len(ran(serving)) == 2, 60, "both hooks to have begun")
    serving.instance.run("systemctl", "stop", "musterd")
    serving.instance.run("touch", "/run/go")
    wait_for(lambda: "exited" in serving.instance.sh("systemctl list-units --all 'muster-hook-*'").out, 30, "the hook's end")
    serving.instance.run("systemctl", "start", "musterd")
    serving.wait_app(state="good", version="2.0.0")
    assert ran(serving) == ["first 1 0", "second 1 0"]
    assert "done" in next(s for s in serving.history()[0]["steps"] if s["step"] == "BEFORE_INSTALL"
                          and s["result"] == "succeeded")["output_tail"]


def test_hook_is_lost_and_run_again(serving):
    """At least once, and the hook is told so."""
    publish_with_hooks(serving, "2.0.0", first=COUNT, second=HOLD)
    serving.set_target("2.0.0")
    wait_for(lambda: len(ran(serving)) == 2, 60, "both hooks to have begun")
    serving.instance.run("systemctl", "stop", "musterd")
    serving.instance.sh("systemctl stop 'muster-hook-*'; systemctl reset-failed 'muster-hook-*' || true; touch /run/go")
    serving.instance.run("systemctl", "start", "musterd")
    serving.wait_app(state="good", version="2.0.0")
    assert ran(serving) == ["first 1 0", "second 1 0", "second 2 1"]


def slow(text):
    return text.replace("healthy: 2", "healthy: 5")


def test_newer_target_before_the_commit(serving):
    """What is committed is never anything but what the target in force asks for."""
    serving.publish("2.0.0", appspec=slow)
    serving.publish("3.0.0")
    serving.set_target("2.0.0")
    in_step(serving, "HEALTH")
    serving.set_target("3.0.0")
    app = serving.wait_app(state="good", version="3.0.0")
    assert app["last_failure"] is None
    newest, superseded = serving.history()[:2]
    assert (newest["version"], newest["from_version"]) == ("3.0.0", "1.0.0")
    assert (superseded["version"], superseded["outcome"]) == ("2.0.0", "rolled-back")
    assert superseded["reason"] == "the target asks for another release now"
    assert "COMMIT" not in [step["step"] for step in superseded["steps"]]


def test_depot_is_gone_before_the_commit(serving):
    """A depot that cannot be asked holds nothing up."""
    serving.publish("2.0.0", appspec=slow)
    serving.set_target("2.0.0")
    in_step(serving, "HEALTH")
    serving.instance.run("mv", "/srv/depot", "/srv/away")
    serving.wait_app(state="good", version="2.0.0")
    wait_for(lambda: unsent(serving) == [("report", "api")], 30, "the report to be told as not delivered")
    assert "unsent    report of api" in serving.muster("status").out
    kill_musterd(serving)  # which forgets nothing
    serving.wait_app(version="2.0.0")
    wait_for(lambda: unsent(serving) == [("report", "api")], 30, "the report to be told again")
    serving.instance.run("mv", "/srv/away", "/srv/depot")
    wait_for(lambda: not unsent(serving), 60, "the report to be delivered")


def unsent(site):
    return [(u["what"], u["app"]) for u in site.status()["undelivered"]]


def test_checks_after_a_restart_of_the_instance(serving):
    """Good is what passed its checks in this boot."""
    instance = serving.instance
    instance.put("/etc/systemd/system/api.service.d/late.conf", "[Service]\nExecStartPre=/bin/sh -c 'until [ -e /run/go ]; "
                 "do sleep 0.1; done'\nTimeoutStartSec=120\n")
    instance.power_off()
    instance.boot(wait=False)
    app = wait_for(lambda: instance.running and serving.app(), 60, "musterd")
    assert app["state"] == "checking"
    assert serving.status()["state"] != "ready"
    instance.run("touch", "/run/go")
    serving.wait_app(state="good", version="1.0.0", timeout=90)
    assert serving.status()["state"] == "ready"


def test_way_back_fails(serving):
    """A state of its own, found again after a restart, tried no more by itself, and left by a newer target."""
    site = serving
    folder = goapp.build(site.folder, "2.0.0", lambda text: text.replace(
        "  ValidateService:", "  ApplicationStart:\n    - location: hooks/start\n  ValidateService:"))
    (folder / "hooks/start").write_text("#!/bin/sh\n[ ! -e /run/broken ] || { echo nothing works; exit 1; }\n")
    (folder / "hooks/start").chmod(0o755)
    site.publish_folder(folder, "2.0.0")
    site.set_target("2.0.0")
    site.wait_app(state="good", version="2.0.0")
    folder = goapp.build(site.folder, "3.0.0", appspec=goapp.impatient, FAIL_HEALTH="1")
    (folder / "hooks/after-install").write_text("#!/bin/sh\ntouch /run/broken\n")
    site.publish_folder(folder, "3.0.0")
    site.set_target("3.0.0")
    app = site.wait_app(state="rollback-failed")
    assert "the way back to 2.0.0 failed in ROLLBACK_START" in app["reason"]
    assert "nothing works" in app["reason"]
    assert app["last_failure"]["version"] == "3.0.0" and app["last_failure"]["step"] == "HEALTH"
    assert site.status()["state"] == "failed"
    before = site.history()
    site.instance.run("systemctl", "restart", "musterd")
    assert site.wait_app(state="rollback-failed")["reason"] == app["reason"]
    assert site.history() == before

    site.instance.run("rm", "/run/broken")
    site.set_target("2.0.0")
    site.wait_app(state="good", version="2.0.0")
    assert "2.0.0" in site.serves()


def test_replay(serving):
    """Whatever happened to the deployments of this instance, this muster would decide the same again."""
    site = serving
    site.publish("2.0.0", appspec=goapp.impatient, FAIL_HEALTH="1")
    site.publish("3.0.0", appspec=slow)
    site.set_target("2.0.0")
    site.wait_app(state="held", version="1.0.0")
    site.set_target("3.0.0")
    in_step(site, "HEALTH")
    kill_musterd(site)
    site.wait_app(state="good", version="3.0.0")
    answer = json.loads(site.muster("replay", "--json").out)
    assert answer["same"] is True
    assert [d["version"] for d in answer["deployments"]] == ["3.0.0", "2.0.0", "1.0.0"]
    assert all(d["whole"] and d["decisions"] > 20 for d in answer["deployments"])

    history = "/var/lib/muster/apps/api/history"
    newest = answer["deployments"][0]["id"]
    site.instance.sh(f"sed '0,/\"then\": \"SWITCH\"/s//\"then\": \"COMMIT\"/' {history}/{newest}.json >/srv/{newest}.json")
    done = site.muster("replay", f"/srv/{newest}.json", check=False)
    assert done.code == 1
    assert "came COMMIT, now it would be SWITCH" in done.out
    assert site.muster("replay", "api").out.count("all the same") == 3
