"""muster rollout and muster freeze at a desk: what they sign and write, and what they refuse. No instance is there; where one
would have changed the register, the test does."""

import json
import shlex
import subprocess

import pytest
from rig.desk import CONFLICT, DENIED, FAILED, INPUT, NOT_FOUND, OK, UNREACHABLE, USAGE

PROD = "apps/api/groups/prod/"
TARGET = PROD + "target.json"
KEY = ["--key", "target.key"]
START = ["rollout", "start", "api", "prod", "--version", "1.1", *KEY]


@pytest.fixture
def shop(shop):
    """1.0, 1.1 and 1.2 are published, prod is at 1.0."""
    for version in ("1.1", "1.2"):
        (shop.folder / "app/bin/api").write_text(version)
        shop.publish(version)
    shop.set("1.0")
    return shop


def target(shop):
    return shop.payload(TARGET)


def register_file(shop, name):
    return shop.folder / "depot" / f"{PROD}rollouts/{name}.json"


def register(shop, name):
    return json.loads(register_file(shop, name).read_text())


def become(shop, name, **members):
    """What agents would have made of the register."""
    now = register(shop, name)
    register_file(shop, name).write_text(json.dumps({**now, "rev": now["rev"] + 1, **members}))


def started(shop, *words):
    shop.ok(*START, "--id", "r-1", *words)
    return shop


def test_start(shop):
    told = shop.json(*START, "--stages", "1:10m,50%,100%", "--max-parallel", "25%", "--max-failures", "2", "--promote", "manual",
                     "--min-healthy-time", "30s", "--progress-deadline", "5m", "--not-before", "2030-01-01T00:00:00+01:00",
                     "--canary", "i-1", "--urgent", env={"MUSTER_OPERATOR": "ann"})
    signed = target(shop)
    name = signed["rollout"].pop("id")
    assert name.startswith("r-20") and name.endswith("-1")
    assert (told["rollout"], told["candidate"], told["version"], told["serial"]) == (name, "1.1", "1.0", 2)
    assert signed["rollout"] == {
        "not_before": "2029-12-31T23:00:00Z", "max_failures": 2, "promote": "manual", "min_healthy_time": "30s",
        "progress_deadline": "5m", "canaries": ["i-1"],
        "stages": [{"count": 1, "bake": "10m"}, {"percent": 50}, {"percent": 100}]}
    assert (signed["max_parallel"], signed["urgent"], signed["stable"]["version"]) == ("25%", True, "1.0")
    there = register(shop, name)
    assert (there["state"], there["stage"], there["rev"], there["writer"]) == ("active", 0, 1, "ann")
    assert there["release_sha256"] == signed["candidate"]["release_sha256"]
    # Only one at a time, and nothing else is set over it.
    shop.fails(CONFLICT, f"rollout {name} to 1.1 is under way: muster rollout abort api prod first", *START)
    shop.fails(CONFLICT, "is under way", "target", "set", "--app", "api", "--group", "prod", "--version", "1.2", *KEY)
    shop.fails(CONFLICT, "is not complete: stage 1 of 3", "rollout", "finish", "api", "prod", *KEY)


def test_start_says_so(shop):
    assert shop.ok(*START, "--id", "build-7") == "api in prod: started rollout build-7 from 1.0 to 1.1 (serial 2)\n"
    # A start that is repeated under its name is one start.
    assert shop.ok(*START, "--id", "build-7") == "api in prod: already in rollout build-7 from 1.0 to 1.1 (serial 2)\n"
    shop.ok("rollout", "abort", "api", "prod")
    shop.ok("target", "set", "--app", "api", "--group", "prod", "--version", "1.0", *KEY)
    shop.fails(CONFLICT, "there is a register of rollout build-7 already: choose another id", *START, "--id", "build-7")


def test_start_after_it_was_broken_off(shop):
    """The register is there and the target was not written: to start again is to go on."""
    before = (shop.folder / "depot" / TARGET).read_bytes()
    started(shop)
    (shop.folder / "depot" / TARGET).write_bytes(before)
    first = register(shop, "r-1")
    started(shop)
    assert register(shop, "r-1") == first
    (shop.folder / "depot" / TARGET).write_bytes(before)
    shop.fails(CONFLICT, "register of rollout r-1 already", "rollout", "start", "api", "prod", "--version", "1.2", *KEY, "--id",
               "r-1")
    assert (shop.folder / "depot" / TARGET).read_bytes() == before


