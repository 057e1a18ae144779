"""muster root, target, show and verify, on a depot in a folder."""

import base64
import json
import os
import re
import shutil
import subprocess

import pytest
from rig.desk import CONFLICT, DENIED, INPUT, NOT_FOUND, OK
from rig.host import wait_for


# Trust roots


def test_root(desk):
    desk.trust("--expires", "30d", "--depot", f"file://{desk.folder}/depot")
    assert desk.depot() == {"root/1.json": (desk.folder / "root.json").read_bytes()}
    root = desk.json("root", "show")
    ids = {role: desk.json("key", "show", f"{role}.pub")["id"] for role in ("root", "release", "target")}
    assert {role: entry["keyids"] for role, entry in root["roles"].items() if entry["keyids"]} == {
        role: [id] for role, id in ids.items()}
    assert "must sign" in desk.ok("root", "show")
    desk.fails(CONFLICT, r"root\.json exists already", "root", "init", "--root-key", "root.key", "--release-key",
               "release.pub", "--target-key", "target.pub", "--out", "root.json")


def test_root_of_several_people(desk):
    desk.keys()
    (desk.folder / "depot").mkdir()
    for name in "ab":
        desk.ok("key", "generate", "--out", f"{name}.key", "--public-out", f"{name}.pub")
    make = ["root", "init", "--root-key", "a.key", "--root-key", "b.pub", "--threshold", "root=2", "--release-key",
            "release.key", "--target-key", "target.pub", "--out", "root.json"]
    text = desk.ok(*make)
    assert "not valid yet" in text and "muster root sign root.json" in text
    desk.fails(DENIED, r"root\.json", "root", "show")
    desk.fails(DENIED, r"root\.json", "root", "publish", "root.json")
    assert desk.depot() == {}
    desk.ok("root", "sign", "root.json", "--root-key", "b.key")
    desk.ok("root", "publish", "root.json")
    assert "already in the depot" in desk.ok("root", "publish", "root.json")
    assert desk.json("root", "show")["roles"]["root"]["threshold"] == 2
    assert "PRIVATE" not in (desk.folder / "root.json").read_text()


def test_root_rotates(shop):
    shop.ok("root", "publish", "root.json")
    shop.ok("key", "generate", "--out", "new.key", "--public-out", "new.pub")
    shop.ok("root", "rotate", "--root-key", "root.key", "--release-key", "new.pub", "--out", "root-2.json", "--depot",
            f"file://{shop.folder}/depot")
    assert "signed by its predecessor" in shop.ok("verify", "root-2.json")
    shop.fails(DENIED, "release", "show", "release", "--app", "api", "--version", "1.0", "--root", "root-2.json")
    second = shop.json("root", "show", "--root", "root-2.json")
    assert second["version"] == 2 and second["roles"]["target"] == shop.json("root", "show")["roles"]["target"]
    shop.ok("root", "rotate", "--root-key", "new.key", "--out", "forged.json")
    shop.fails(DENIED, "root", "root", "publish", "forged.json")


@pytest.mark.parametrize("words, code, pattern", [
    (["--threshold", "release=3"], INPUT, "release"),
    (["--threshold", "release"], INPUT, "release=2"),
    (["--threshold", "chief=1"], INPUT, "release=2"),
    (["--root-key", "root.pub"], DENIED, "no private key"),
    (["--release-key", "gone.pub"], NOT_FOUND, r"gone\.pub"),
    (["--release-key", "app/appspec.yml"], INPUT, "Ed25519"),
    (["--expires", "0"], INPUT, "expected more than 0"),
    (["--expires", "36501d"], INPUT, "at most 36500d"),
    (["--out", "no/where.json"], NOT_FOUND, "no/where.json"),
])
def test_root_refused(desk, words, code, pattern):
    desk.keys().app()
    given = {"--root-key": "root.key", "--release-key": "release.pub", "--target-key": "target.pub", "--out": "r.json",
             **dict(zip(words[::2], words[1::2]))}
    desk.fails(code, pattern, "root", "init", *[word for pair in given.items() for word in pair])
    assert not (desk.folder / "r.json").exists()


def test_no_root(shop):
    shop.fails(NOT_FOUND, r"gone\.json", "show", "release", "--app", "api", "--version", "1.0", "--root", "gone.json")
    shop.fails(INPUT, "appspec.yml", "show", "release", "--app", "api", "--version", "1.0", "--root", "app/appspec.yml")


