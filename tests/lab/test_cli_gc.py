"""muster gc: what no target needs goes from the depot, and nothing else. Boots nothing."""

import json
import os
import time

import pytest
from rig import faults
from rig.desk import DENIED, INPUT, NOT_FOUND, USAGE, Desk

DAY = 86400
PROD = "apps/api/groups/prod"


class Depot:
    """A depot in which api 1.0 to 1.4 were published, and prod runs 1.3, after 1.2."""

    def __init__(self, desk):
        self.desk = desk.trust()
        self.top = desk.folder / "depot"
        folder = desk.app()
        for number in range(5):
            (folder / "bin/api").write_text(f"program {number}\n")
            desk.publish(f"1.{number}")
        desk.set("1.2")
        desk.set("1.3")

    def write(self, key, content="{}"):
        path = self.top / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return key

    def age(self, days, *patterns):
        when = time.time() - days * DAY
        for pattern in patterns or ("**/*",):
            for path in self.top.glob(pattern):
                os.utime(path, (when, when))

    def report(self, instance, **members):
        return self.write(f"{PROD}/instances/{instance}.json", json.dumps({"state": "good", **members}))

    def keys(self):
        return set(self.desk.depot())

    def artifact(self, version):
        digest = self.desk.payload(f"apps/api/releases/{version}.json")["artifacts"]["any"]["sha256"]
        return f"apps/api/artifacts/{digest}.tar.zst"

    def gc(self, *words):
        return self.desk.json("gc", *words)


@pytest.fixture
def depot(desk):
    return Depot(desk)


def _unneeded(told):
    return {(line["kind"], line.get("name"), line["objects"]) for line in told["unneeded"]}


def test_dry_and_real(depot):
    over = [depot.write(f"{PROD}/rollouts/r-1.json"), depot.write(f"{PROD}/rollouts/r-1/up-1/i-1.json"),
            depot.write(f"{PROD}/rollouts/r-1/good-1/i-1.json"), depot.write(f"{PROD}/failures/{'a' * 64}/i-1.json"),
            depot.report("i-gone", version="1.0"), depot.write("apps/api/groups/dead/instances/i-1.json"),
            depot.write("apps/api/groups/dead/freshness.json")]
    current = [depot.write(f"{PROD}/rollouts/serial-2.json"), depot.write(f"{PROD}/rollouts/serial-2/up-1/i-1.json"),
               depot.write("apps/api/notes.txt"), depot.write("apps/web/releases/1.0.json"), depot.write("README")]
    everything, artifacts = depot.keys(), {number: depot.artifact(f"1.{number}") for number in range(5)}
    assert depot.gc()["objects"] == 0
    assert "nothing to remove" in depot.desk.ok("gc")

    depot.age(31)
    depot.age(2, "apps/api/releases/1.4.json", f"{artifacts[4]}")  # for a rollout on Monday
    depot.report("i-1", version="1.3", local_pin={"version": "1.1"})
    gone = {*over, "apps/api/releases/1.0.json", artifacts[0]}
    told = depot.gc()
    assert told["dry_run"] and told["objects"] == len(gone) and told["removed"] == 0 and told["foreign"] == 1
    assert told["bytes"] == sum(len(content) for key, content in depot.desk.depot().items() if key in gone)
    assert _unneeded(told) >= {("release", "1.0", 1), ("mark", "r-1", 2), ("report", None, 1), ("failure", None, 1)}
    text = depot.desk.ok("gc").splitlines()
    assert text[0].split() == ["WHAT", "OF", "OBJECTS", "SIZE", "WRITTEN", "WHY"]
    assert text[1].startswith("release    api 1.0 ") and text[1].endswith("31d ago  no target names it")
    assert text[-1].endswith("are needed by nobody; --yes removes them")
    assert depot.keys() == everything | {f"{PROD}/instances/i-1.json"}

    done = depot.gc("--yes")
    assert done["removed"] == len(gone) and done["failed"] == 0 and not done["dry_run"]
    assert depot.keys() == everything - gone | {f"{PROD}/instances/i-1.json"}
    assert set(current) <= depot.keys() and artifacts[1] in depot.keys()
    assert depot.desk.ok("gc", "--yes", "--quiet") == ""
    depot.desk.ok("rollback", "api", "prod", "--key", "target.key")  # what it leads to is there


def test_app_that_nobody_runs(depot):
    depot.write("apps/web/releases/1.0.json")
    depot.write("apps/web/artifacts/stranger.txt")
    depot.age(40)
    assert depot.gc("--app", "web")["objects"] == 1
    assert depot.desk.ok("gc", "--app", "web").endswith(" is needed by nobody; --yes removes it\n")
    assert {line["app"] for line in depot.gc()["unneeded"]} == {"api"}
    assert depot.gc("--app", "web", "--yes")["removed"] == 1
    assert "apps/web/artifacts/stranger.txt" in depot.keys()


def test_refuses(depot):
    """What a target needs must be known, or nothing goes."""
    desk, target = depot.desk, depot.top / f"{PROD}/target.json"
    depot.age(40)
    before, signed = depot.keys(), target.read_bytes()
    desk.fails(USAGE, "less than a day", "gc", "--older-than", "23h")
    desk.fails(NOT_FOUND, "no trust root", "gc", "--root", "none.json")
    target.write_text("{")
    desk.fails(INPUT, "nothing is removed: what api in prod needs cannot be told", "gc", "--yes")
    forged = json.loads(signed)
    forged["signatures"][0]["sig"] = "A" * 86 + "=="
    target.write_text(json.dumps(forged))
    desk.fails(DENIED, "nothing is removed", "gc", "--yes")
    target.write_bytes(signed)
    release = depot.top / "apps/api/releases/1.3.json"
    kept = release.read_bytes()
    release.write_bytes((depot.top / "apps/api/releases/1.1.json").read_bytes())
    desk.fails(INPUT, "nothing is removed", "gc", "--yes")
    release.unlink()
    desk.fails(NOT_FOUND, "nothing is removed: .* has no version 1.3", "gc", "--yes")
    release.write_bytes(kept)
    assert depot.keys() == before