def test_plain_changes_have_registers(shop):
    """Whoever signs a target makes the register that its instances share, if they are not to change all at once."""
    assert not register_file(shop, "serial-1").exists()
    shop.set("1.0", "--max-parallel", "25%")
    assert register(shop, "serial-2")["release_sha256"] == target(shop)["stable"]["release_sha256"]
    before = (shop.folder / "depot" / TARGET).read_bytes()
    shop.set("1.1")
    made = register(shop, "serial-3")
    # Broken off between the two writes: the same change takes the register that is there, another the next serial.
    (shop.folder / "depot" / TARGET).write_bytes(before)
    assert "serial 3" in shop.set("1.1")
    assert register(shop, "serial-3") == made
    (shop.folder / "depot" / TARGET).write_bytes(before)
    assert "serial 4" in shop.set("1.2")
    register_file(shop, "serial-5").write_text("rubbish")
    assert "serial 6" in shop.ok("pin", "api", "prod", "1.0", "--reason", "x", *KEY)
    assert register(shop, "serial-6")["release_sha256"] == target(shop)["stable"]["release_sha256"]
    shop.ok("pin", "api", "prod", "1.0", "--reason", "x", "--urgent", *KEY)
    assert not register_file(shop, "serial-7").exists()
    shop.ok("unpin", "api", "prod", *KEY)
    assert register(shop, "serial-8")["state"] == "active"
    # Nothing is made by who may not sign.
    shop.fails(DENIED, "signed with key", "target", "set", "--app", "api", "--group", "prod", "--version", "1.2", "--key",
               "release.key")
    assert not register_file(shop, "serial-9").exists()


def test_bad_starts(shop):
    """One line each, and nothing is written."""
    before = shop.depot()
    for message, *words in (
            ('stage 1 is "x", expected a number of instances or a share', "--stages", "x,100%"),
            ("stage 2 is 120%, expected at most 100%", "--stages", "1,120%"),
            (r"stage 2 \(10%\) is not more than a stage before it", "--stages", "50%,10%,100%"),
            ("expected the last stage to be 100%", "--stages", "1,50%"),
            ('--promote is "later", expected auto or manual', "--promote", "later"),
            ('--max-parallel is "x", expected a number', "--max-parallel", "x"),
            ('--not-before is "2030-01-01T00:00:00", without a time zone', "--not-before", "2030-01-01T00:00:00"),
            ("--min-healthy-time", "--min-healthy-time", "soon")):
        shop.fails(USAGE, message, *START, *words)
    shop.fails(USAGE, "--version VERSION is missing", "rollout", "start", "api", "prod", *KEY)
    shop.fails(USAGE, "the group is missing: muster rollout start APP GROUP", "rollout", "start", "--app", "api", "--version",
               "1.1", *KEY)
    shop.fails(NOT_FOUND, "api has no version 9.9", "rollout", "start", "api", "prod", "--version", "9.9", *KEY)
    shop.fails(NOT_FOUND, "no target for the group test", "rollout", "start", "api", "test", "--version", "1.1", *KEY)
    shop.fails(DENIED, "MUSTER_TARGET_KEY", *START[:-2])
    shop.fails(DENIED, "signed with key", *START[:-1], "release.key")
    shop.fails(CONFLICT, "1.0 is the stable release already", "rollout", "start", "api", "prod", "--version", "1.0", *KEY)
    shop.fails(INPUT, "rollout.progress_deadline", *START, "--progress-deadline", "1s")
    shop.fails(INPUT, "serial-9|what changes without a rollout are called", *START, "--id", "serial-9")
    shop.fails(INPUT, r"canaries\[0\]: expected the name of an instance", *START, "--canary", "not one")
    assert shop.depot() == before
    shop.ok("pin", "api", "prod", "1.0", "--reason", "calm", *KEY)
    shop.fails(CONFLICT, r"is pinned to 1.0 \(calm\): muster unpin api prod first", *START)
    for verb in ("pause", "resume", "promote", "abort", "finish"):
        shop.fails(NOT_FOUND, "there is no rollout, 1.0 is", "rollout", verb, "api", "prod",
                   *(KEY if verb == "finish" else ()))


