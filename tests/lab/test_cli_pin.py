"""muster pin, unpin and rollback at a desk: what they sign, and what they refuse."""

import base64
import json
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import serialization
from rig.desk import CONFLICT, DENIED, NOT_FOUND, OK, USAGE
from rig.host import wait_for

TARGET = "apps/api/groups/prod/target.json"
KEY = ["--key", "target.key"]
WHY = ["--reason", "1.1 loses orders"]


@pytest.fixture
def shop(shop):
    """1.0, 1.1 and 1.2 are published; prod went from 1.0 to 1.1."""
    for version in ("1.1", "1.2"):
        (shop.folder / "app/bin/api").write_text(version)
        shop.publish(version)
    shop.set("1.0", "--env", "LOG_LEVEL=info")
    shop.set("1.1")
    return shop


def target(shop):
    return shop.payload(TARGET)


def test_rollback_and_unpin(shop):
    assert target(shop)["previous"]["version"] == "1.0"
    assert shop.ok("rollback", "api", "prod", *KEY) == "api in prod: pinned to 1.0 (serial 3)\n"
    pinned = target(shop)
    assert (pinned["stable"]["version"], pinned["pinned"], pinned["reason"]) == ("1.0", True, "rollback from 1.1")
    assert "urgent" not in pinned
    assert pinned["env"] == {"LOG_LEVEL": "info"}
    shown = shop.ok("target", "show", "--app", "api", "--group", "prod")
    assert "pinned     rollback from 1.1\n" in shown and "previous   1.1 " in shown

    # Never on to the bad version, however often it is typed.
    for _ in range(2):
        shop.fails(CONFLICT, "pinned to 1.0 already, it came from 1.1: say where to go, muster pin api prod VERSION",
                   "rollback", "api", "prod", *KEY)
    shop.fails(CONFLICT, r"api in prod is pinned to 1.0 \(rollback from 1.1\): muster unpin api prod first",
               "target", "set", "--app", "api", "--group", "prod", "--version", "1.2", *KEY)
    shop.fails(CONFLICT, "pinned", "target", "set", "--app", "api", "--group", "prod", "--version", "1.0", *KEY)
    assert target(shop) == pinned

    assert shop.ok("unpin", "api", "prod", *KEY) == "api in prod: unpinned, stays at 1.0 (serial 4)\n"
    assert shop.ok("unpin", "api", "prod", *KEY) == "api in prod: not pinned, stays at 1.0 (serial 4)\n"
    assert not {"pinned", "urgent", "reason", "previous"} & set(target(shop))
    shop.fails(NOT_FOUND, "knows no release before 1.0: say which one, muster pin api prod VERSION", "rollback", "api",
               "prod", *KEY)
    shop.set("1.2")
    assert target(shop)["previous"]["version"] == "1.0"


def sign(shop, payload):
    """Puts a target where the group looks for it, signed as muster signs it."""
    data = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
    key = serialization.load_pem_private_key((shop.folder / "target.key").read_bytes(), None)
    kind = "application/vnd.muster.target.v1+json"
    signature = key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(data), data))
    envelope = {"payloadType": kind, "payload": base64.b64encode(data).decode(), "signatures": [
        {"keyid": shop.json("key", "show", "target.pub")["id"], "sig": base64.b64encode(signature).decode()}]}
    (shop.folder / "depot" / TARGET).write_text(json.dumps(envelope))


def publish_later(shop, version):
    """Publishes a version whose creation is a second after what was published before."""
    begun = int(time.time())
    wait_for(lambda: int(time.time()) > begun, 5, "the next second", 0.05)
    (shop.folder / "app/bin/api").write_text(version)
    shop.publish(version)
    return shop.json("show", "release", "--app", "api", "--version", version)["release"]["created"]


def test_rollback_goes_back_only(shop):
    """A group that was set back by hand: the release before is the one that was bad."""
    publish_later(shop, "2.0")
    shop.set("2.0")
    shop.set("1.1")
    shop.fails(CONFLICT, "the release before 1.1, 2.0, is the newer one: if you want it, muster pin api prod 2.0", "rollback",
               "api", "prod", *KEY)
    shop.set("2.0")
    assert "pinned to 1.1" in shop.ok("rollback", "api", "prod", *KEY)


