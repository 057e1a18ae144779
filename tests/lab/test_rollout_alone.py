"""Rollouts in a group of one, whose depot is a folder: what needs no fleet to be seen."""

import json

import pytest
from rig.host import wait_for
from rig.site import Site

ROLLOUT = "srv/depot/apps/api/groups/site/rollouts/r-1.json"


@pytest.fixture
def site(instance, tmp_path):
    """1.0.0 serves, and 2.0.0 was published."""
    site = Site(instance, tmp_path)
    site.bring_up("2.0.0", keys="report_interval = 1s\n")
    return site


def operate(site, verb, *words):
    site.muster(*verb.split(), "--app", "api", "--group", "site", *words)


def start(site, *words):
    operate(site, "rollout start", "--version", "2.0.0", "--id", "r-1", "--stages", "100%:0s", "--min-healthy-time", "1s", "--key",
            "/srv/target.key", *words)


def wait_rollout(site, state):
    wait_for(lambda: (site.app()["rollout"] or {}).get("state") == state, 60, f"the rollout to be {state}")


def test_frozen_and_register_lost(site):
    """In a freeze nothing moves. Without a register that can be read the instance stays as it is, too, says so, and makes no second
    one; with the first one back, and the freeze taken back, it goes on."""
    operate(site, "freeze add", "--from", "2020-01-01T00:00:00Z", "--until", "2099-01-01T00:00:00Z", "--reason", "the cup final", "--key",
            "/srv/target.key")
    start(site)
    wait_rollout(site, "active")
    register = site.instance.root / ROLLOUT
    before = register.read_bytes()
    for content, state in ((None, "missing"), (b"", "unreadable"), (b'{"id": "r-1"}', "unreadable")):
        register.unlink()
        if content is not None:
            register.write_bytes(content)
        wait_rollout(site, state)
        assert site.app()["version"] == "1.0.0"
        assert (register.read_bytes() if register.exists() else None) == content
        register.write_bytes(before)
        wait_rollout(site, "active")

    assert json.loads(register.read_text())["state"] == "active" and not json.loads(register.read_text()).get("places")
    operate(site, "freeze remove", "--from", "2020-01-01T00:00:00Z", "--key", "/srv/target.key")
    site.wait_app(state="good", version="2.0.0")