def test_pause_resume_abort(shop):
    started(shop)
    why = ["--reason", "latency", "--by", "ann"]
    assert shop.ok("rollout", "pause", "api", "prod", *why) == (
        "api in prod: rollout r-1: paused in stage 1 of 3: latency, by ann\n")
    assert shop.ok("rollout", "pause", "api", "prod") == (
        "api in prod: rollout r-1: already paused in stage 1 of 3: latency, by ann\n")
    assert shop.json("rollout", "resume", "api", "prod", "--by", "bob") == {
        "app": "api", "group": "prod", "rollout": "r-1", "state": "active", "stage": 1, "stages": 3, "changed": True,
        "by": "bob"}
    assert not shop.json("rollout", "resume", "api", "prod")["changed"]
    signed = target(shop)
    assert shop.ok("rollout", "abort", "api", "prod", "--reason", "bad", env={"MUSTER_OPERATOR": "eve"}) == (
        "api in prod: rollout r-1: aborted in stage 1 of 3: bad, by eve\n")
    assert "already aborted in stage 1" in shop.ok("rollout", "abort", "api", "prod")
    for verb in ("pause", "resume", "promote"):
        shop.fails(CONFLICT, "api in prod: rollout r-1: cannot be .*, it is aborted", "rollout", verb, "api", "prod")
    shop.fails(CONFLICT, "is not complete: aborted in stage 1", "rollout", "finish", "api", "prod", *KEY)
    shop.fails(USAGE, 'operator .* is "a b"', "rollout", "pause", "api", "prod", "--by", "a b")
    assert target(shop) == signed
    # While instances are on their way back nothing else begins.
    become(shop, "r-1", running=2)
    shop.fails(CONFLICT, "was aborted, and instances are still on their way back: .* target set --version 1.0 has it", *START)
    shop.ok("target", "set", "--app", "api", "--group", "prod", "--version", "1.0", *KEY)
    assert not {"candidate", "rollout"} & set(target(shop))
    shop.ok(*START, "--id", "r-2")
    assert target(shop)["rollout"]["id"] == "r-2"


def test_each_start_has_an_id_of_its_own(shop):
    names = []
    for _ in range(3):
        shop.ok(*START)
        names.append(target(shop)["rollout"]["id"])
        shop.ok("rollout", "abort", "api", "prod")
    assert len(set(names)) == 3
    assert [register(shop, name)["state"] for name in names] == ["aborted"] * 3


def test_promote(shop):
    started(shop, "--promote", "manual")
    shop.fails(USAGE, "--stage is 4, expected one of the rollout's 3", "rollout", "promote", "api", "prod", "--stage", "4")
    shop.fails(CONFLICT, "stage 2 is not the one that is open, 1 is", "rollout", "promote", "api", "prod", "--stage", "2")
    assert "stage 1 of 3" in shop.ok("rollout", "promote", "api", "prod", "--stage", "1")
    assert register(shop, "r-1")["promoted"] is True
    shop.fails(CONFLICT, "stage 1 is promoted already", "rollout", "promote", "api", "prod")
    shop.ok("rollout", "abort", "api", "prod")
    shop.ok(*START, "--id", "r-2")
    shop.fails(CONFLICT, "its stages follow each other by themselves", "rollout", "promote", "api", "prod")


def test_finish(shop):
    started(shop)
    become(shop, "r-1", state="complete", stage=2)
    shop.ok("target", "set", "--app", "api", "--group", "prod", "--max-parallel", "1", *KEY)
    shop.fails(CONFLICT, "rollout r-1 to 1.1 is complete and not finished: muster rollout finish api prod first", "rollout",
               "start", "api", "prod", "--version", "1.2", *KEY)
    assert shop.ok("rollout", "finish", "api", "prod", *KEY) == (
        "api in prod: finished rollout r-1, stable is now 1.1 (serial 4)\n")
    signed = target(shop)
    assert (signed["stable"]["version"], signed["previous"]["version"]) == ("1.1", "1.0")
    assert not {"candidate", "rollout"} & set(signed)
    assert register(shop, "serial-4")["release_sha256"] == signed["stable"]["release_sha256"]
    shop.fails(NOT_FOUND, "there is no rollout", "rollout", "finish", "api", "prod", *KEY)


