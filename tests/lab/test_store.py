"""The release store: is what is installed still what was signed, is the way back open, is there room, and what is removed."""

import json
from unittest.mock import ANY

import pytest
from rig.host import wait_for
from rig.site import Site

CURRENT = "/var/lib/muster/apps/api/current"
RELEASES = "/var/lib/muster/apps/api/releases"
DRIFTED = "MESSAGE_ID=d139bb9a95eb464394ce6532eaee933c"


@pytest.fixture
def serving(instance, tmp_path):
    """A site on which 2.0.0 serves, and 1.0.0 did before."""
    site = Site(instance, tmp_path)
    site.publish("1.0.0")
    site.publish("2.0.0")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    site.set_target("2.0.0")
    site.wait_app(state="good", version="2.0.0")
    wait_checked(site)
    return site


def installed(site, role="current"):
    return next((release for release in site.app()["installed"] if release["role"] == role), None)


def wait_checked(site, state="whole", role="current"):
    return wait_for(lambda: (found := installed(site, role)) and found["state"] == state and found, 30,
                    f"the {role} release to be found {state}")


def report(site):
    return json.loads(site.instance.sh("cat /srv/depot/apps/api/groups/*/instances/*.json").out)


def verify(site, *arguments):
    """What `muster verify --installed --json` finds, by role."""
    result = site.instance.run("muster", "verify", "--installed", *arguments, "--json", check=False)
    found = {release["role"]: release for release in json.loads(result.out)["releases"]}
    return result.code, found


def wait_no_staging(site):
    wait_for(lambda: site.instance.run("ls", "/var/lib/muster/apps/api/staging").out == "", 30, "no staging to be left")


def drifts(release):
    return {(drift["path"], drift["kind"]) for drift in release["drift"]}


def test_verify_names_what_drifted(serving):
    """Whatever is changed in a tree is named, with musterd and without it, and what serves goes on serving."""
    instance = serving.instance
    code, found = verify(serving)
    assert code == 0
    assert {role: (release["state"], release["signature"]) for role, release in found.items()} == {
        "current": ("whole", "good"), "previous": ("whole", "good")}

    instance.sh(f"cd {CURRENT}; echo '# changed' >>appspec.yml; rm hooks/after-install; touch 'a new\nfile'; "
                "chmod 0777 bin/api; chown daemon units/api.service")
    code, found = verify(serving, "api")
    assert code == 1
    assert found["previous"]["state"] == "whole"
    assert drifts(found["current"]) == {
        ("appspec.yml", "changed"), ("hooks/after-install", "missing"), ("a new?file", "extra"),
        ("bin/api", "mode"), ("units/api.service", "owner")}
    text = instance.run("muster", "verify", "--installed", check=False)
    assert text.code == 1
    assert "  changed  appspec.yml: " in text.out
    assert "  mode     bin/api: mode 0777, expected 0755" in text.out

    found = wait_checked(serving, "drifted")  # musterd was told to look as well
    assert found["differences"] == 5
    status = serving.muster("status").out
    assert "drifted: release 2.0.0-" in status
    assert "appspec.yml: changed" in status
    assert "2.0.0" in serving.serves()
    journal = instance.run("journalctl", "-o", "json", DRIFTED).out.splitlines()
    assert len(journal) == 1

    instance.run("systemctl", "stop", "musterd")
    assert verify(serving)[0] == 1
    assert instance.run("muster", "verify", "--installed", "nothing", check=False).code == 5
    denied = instance.run("setpriv", "--reuid=daemon", "--clear-groups", "muster", "verify", "--installed", check=False)
    assert denied.code == 4


def test_drifted_release_is_fetched_anew(serving):
    """A release in the store that is not what was signed counts as not there: going back to it brings it anew."""
    serving.instance.sh(f"for folder in {RELEASES}/1.0.0-*/; do echo >>$folder/bin/api; done")
    serving.set_target("1.0.0")
    serving.wait_app(state="good", version="1.0.0")
    assert verify(serving) == (0, ANY)
    assert "1.0.0" in serving.serves()
    assert "is fetched anew" in serving.instance.run("journalctl", DRIFTED).out
    # The redeployment of what serves, too: its tree changes places with a new one.
    serving.instance.sh(f"rm {CURRENT}/hooks/validate")
    serving.set_target("1.0.0", "--env", "AGAIN=1")
    serving.wait_app(state="good", version="1.0.0", serial=4)
    assert verify(serving)[0] == 0
    wait_no_staging(serving)


def test_drifted_release_without_a_depot(serving):
    """What has only more than was signed is used where nothing can be fetched; what lacks something is not."""
    instance = serving.instance
    instance.sh("mkdir /srv/away; mv /srv/depot/apps/api/artifacts/* /srv/away/")
    instance.sh(f"for folder in {RELEASES}/1.0.0-*/; do mkdir $folder/__pycache__; done")
    serving.set_target("1.0.0")
    serving.wait_app(state="good", version="1.0.0")
    assert "so it is used since it cannot be fetched" in instance.run("journalctl", DRIFTED).out
    assert drifts(verify(serving)[1]["current"]) == {("__pycache__", "extra")}

    instance.sh(f"for folder in {RELEASES}/2.0.0-*/; do echo >>$folder/bin/api; done")
    serving.set_target("2.0.0")
    app = wait_for(lambda: (serving.app()["last_failure"] or {}).get("version") == "2.0.0" and serving.app(), 60,
                   "release 2.0.0 to fail")
    assert "has drifted (1 changed (bin/api: changed, " in app["last_failure"]["reason"]
    assert "1.0.0" in serving.serves()
    assert serving.current().startswith("releases/1.0.0-")


def test_rollback_ready(serving):
    """The way back is looked at after each deployment, and told."""
    assert serving.app()["rollback"] == {"ready": True, "version": "1.0.0", "reason": None}
    assert "api: rollback ready: 1.0.0" in serving.muster("status").out
    serving.instance.sh(f"for file in {RELEASES}/1.0.0-*/bin/api; do echo >>$file; done")
    serving.instance.run("systemctl", "restart", "musterd")
    wait_checked(serving, "drifted", "previous")
    rollback = serving.app()["rollback"]
    assert rollback["ready"] is False
    assert "bin/api: changed" in rollback["reason"]
    wait_for(lambda: report(serving).get("rollback") == rollback, 30, "the report to say so")