def test_expired_root(shop):
    shop.ok("root", "init", "--root-key", "root.key", "--release-key", "release.pub", "--target-key", "target.pub",
            "--expires", "1s", "--out", "old.json")
    wait_for(lambda: "EXPIRED" in shop.ok("root", "show", "--root", "old.json"), 10, "the root to expire")
    shop.fails(DENIED, "expired", "show", "release", "--app", "api", "--version", "1.0", "--root", "old.json")


# Targets


def test_target(shop):
    shop.app("next")
    (shop.folder / "next/bin/api").write_text("next\n")
    shop.publish("1.1", source="next")
    assert "api in prod: now 1.0 (serial 1)" in shop.set("1.0", "--env", "LOG_LEVEL=info", "--env", "A=b=c")
    assert "now 1.1 (serial 2)" in shop.set("1.1")
    assert "already 1.1 (serial 2)" in shop.set("1.1")
    target = shop.payload("apps/api/groups/prod/target.json")
    release = shop.json("show", "release", "--app", "api", "--version", "1.1")
    assert target["stable"] == {"version": "1.1", "release_sha256": release["sha256"]}
    assert target["env"] == {"LOG_LEVEL": "info", "A": "b=c"}
    shop.set("1.1", "--unset-env", "A", "--env", "LOG_LEVEL=debug")
    target = shop.payload("apps/api/groups/prod/target.json")
    assert (target["serial"], target["env"]) == (3, {"LOG_LEVEL": "debug"})
    assert shop.json("target", "show", "--app", "api", "--group", "prod")["target"] == target
    assert shop.json("show", "target", "--app", "api", "--group", "prod")["target"] == target
    text = shop.ok("target", "show", "--app", "api", "--group", "prod")
    assert "serial 3" in text and "LOG_LEVEL=debug" in text and "1.1" in text


def test_target_refused(shop):
    def refused(code, pattern, *words, version="1.0", group="prod"):
        shop.fails(code, pattern, "target", "set", "--app", "api", "--group", group, "--version", version, "--key",
                   "target.key", *words)

    refused(NOT_FOUND, "api has no version 9.9 in file://", version="9.9")
    refused(INPUT, "LOG_LEVEL=info", "--env", "nonsense")
    refused(INPUT, "env", "--env", "MUSTER_X=1")
    refused(INPUT, "env", "--env", "1A=1")
    refused(CONFLICT, "has serial 0, not 4", "--expect-serial", "4")
    shop.fails(DENIED, "signed with key .*target", "target", "set", "--app", "api", "--group", "prod", "--version", "1.0",
               "--key", "release.key")
    shop.set("1.0", "--expect-serial", "0")
    refused(CONFLICT, "has serial 1, not 0", "--expect-serial", "0")
    shop.fails(NOT_FOUND, "api has no target for the group test", "target", "show", "--app", "api", "--group", "test")
    assert shop.payload("apps/api/groups/prod/target.json")["serial"] == 1


def test_target_of_another_group(shop):
    """Somebody copies a target to where another group looks for its own."""
    shop.set("1.0")
    groups = shop.folder / "depot/apps/api/groups"
    shutil.copytree(groups / "prod", groups / "test")
    shop.fails(INPUT, 'group: expected "test", not "prod"', "target", "show", "--app", "api", "--group", "test")
    shop.fails(INPUT, 'group: expected "test", not "prod"', "target", "set", "--app", "api", "--group", "test",
               "--version", "1.0", "--key", "target.key")


def test_release_under_another_name(shop):
    releases = shop.folder / "depot/apps/api/releases"
    shutil.copy(releases / "1.0.json", releases / "1.1.json")
    for command in (["show", "release"], ["target", "set", "--group", "g", "--key", "target.key"], ["verify"]):
        shop.fails(INPUT, "release api 1.1: expected this release, found api 1.0", *command, "--app", "api", "--version", "1.1")


def test_target_of_a_withdrawn_key(shop):
    shop.set("1.0")
    shop.ok("key", "generate", "--out", "new.key")
    shop.ok("root", "rotate", "--root-key", "root.key", "--target-key", "new.key", "--out", "root-2.json")
    command = ["target", "set", "--app", "api", "--group", "prod", "--version", "1.0", "--env", "X=1", "--key", "new.key",
               "--root", "root-2.json"]
    shop.fails(DENIED, "target", *command)
    assert "serial 2" in shop.ok(*command, "--force")