def test_release_of_a_later_muster(depot):
    """What a release that stays is made of cannot be told: no artifact goes."""
    depot.age(40)
    (depot.top / "apps/api/releases/1.4.json").write_text('{"payloadType": "of a later muster"}')
    assert {line["kind"] for line in depot.gc()["unneeded"]} == {"release"}


def test_published_again(depot):
    """An artifact that has been there for long, and is about to be needed, is not taken for garbage."""
    depot.age(40)
    artifact, folder = depot.artifact("1.0"), depot.desk.folder / "app"
    (folder / "bin/api").write_text("program 0\n")
    assert artifact in {f"apps/api/artifacts/{line['name']}.tar.zst" for line in depot.gc()["unneeded"]}
    assert json.loads(depot.desk.publish("2.0", "--json"))["artifacts"][0]["uploaded"]
    assert (depot.top / artifact).stat().st_mtime > time.time() - DAY
    assert depot.gc("--yes")["removed"] > 0
    assert artifact in depot.keys()
    assert not json.loads(depot.desk.publish("2.1", "--json"))["artifacts"][0]["uploaded"]


def test_bucket(built, cloud, bucket, tmp_path):
    """In S3, whose clock goes on two days meanwhile."""
    desk, s3 = Desk(tmp_path, cloud), cloud.client("s3")
    desk.environment["MUSTER_DEPOT"] = f"s3://{bucket}/depot"
    desk.trust().app()
    desk.publish("1.0")
    (desk.folder / "app/bin/api").write_text("another\n")
    desk.publish("1.1")
    desk.set("1.1")
    for number in range(70):
        s3.put_object(Bucket=bucket, Key=f"depot/{PROD}/rollouts/r-1/up-1/i-{number}.json", Body=b"{}")
    assert desk.json("gc", "--older-than", "1d")["objects"] == 0
    cloud.proxy.clock_offset = 2 * DAY
    told = desk.json("gc", "--older-than", "1d")
    assert told["objects"] == 72
    with cloud.fault(faults.access_denied(), times=1, service="s3", method="DELETE"):
        done = desk.run("gc", "--older-than", "1d", "--yes", "--json")
    assert done.returncode == DENIED and "AccessDenied" in done.stderr and json.loads(done.stdout)["removed"] == 71
    assert desk.json("gc", "--older-than", "1d", "--yes")["removed"] == 1
    left = {o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert f"depot/{PROD}/target.json" in left and len(left) == 3


@pytest.fixture
def aged(built, cloud, bucket, tmp_path):
    """A depot in S3 in which 1.0 to 1.2 were published two days ago, and prod runs 1.2."""
    desk = Desk(tmp_path, cloud)
    desk.environment["MUSTER_DEPOT"] = f"s3://{bucket}/depot"
    desk.trust().app()
    for version in ("1.0", "1.1", "1.2"):
        (desk.folder / "app/bin/api").write_text(f"{version}\n")
        desk.publish(version)
    desk.set("1.2")
    cloud.proxy.clock_offset = 2 * DAY
    return desk


def choosing(desk, version):
    """Somebody chooses a release in the moment in which it is removed."""
    def choose(request, forward):
        desk.ok("rollout", "start", "api", "prod", "--version", version, "--key", "target.key")
        return forward(request)
    return {"act": choose, "times": 1, "service": "s3", "method": "DELETE", "path": f"/releases/{version}.json"}


def test_chosen_as_it_goes(aged, cloud, bucket):
    """It is put back, byte for byte, and its artifact never went."""
    desk, s3 = aged, cloud.client("s3")
    key = "depot/apps/api/releases/1.0.json"
    before = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with cloud.fault(**choosing(desk, "1.0")):
        told = desk.json("gc", "--older-than", "1d", "--yes")
    assert cloud.proxy.requests(service="s3", method="DELETE", path=r"/releases/1\.0\.json")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == before
    assert (told["removed"], told["failed"]) == (2, 0)  # 1.1 and its artifact, in the second round
    assert desk.json("gc", "--older-than", "1d", "--yes")["removed"] == 0
    kinds = [o["Key"].split("/")[3] for o in s3.list_objects_v2(Bucket=bucket, Prefix="depot/apps/")["Contents"]]
    assert (kinds.count("releases"), kinds.count("artifacts")) == (2, 2)


def test_one_that_cannot_be_put_back(aged, cloud, bucket):
    """It keeps no other one away, and is told."""
    def put(version):
        return {"service": "s3", "method": "PUT", "path": f"/releases/{version}.json"}
    with cloud.fault(**choosing(aged, "1.1")), cloud.fault(faults.access_denied(), **put("1.0")), \
            cloud.fault(faults.slow_down(), times=1, **put("1.1")):
        done = aged.run("gc", "--older-than", "1d", "--yes")
    assert done.returncode == DENIED, done
    assert "releases that somebody may have chosen as they went are not there any more: " in done.stderr
    cloud.client("s3").head_object(Bucket=bucket, Key="depot/apps/api/releases/1.1.json")
