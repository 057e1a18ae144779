"""muster simulate: the timeline of a rollout before it is started. Boots nothing."""

import json

import pytest
from rig.desk import FAILED, INPUT, NOT_FOUND, USAGE

SHA = "a" * 64


def _target(**members):
    return {"app": "api", "group": "prod", "serial": 18, "issued": "2026-11-21T09:00:00Z",
            "stable": {"version": "1.4.1", "release_sha256": SHA}, "candidate": {"version": "1.4.2", "release_sha256": "b" * 64},
            "rollout": {"id": "r-1", "not_before": "2099-01-01T10:00:00Z", "max_failures": 1,
                        "stages": [{"count": 1, "bake": "10m"}, {"percent": 25, "bake": "10m"}, {"percent": 100}]},
            "max_parallel": "25%", **members}


@pytest.fixture
def target(desk):
    def write(whole=True, **members):
        content = _target(**members)
        if not whole:
            content = {name: value for name, value in content.items() if name not in ("candidate", "rollout", "max_parallel")}
        (desk.folder / "target.json").write_text(json.dumps(content))
        return ("--target", "target.json")
    return write


def test_timeline(desk, target):
    told = desk.json("simulate", *target(), "--fleet", 100)
    assert told["begins"] == "2099-01-01T10:00:00Z" and told["ends"] == "2099-01-01T10:25:00Z" and told["problem"] is None
    assert [(s["instances"], s["at_once"], s["opens"][11:19], s["ends"][11:19]) for s in told["stages"]] == [
        (1, 1, "10:00:00", "10:11:00"), (25, 24, "10:11:00", "10:22:00"), (100, 25, "10:22:00", "10:25:00")]
    assert told["serving_at_worst"] == 74
    freeze = [{"from": "2099-01-01T10:05:00Z", "until": "2099-01-01T12:00:00Z", "reason": "the final"}]
    text = desk.ok("simulate", *target(freeze=freeze), "--fleet", 100, "--deploy-time", "90s")
    assert "api in prod: r-1 from 1.4.1 to 1.4.2, 100 instances of which each takes 1m30s\n" in text
    assert "frozen from 2099-01-01T10:05:00Z until 2099-01-01T12:00:00Z: the final\n" in text
    assert "complete at 2099-01-01T12:16:00Z at the earliest, 2h16m after it begins\n" in text
    assert text.splitlines()[4].split()[:6] == ["1", "1", "1", "+0s", "+1m30s", "+2h"]


def test_bad(desk, target):
    done = desk.run("simulate", *target(), "--fleet", 10, "--deploy-time", "1h")
    assert done.returncode == FAILED and "it would not complete: aborted in stage 3 of 3: 2 instances failed" in done.stdout
    desk.fails(USAGE, "fleet", "simulate", *target())
    desk.fails(INPUT, "a fleet of 0", "simulate", *target(), "--fleet", 0)
    desk.fails(INPUT, "goes to 1.4.1 at once", "simulate", *target(whole=False), "--fleet", 9)
    desk.fails(INPUT, "target.json: .*rollout.not_before: missing", "simulate", *target(rollout={"id": "r-1"}), "--fleet", 9)
    desk.fails(USAGE, "not both", "simulate", "api", "prod", *target(), "--fleet", 9)
    desk.fails(NOT_FOUND, "none.json", "simulate", "--target", "none.json", "--fleet", 9)
    (desk.folder / "target.json").write_text("{")
    desk.fails(INPUT, "target.json", "simulate", "--target", "target.json", "--fleet", 9)


def test_in_force(desk):
    desk.trust().app()
    desk.publish("1.0")
    desk.set("1.0")
    signed = desk.folder / "depot/apps/api/groups/prod/target.json"
    desk.fails(INPUT, "no max_parallel", "simulate", "api", "prod", "--fleet", 9)
    desk.fails(INPUT, "no max_parallel", "simulate", "--target", signed, "--fleet", 9)
    desk.fails(NOT_FOUND, "no target for the group staging", "simulate", "api", "staging", "--fleet", 9)