@pytest.mark.parametrize("content", [None, "rubbish", "{}", " " * (2 << 20) + "{}"], ids=["none", "rubbish", "empty", "huge"])
def test_register_that_is_lost(shop, content):
    """Nobody makes a second one; what leads out of it is a new target."""
    started(shop)
    file = register_file(shop, "r-1")
    file.unlink() if content is None else file.write_text(content)
    for verb in ("pause", "abort", "promote"):
        shop.fails(NOT_FOUND if content is None else INPUT, "r-1", "rollout", verb, "api", "prod")
    shop.fails(NOT_FOUND, "no register that can be read", "rollout", "finish", "api", "prod", *KEY)
    shop.ok("target", "set", "--app", "api", "--group", "prod", "--env", "A=1", *KEY)
    assert file.exists() == (content is not None)
    shop.ok(*START, "--id", "r-2")
    assert register(shop, "r-2")["state"] == "active"
    assert "pinned to 1.0" in shop.ok("rollback", "api", "prod", *KEY)


def test_id_that_was_used_before(shop):
    """Also where the register is lost: what instances remember of it, and their marks, are about another candidate."""
    shop.ok(*START)
    name = target(shop)["rollout"]["id"]
    register_file(shop, name).unlink()
    other = ["rollout", "start", "api", "prod", "--version", "1.2", *KEY]
    shop.fails(CONFLICT, f"rollout {name} is about 1.1: choose another id", *other, "--id", name)
    assert shop.json(*other)["rollout"] == name.removesuffix("1") + "2"
    mark(shop, "r-x", "good-1", "i-1")
    shop.ok("rollout", "abort", "api", "prod")
    shop.fails(CONFLICT, "r-x already: choose another id", *START, "--id", "r-x")
    assert not register_file(shop, "r-x").exists()


def test_words_that_are_refused(shop):
    before = started(shop).depot()
    for verb in ("abort", "pause"):
        for reason in ("two\nlines", "\x1b[31mred", "x" * 1025):
            shop.fails(USAGE, "--reason is .*expected one line of text", "rollout", verb, "api", "prod", "--reason", reason)
    shop.fails(USAGE, "--timeout is how long --watch lasts", "rollout", "status", "api", "prod", "--timeout", "1s")
    shop.fails(USAGE, "--timeout is how long --watch lasts", *START, "--id", "r-1", "--timeout", "1s")
    assert shop.depot() == before


def test_values_disturb_no_rollout(shop):
    started(shop)
    before, there = target(shop), register(shop, "r-1")
    where = ["--app", "api", "--group", "prod", *KEY]
    assert shop.ok("target", "set", *where, "--env", "LOG=debug", "--max-parallel", "2") == (
        "api in prod: set, stays at 1.0 (serial 3)\n")
    assert "already so, stays at 1.0 (serial 3)" in shop.ok("target", "set", *where, "--env", "LOG=debug")
    shop.ok("freeze", "add", "api", "prod", "--from", "2030-01-01T00:00:00Z", "--for", "2h", "--reason", "sale", *KEY)
    after = target(shop)
    assert after.pop("env") == {"LOG": "debug"} and after.pop("max_parallel") == 2
    assert after.pop("freeze") == [{"from": "2030-01-01T00:00:00Z", "until": "2030-01-01T02:00:00Z", "reason": "sale"}]
    assert {**after, "serial": 2, "issued": before["issued"]} == before
    assert register(shop, "r-1") == there
    assert sorted(file.name for file in register_file(shop, "x").parent.glob("*.json")) == ["r-1.json"]
    shop.fails(USAGE, "nothing to set: expected --version", "target", "set", *where)