def test_floor(shop):
    created = publish_later(shop, "2.0")
    shop.set("2.0")
    sign(shop, {**target(shop), "serial": 9, "release_floor": created})
    shop.fails(CONFLICT, f"release api 1.1: created at .*, the target prod has the floor {created}", "rollback", "api", "prod",
               *KEY)
    shop.fails(CONFLICT, "floor", "pin", "api", "prod", "1.0", *WHY, *KEY)
    assert "pinned to 2.0 (serial 10)" in shop.ok("pin", "api", "prod", "2.0", *WHY, *KEY)


def test_rollback_out_of_a_rollout(shop):
    """The release before the candidate is the stable one."""
    release = shop.json("show", "release", "--app", "api", "--version", "1.2")
    sign(shop, {**target(shop), "serial": 9, "candidate": {"version": "1.2", "release_sha256": release["sha256"]},
                "rollout": {"id": "r-1", "not_before": "2026-01-01T00:00:00Z", "stages": [{"percent": 100}]}})
    assert "pinned to 1.1 (serial 10)" in shop.ok("rollback", "api", "prod", *KEY)
    assert target(shop)["reason"] == "rollback from 1.2"
    assert not {"candidate", "rollout"} & set(target(shop))


def test_pin(shop):
    told = shop.json("pin", "api", "prod", "1.0", *WHY, "--urgent", *KEY)
    assert told == {"app": "api", "group": "prod", "serial": 3, "version": "1.0", "pinned": True, "urgent": True,
                    "changed": True, "reason": "1.1 loses orders", "previous": "1.1", "sha256": told["sha256"]}
    assert target(shop)["urgent"] is True
    assert shop.ok("pin", "api", "prod", "1.0", *WHY, "--urgent", *KEY) == "api in prod: already pinned to 1.0 (serial 3)\n"
    assert not shop.json("pin", "api", "prod", "1.0", *WHY, "--urgent", *KEY)["changed"]
    # Another reason, or no hurry any more, is said with a new serial: what failed is tried once more.
    assert "pinned to 1.0 (serial 4)" in shop.ok("pin", "api", "prod", "1.0", *WHY, *KEY)
    assert "urgent" not in target(shop)
    assert "pinned to 1.2 (serial 5)" in shop.ok("pin", "api", "prod", "1.2", "--reason", "forward", *KEY)
    assert target(shop)["previous"]["version"] == "1.0"


def test_places(shop):
    """Arguments, options or variables say what is meant; what contradicts is refused."""
    where = ["--app", "api", "--group", "prod"]
    assert "pinned to 1.0" in shop.ok("pin", "1.0", *where, *WHY, *KEY)
    env = {"MUSTER_APP": "api", "MUSTER_GROUP": "prod"}
    assert "already pinned to 1.0" in shop.ok("pin", "1.0", *WHY, *KEY, env=env)
    assert "already" in shop.ok("pin", "api", "prod", "1.0", *WHY, *KEY, env={"MUSTER_APP": "web", "MUSTER_GROUP": "x"})
    assert "already" in shop.ok("pin", "api", "prod", "1.0", *where, *WHY, *KEY)
    shop.fails(USAGE, 'the app is "api", and --app says "web": give one', "pin", "api", "prod", "1.0", "--app", "web",
               *WHY, *KEY)
    shop.fails(USAGE, "expected: muster pin APP GROUP VERSION --reason TEXT", "pin", "api", "1.0", *WHY, *KEY)
    shop.fails(USAGE, "the version is missing: muster pin APP GROUP VERSION", "pin", *where, *WHY, *KEY)
    shop.fails(USAGE, "the app is missing", "pin", "1.0", *WHY, *KEY)
    shop.fails(USAGE, 'the group is "a/b", expected', "pin", "api", "a/b", "1.0", *WHY, *KEY)
    shop.fails(USAGE, 'the version is "../1", expected', "pin", "api", "prod", "../1", *WHY, *KEY)
    shop.fails(USAGE, "--reason TEXT is missing", "pin", "api", "prod", "1.0", *KEY)
    shop.fails(USAGE, "one argument too many", "rollback", "api", "prod", "1.0", *KEY)
    shop.fails(USAGE, "the group is missing: muster unpin APP GROUP", "unpin", "--app", "api", *KEY)
    shop.fails(USAGE, "expected: muster unpin APP GROUP", "unpin", "api", *KEY)