def test_lost_race_for_a_target(shop):
    """Many set different targets at the same time: every serial is given once, whoever was late is told so."""
    for i in range(5):
        (shop.app(f"app{i}") / "bin/api").write_text(f"{i}\n")
        shop.publish(f"2.{i}", source=f"app{i}")
    running = [subprocess.Popen(shop.command("target", "set", "--app", "api", "--group", "prod", "--version", f"2.{i}",
                                             "--key", "target.key", "--json"), cwd=shop.folder, env=shop.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in range(5)]
    done = [(process.communicate(), process.returncode) for process in running]
    serials = [json.loads(out)["serial"] for (out, _), code in done if code == OK]
    assert sorted(serials) == list(range(1, len(serials) + 1)) and serials
    for (_, err), code in done:
        assert code == OK or (code == CONFLICT and "meanwhile" in err), err
    assert shop.payload("apps/api/groups/prod/target.json")["serial"] == len(serials)


def test_freshness(desk):
    desk.trust("--freshness-key", "freshness.pub")
    desk.app()
    desk.publish("1.0")
    assert "muster target refresh" in desk.set("1.0")
    where = ["--app", "api", "--group", "prod"]
    assert "never refreshed" in desk.ok("target", "show", *where)
    assert "fresh until" in desk.ok("target", "refresh", *where, "--freshness-key", "freshness.key", "--fresh-for", "1h")
    fresh = desk.payload("apps/api/groups/prod/freshness.json")
    assert fresh["serial"] == 1
    assert fresh["target_sha256"] == desk.json("target", "show", *where)["sha256"]
    assert "until" in desk.ok("target", "show", *where)
    assert "fresh until" in desk.set("1.0", "--env", "A=1", "--freshness-key", "freshness.key")
    assert desk.payload("apps/api/groups/prod/freshness.json")["serial"] == 2
    desk.set("1.0", "--env", "A=2")
    assert re.search("fresh +no:", desk.ok("target", "show", *where))
    desk.fails(DENIED, "freshness", "target", "refresh", *where, "--freshness-key", "target.key")
    desk.fails(DENIED, "MUSTER_FRESHNESS_KEY", "target", "refresh", *where)
    desk.ok("target", "refresh", *where, env={"MUSTER_FRESHNESS_KEY": (desk.folder / "freshness.key").read_text()})


# Verifying


def test_verify_files(shop):
    shop.set("1.0")
    depot = shop.folder / "depot/apps/api"
    shop.environment["MUSTER_DEPOT"] = "s3://no-network-is-needed"
    assert "release api 1.0" in shop.ok("verify", depot / "releases/1.0.json")
    assert "target of api in prod, serial 1" in shop.ok("verify", depot / "groups/prod/target.json")
    assert "trust root 1" in shop.ok("verify", "root.json")
    shop.fails(NOT_FOUND, "gone", "verify", "gone")
    shop.fails(INPUT, r"appspec\.yml", "verify", "app/appspec.yml")

    envelope = json.loads((depot / "releases/1.0.json").read_text())
    envelope["payload"] = base64.b64encode(base64.b64decode(envelope["payload"]).replace(b'"1.0"', b'"1.1"')).decode()
    (shop.folder / "forged.json").write_text(json.dumps(envelope))
    shop.fails(DENIED, r"forged\.json", "verify", "forged.json")
    envelope["payloadType"] = "text/plain"
    (shop.folder / "other.json").write_text(json.dumps(envelope))
    shop.fails(INPUT, "payloadType", "verify", "other.json")


def test_verify_reads_every_byte(shop):
    (shop.folder / "app/bin/blob").write_bytes(os.urandom(3_000_000))
    told = shop.json("publish", "app", "--app", "api", "--version", "2.0", "--key", "release.key")
    artifact = shop.folder / f"depot/apps/api/artifacts/{told['artifacts'][0]['sha256']}.tar.zst"
    whole = artifact.read_bytes()
    assert "in 3 chunks" in shop.ok("verify", "--app", "api", "--version", "2.0")
    for offset in (0, 1_500_000, len(whole) - 1):
        artifact.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1:])
        shop.fails(INPUT, "chunk", "verify", "--app", "api", "--version", "2.0")
    artifact.write_bytes(whole[:-1])
    shop.fails(INPUT, "shorter", "verify", "--app", "api", "--version", "2.0")