def test_freeze(shop):
    assert shop.ok("freeze", "list", "api", "prod") == "no freeze\n"
    add = ["freeze", "add", "api", "prod", *KEY]
    assert shop.ok(*add, "--from", "2030-01-01T01:00:00+01:00", "--until", "2030-01-02T00:00:00Z") == (
        "api in prod: frozen from 2030-01-01T00:00:00Z until 2030-01-02T00:00:00Z (serial 2)\n")
    shop.ok(*add, "--for", "1h", "--reason", "broadcast")
    assert [item["state"] for item in shop.json("freeze", "list", "api", "prod")["freeze"]] == ["holds", "comes"]
    listed = shop.ok("freeze", "list", "api", "prod").splitlines()
    assert listed[0].split() == ["FROM", "UNTIL", "STATE", "REASON"] and listed[1].endswith("holds  broadcast")
    before = target(shop)
    for message, *words in (
            ("expected either --until TIME or --for TIME", "--from", "2030-01-01T00:00:00Z"),
            ("expected either", "--until", "2030-01-01T00:00:00Z", "--for", "1h"),
            ("without a time zone", "--until", "2030-01-01T00:00:00"),
            ("the freeze ends before it begins: expected --until to be later than --from", "--from", "2030-01-02T00:00:00Z",
             "--until", "2030-01-01T00:00:00Z"),
            ("expected --until to be later than now", "--until", "2020-01-01T00:00:00Z"),
            ("the freeze is over already", "--from", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z")):
        shop.fails(USAGE, message, *add, *words)
    shop.fails(NOT_FOUND, "no freeze begins at 2031-01-01T00:00:00Z: muster freeze list api prod", "freeze", "remove", "api",
               "prod", "--from", "2031-01-01T00:00:00Z", *KEY)
    assert target(shop) == before
    assert "no freeze at 2030-01-01T00:00:00Z any more (serial 4)" in shop.ok(
        "freeze", "remove", "api", "prod", "--from", "2030-01-01T00:00:00Z", *KEY)
    assert [window.get("reason") for window in target(shop)["freeze"]] == ["broadcast"]


def mark(shop, rollout, kind, instance):
    file = shop.folder / "depot" / PROD / "rollouts" / rollout / kind / f"{instance}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")


def report(shop, instance, **members):
    """What the instance says of itself, from now on."""
    file = shop.folder / "depot" / PROD / "instances" / f"{instance}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"instance": instance, "app": "api", "state": "good", "version": "1.0",
                                "since": "2026-01-01T00:00:00Z", **members}))


def play(shop):
    """Three instances: one runs the candidate, one changes, one failed at its hook."""
    started(shop, "--stages", "1,50%,100%", "--max-failures", "1", "--max-parallel", "1")
    failure = {"version": "1.1", "step": "AfterInstall", "reason": "hook hooks/migrate ended with 1", "at": "2026-01-01T00:00:00Z"}
    report(shop, "i-1", version="1.1", rollout={"id": "r-1", "role": "member"})
    report(shop, "i-2", state="deploying", reason="deployment d-2 of release 1.1 is in step FETCH")
    report(shop, "i-3", state="held", last_failure=failure)
    for kind, instance in (("up-1", "i-1"), ("good-1", "i-1"), ("up-1", "i-2"), ("up-1", "i-3"), ("failed-1", "i-3")):
        mark(shop, "r-1", kind, instance)
    left = shop.folder / "depot" / PROD / "failures" / register(shop, "r-1")["release_sha256"] / "i-3.json"
    left.parent.mkdir(parents=True)
    left.write_text(json.dumps({**failure, "deployment": {"steps": [
        {"step": "AFTER_INSTALL", "output_tail": "connecting\n\x1b[31mno such table\n"}]}}))
    become(shop, "r-1", live=3, fleet=3, members=1, running=2, failures=1, stage=1, places=[
        {"instance": "i-2", "attempt": 1, "move": "up", "until": "2099-01-01T00:00:00Z"}])
    return shop