def test_what_cannot_be_pinned(shop):
    before = target(shop)
    shop.fails(NOT_FOUND, "api has no version 9.9", "pin", "api", "prod", "9.9", *WHY, *KEY)
    shop.fails(NOT_FOUND, "api has no target for the group test", "pin", "api", "test", "1.0", *WHY, *KEY)
    shop.fails(NOT_FOUND, "api has no target for the group test", "rollback", "api", "test", *KEY)
    shop.fails(DENIED, "signed with key .*target", "pin", "api", "prod", "1.0", *WHY, "--key", "release.key")
    shop.fails(DENIED, "MUSTER_TARGET_KEY", "pin", "api", "prod", "1.0", *WHY)
    shop.fails(USAGE, "--reason is .*expected one line of text", "pin", "api", "prod", "1.0", "--reason", "a\nb", *KEY)
    shop.fails(USAGE, "--reason is .*at most 1024 bytes", "pin", "api", "prod", "1.0", "--reason", "x" * 1025, *KEY)
    shop.fails(CONFLICT, "has serial 2, not 1", "pin", "api", "prod", "1.0", *WHY, "--expect-serial", "1", *KEY)
    release = shop.folder / "depot/apps/api/releases/1.0.json"
    envelope = json.loads(release.read_text())
    other = json.loads((release.parent / "1.1.json").read_text())
    release.write_text(json.dumps({**envelope, "signatures": other["signatures"]}))
    shop.fails(DENIED, "release api 1.0", "pin", "api", "prod", "1.0", *WHY, *KEY)
    shop.fails(DENIED, "release api 1.0", "rollback", "api", "prod", *KEY)
    release.unlink()
    shop.fails(NOT_FOUND, "api has no version 1.0", "rollback", "api", "prod", *KEY)
    assert target(shop) == before
    # The bad release does not have to be there to get away from it.
    release.write_text(json.dumps(envelope))
    (release.parent / "1.1.json").unlink()
    assert "pinned to 1.0" in shop.ok("rollback", "api", "prod", *KEY)


def test_target_of_a_withdrawn_key(shop):
    """What nobody trusts is replaced only where the command line says by what."""
    shop.ok("key", "generate", "--out", "new.key")
    shop.ok("root", "rotate", "--root-key", "root.key", "--target-key", "new.key", "--out", "root-2.json")
    sign = ["--key", "new.key", "--root", "root-2.json"]
    pin = ["pin", "api", "prod", "1.0", *WHY, *sign]
    shop.fails(DENIED, "target api prod", *pin)
    shop.fails(DENIED, "target api prod", "rollback", "api", "prod", *sign)
    for verb in ("unpin", "rollback"):
        shop.fails(USAGE, "--force", verb, "api", "prod", "--force", *sign)
    assert "pinned to 1.0 (serial 3)" in shop.ok(*pin, "--force")


def test_two_operators(shop):
    """Each serial is given once; who was late is told, and what is there is one pin, whole."""
    running = [subprocess.Popen(shop.command("pin", "api", "prod", version, "--reason", version, *KEY, "--json"),
                                cwd=shop.folder, env=shop.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True) for version in ("1.0", "1.2") * 4]
    done = [(process.communicate(), process.returncode) for process in running]
    for (_, err), code in done:
        assert code == OK or (code == CONFLICT and "meanwhile" in err), err
    told = [json.loads(out) for (out, _), code in done if code == OK]
    serials = {answer["serial"] for answer in told if answer["changed"]}
    last = target(shop)
    assert serials == set(range(3, last["serial"] + 1))
    assert last["reason"] == last["stable"]["version"]
