"""muster show failure: what instances that are no more have left in the depot."""

import json
import os

import pytest
from rig.desk import INPUT, NOT_FOUND

SHA = "a" * 64
WHERE = ["--app", "api", "--group", "prod"]


@pytest.fixture
def left(desk):
    """Leaves a failure of an instance in the depot."""
    (desk.folder / "depot").mkdir()

    def leave(instance, at, **more):
        path = desk.folder / f"depot/apps/api/groups/prod/failures/{SHA}/AROA:{instance}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        failure = {"schema": 1, "instance": instance, "app": "api", "group": "prod", "version": "1.0", "step": "UNITS",
                   "at": f"2026-11-21T09:00:{at:02}Z", "reason": "api.service failed",
                   "deployment": {"steps": [{"step": "UNITS", "result": "failed", "seconds": 1.5,
                                             "output_tail": "api: boom\n"}]},
                   "journal": ["musterd: release 1.0 begins", "musterd: \033[31mevil"], **more}
        path.write_text(json.dumps(failure))
        os.utime(path, (at, at))
        return failure
    return leave


def test_list_and_one(desk, left):
    desk.fails(NOT_FOUND, "no failure is kept for app api in group prod", "show", "failure", *WHERE)
    left("i-1", 1)
    second = left("i-2", 2, version="1.1")
    listed = desk.ok("show", "failure", *WHERE).splitlines()
    assert listed[0].split() == ["INSTANCE", "VERSION", "STEP", "AT", "REASON"]
    assert listed[1].split(None, 4) == ["i-2", "1.1", "UNITS", second["at"], "api.service failed"]
    assert listed[2].startswith("i-1 ")
    assert len(desk.ok("show", "failure", *WHERE, "--limit", "1").splitlines()) == 2
    told = desk.json("show", "failure", *WHERE, "--instance", "i-2")["failures"]
    assert [f["instance"] for f in told] == ["i-2"] and told[0]["version"] == "1.1"
    whole = desk.ok("show", "failure", *WHERE, "--instance", "i-1")
    assert whole.startswith("i-1 of group prod, api 1.0, 2026-11-21T09:00:01Z\nfailed in UNITS: api.service failed\n")
    assert "| api: boom" in whole and "release 1.0 begins" in whole and "\033" not in whole
    desk.fails(NOT_FOUND, "instance i-3", "show", "failure", *WHERE, "--instance", "i-3")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"instance": 1, "reason": null, "deployment": [], "journal": {}}'])
def test_bad_documents(desk, left, text):
    """Anybody who may write there can write anything."""
    left("i-1", 1)
    (desk.folder / f"depot/apps/api/groups/prod/failures/{SHA}/AROA:i-1.json").write_text(text)
    done = desk.run("show", "failure", *WHERE, "--instance", "i-1")
    assert done.returncode in (0, INPUT, 1), done
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 1