def test_status(shop):
    assert shop.ok("rollout", "status", "api", "prod") == "api in prod, serial 1: no rollout: 1.0 is stable\n"
    shop.fails(NOT_FOUND, "there is no rollout, 1.0 is stable", "rollout", "status", "api", "prod", "--watch")
    play(shop)
    shown = shop.ok("rollout", "status", "api", "prod")
    assert "rollout r-1 from 1.0 to 1.1\nstate      active, stage 2 of 3: 1 of 1 healthy, 1 changing\n" in shown
    assert "rules      1 at once, 1 of them may fail, promote auto\n" in shown
    assert "i-3: 1.1 failed at AfterInstall, " in shown
    assert "ago: hook hooks/migrate ended with 1\n    | connecting\n    | ?[31mno such table\n" in shown
    rows = [line.split()[:3] for line in shown.splitlines() if line.startswith("i-") and ":" not in line.split()[0]]
    assert rows == [["i-2", "1.0", "changing"], ["i-3", "1.0", "failed"], ["i-1", "1.1", "member"]]
    told = shop.json("rollout", "status", "api", "prod")
    assert [stage["state"] for stage in told["stages"]] == ["done", "open", "to come"]
    assert (told["state"], told["stage"], told["changing"], told["failures"]) == ("active", 2, 1, 1)
    shop.fails(NOT_FOUND, "no target for the group test", "rollout", "status", "api", "test")


def test_why(shop):
    play(shop)
    where = ["--app", "api", "--group", "prod"]
    report(shop, "i-4")
    assert shop.ok("why", "i-2", *where) == ("i-2 changes to 1.1 (deployment d-2 of release 1.1 is in step FETCH), until "
                                            "2099-01-01T00:00:00Z at most\n")
    assert "i-4 waits for its stage to change to 1.1; rollout r-1 is active: stage 2 of 3" in shop.ok("why", "i-4", *where)
    assert "those who change now: i-2 (changing, until" in shop.ok("why", "i-4", *where)
    assert "failed with 1.1 and does not try it again" in shop.json("why", "i-3", *where)["why"][0]["why"]
    shop.fails(NOT_FOUND, "no instance i-9 has reported", "why", "i-9", *where)
    shop.fails(USAGE, "the group is missing: muster why INSTANCE", "why", "i-1", "--app", "api")
    shop.fails(UNREACHABLE, "musterd does not run|system bus", "why")


def watch(shop, *words):
    return subprocess.Popen(shop.command("rollout", *words), cwd=shop.folder, env=shop.environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_watch(shop):
    """To its end, with a line for each thing that is new; the status says how it ended."""
    play(shop)
    looking = watch(shop, "status", "api", "prod", "--watch")
    lines = [looking.stdout.readline() for _ in range(4)]
    assert [line.split(" ", 1)[1].split(",")[0].strip() for line in lines] == [
        "i-2: changing", "i-3: failed", "i-1: member", "r-1: active"]
    mark(shop, "r-1", "good-1", "i-2")
    report(shop, "i-2", version="1.1")
    become(shop, "r-1", state="complete", stage=2, members=2, places=[])
    out, err = looking.communicate(timeout=30)
    assert (looking.returncode, err) == (OK, "")
    assert "i-2: member, runs 1.1\n" in out and " r-1: complete; the candidate is not signed as stable yet\n" in out
    assert out.endswith("r-1 is complete; make it permanent: muster rollout finish api prod\n")
    assert "not signed as stable yet\nnext       muster rollout finish api prod: until then 1.0" in shop.ok(
        "rollout", "status", "api", "prod")
    assert "rollout    r-1: complete; the candidate is not signed as stable yet\n" in shop.ok(
        "show", "target", "--app", "api", "--group", "prod")


def test_watch_on_a_terminal(shop):
    """A page that is drawn over itself; no colours where they are not wanted."""
    play(shop)
    become(shop, "r-1", state="complete", stage=2, members=2, places=[])
    command = "stty cols 80 rows 24; exec " + shlex.join(shop.command("rollout", "status", "api", "prod", "--watch"))
    for env, state in (({}, "\033[32mcomplete\033[0m"), ({"NO_COLOR": "1"}, "complete")):
        shown = subprocess.run(["script", "-qec", command, "/dev/null"], cwd=shop.folder, text=True, capture_output=True,
                               env={**shop.environment, "TERM": "xterm", **env}, timeout=30, check=True).stdout
        assert shown.startswith("\033[H") and f"state      {state}; the candidate is not signed as stable yet" in shown
        assert "[====================]" in shown.replace("\033[32m", "").replace("\033[0m", "")
        assert "r-1 is complete; make it permanent" in shown


def test_watch_to_a_bad_end(shop):
    """Aborted, replaced, lost, or not in time: each has its status, and says what failed."""
    play(shop)
    late = watch(shop, "start", "api", "prod", "--version", "1.1", "--id", "r-1", *KEY, "--watch", "--timeout", "1s")
    looking = watch(shop, "status", "api", "prod", "--watch", "--json")
    assert late.communicate(timeout=30)[1] == (
        "muster: rollout r-1 has not ended in that time: stage 2 of 3: 1 of 1 healthy, 1 changing\n")
    assert late.returncode == FAILED
    told = shop.run("rollout", "status", "api", "prod", "--watch", "--json", "--timeout", "1s")
    assert (told.returncode, json.loads(told.stdout)["state"]) == (FAILED, "active")
    become(shop, "r-1", state="aborted", reason="2 instances failed, 1 may", running=0)
    out, _ = looking.communicate(timeout=30)
    assert looking.returncode == FAILED
    assert json.loads(out)["failed"][0]["output"] == ["connecting", "?[31mno such table"]
    done = shop.run("rollout", "status", "api", "prod", "--watch")
    assert done.returncode == FAILED and "r-1: aborted in stage 2 of 3: 2 instances failed, 1 may\n" in done.stdout
    assert done.stdout.endswith("    | connecting\n    | ?[31mno such table\n")
    shop.ok(*START, "--id", "r-2")
    looking = watch(shop, "status", "api", "prod", "--watch")
    assert "r-2: active" in looking.stdout.readline()
    shop.ok("rollback", "api", "prod", *KEY)
    out, _ = looking.communicate(timeout=30)
    assert looking.returncode == FAILED and "r-2 was replaced: api in prod, serial 4, has 1.0 as its stable release" in out
    shop.ok("unpin", "api", "prod", *KEY)
    shop.ok(*START, "--id", "r-3")
    looking = watch(shop, "status", "api", "prod", "--watch")
    assert "r-3: active" in looking.stdout.readline()
    signed = (shop.folder / "depot" / TARGET).read_text()
    (shop.folder / "depot" / TARGET).write_text("nobody signed this")
    _, err = looking.communicate(timeout=30)
    assert looking.returncode == INPUT and err.startswith("muster: target api prod: ")
    (shop.folder / "depot" / TARGET).write_text(signed)
    register_file(shop, "r-3").unlink()
    shop.fails(NOT_FOUND, "rollout r-3: its register is missing: nothing moves", "rollout", "status", "api", "prod", "--watch",
               "--quiet")


def race(shop, *commands):
    """Runs commands at the same time; what each has said, and with which status."""
    running = [subprocess.Popen(shop.command(*words), cwd=shop.folder, env=shop.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True) for words in commands]
    return [(*process.communicate(), process.returncode) for process in running]


def test_two_operators(shop):
    """One wins; each of the others is told in one line."""
    done = race(shop, *(["rollout", "start", "api", "prod", "--version", version, "--id", f"{version}-{i}", *KEY]
                        for i, version in enumerate(("1.1", "1.2") * 3)))
    won = [out for out, _, code in done if code == OK]
    assert len(won) == 1 and target(shop)["rollout"]["id"] in won[0]
    assert all(code == CONFLICT and err.count("\n") == 1 for _, err, code in done if code != OK)
    done = race(shop, *[["rollout", "abort", "api", "prod", "--by", f"eve-{i}", "--json"] for i in range(6)])
    assert [code for _, _, code in done] == [OK] * 6
    winners = [json.loads(out)["by"] for out, _, _ in done if json.loads(out)["changed"]]
    assert winners == [register(shop, target(shop)["rollout"]["id"])["by"]]


def test_two_promote(shop):
    started(shop, "--promote", "manual")
    done = race(shop, *[["rollout", "promote", "api", "prod"]] * 6)
    assert sorted(code for *_, code in done) == [OK] + [CONFLICT] * 5
    assert all("promoted already" in err for _, err, code in done if code == CONFLICT)
    assert register(shop, "r-1")["rev"] == 2
