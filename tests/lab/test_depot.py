"""artifacts/depot and artifacts/fetch against S3 over TLS with checked signatures and injected faults, by way of
tests/lab/depot-driver.c; boto3 looks at what is in the bucket."""

import hashlib
import random
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rig import faults

TOP = Path(__file__).resolve().parents[2]
DRIVER = TOP / "build/gcc/depot-driver"
PREFIX = "a folder+ü/depot"
MIB = 1 << 20


class Depot:
    """The driver with one depot; every call gives what it said as a dictionary."""

    def __init__(self, cloud, uri, folder):
        self.cloud, self.uri, self.folder = cloud, uri, folder

    def __call__(self, verb, *arguments, content=None, out=None, env=None):
        words = [DRIVER, verb, self.uri, *arguments]
        if content is not None:
            file = self.folder / f"in-{random.getrandbits(64):x}"
            file.write_bytes(content)
            words.insert(4, file)
        command = shlex.join(map(str, words)) + (f" > {shlex.quote(str(out))}" if out else "")
        done = self.cloud.run("sh", "-c", command, check=False, env=env)
        said = dict(line.split("=", 1) for line in done.stderr.splitlines())
        assert "result" in said, done.stderr
        return {**said, "out": done.stdout, "result": int(said["result"])}

    def describe(self, content, chunk_size=MIB):
        """What a signed release would say of an artifact, as the driver reads it."""
        digests = [hashlib.sha256(content[i:i + chunk_size]).hexdigest() for i in range(0, len(content), chunk_size)]
        file = self.folder / "description"
        file.write_text(f"{len(content)} {chunk_size} {hashlib.sha256(content).hexdigest()}\n" + "\n".join(digests) + "\n")
        return file

    def fetch(self, key, content, chunk_size=MIB, **more):
        """Fetches an artifact that should have that content; what has been written is in said["written_bytes"]."""
        out = self.folder / "out"
        said = self("fetch", key, self.describe(content, chunk_size), out=out, **more)
        return {**said, "written_bytes": out.read_bytes()}


@pytest.fixture
def depot(cloud, bucket, tmp_path):
    return Depot(cloud, f"s3://{bucket}/{PREFIX}", tmp_path)


@pytest.fixture
def artifact(cloud, bucket):
    """20 MiB and a bit in the bucket, as the key "artifact"."""
    content = random.Random(1).randbytes(20 * MIB + 12345)
    cloud.client("s3").put_object(Bucket=bucket, Key=f"{PREFIX}/artifact", Body=content)
    return content


def test_put_get_list_delete(depot, cloud, bucket):
    keys = ["apps/a/releases/1.0.json", "apps/a/with space+plus", "apps/ü/€", "root/1.json"]
    for key in keys:
        assert depot("put", key, "create", content=key.encode())["outcome"] == "ok"
    assert cloud.objects(bucket) == [f"{PREFIX}/{key}" for key in keys]
    for key in keys:
        got = depot("get", key)
        assert (got["outcome"], got["out"]) == ("ok", key)
        assert depot("get", key, got["etag"])["outcome"] == "not-modified"
    listed = depot("list", "apps/")
    assert [line.split("\t")[0] for line in listed["out"].splitlines()] == keys[:3]
    assert int(listed["server_time"]) > 1_700_000_000_000_000
    assert depot("delete", keys[0])["outcome"] == "ok"
    assert depot("get", keys[0])["outcome"] == "not-found"


def test_list_takes_all_pages(depot, cloud, bucket):
    client = cloud.client("s3")
    for i in range(1203):
        client.put_object(Bucket=bucket, Key=f"{PREFIX}/marks/{i:04}.json", Body=b"{}")
    listed = depot("list", "marks/")["out"].splitlines()
    assert [line.split("\t")[0] for line in listed] == [f"marks/{i:04}.json" for i in range(1203)]


def test_conditions(depot):
    first = depot("put", "k", "create", content=b"one")
    assert depot("put", "k", "create", content=b"two")["outcome"] == "precondition-failed"
    assert depot("put", "k", "match", '"0"', content=b"two")["outcome"] == "precondition-failed"
    assert depot("put", "k", "match", first["etag"], content=b"two")["outcome"] == "ok"
    assert depot("put", "gone", "match", first["etag"], content=b"two")["outcome"] == "precondition-failed"
    assert depot("get", "k")["out"] == "two"


@pytest.mark.parametrize("condition", ["create", "match"])
def test_race_has_one_winner(depot, condition):
    etag = [depot("put", "k", "always", content=b"before")["etag"]] if condition == "match" else []
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda i: depot("put", "k", condition, *etag, content=f"writer {i}".encode()), range(16)))
    won = [i for i, s in enumerate(said) if s["outcome"] == "ok"]
    assert len(won) == 1 and sum(s["outcome"] == "precondition-failed" for s in said) == 15
    assert depot("get", "k")["out"] == f"writer {won[0]}"


@pytest.mark.parametrize("verb", ["put", "put-file"])
def test_lost_answer_is_cleared_up(depot, cloud, verb):
    with cloud.fault(faults.lost_answer(), times=1, service="s3", method="PUT") as fault:
        assert depot(verb, "k", "create", content=b"mine")["outcome"] == "ok"
    assert fault.hits == 1
    etag = depot("get", "k")["etag"]
    with cloud.fault(faults.lost_answer(), times=1, service="s3", method="PUT"):
        assert depot(verb, "k", "match", etag, content=b"mine too")["outcome"] == "ok"
    with cloud.fault(faults.lost_answer(), service="s3", method="PUT"):  # every one of them
        assert depot(verb, "k2", "create", content=b"mine as well")["outcome"] == "ok"


@pytest.mark.parametrize("fault", ["conflict", "slow_down", "internal_error", "reset"])
def test_put_goes_on(depot, cloud, fault):
    with cloud.fault(getattr(faults, fault)(), times=1, service="s3", method="PUT"):
        assert depot("put", "k", "create", content=b"mine")["outcome"] == "ok"


def test_put_file_is_whole(depot, cloud, bucket):
    content = random.Random(2).randbytes(9 * MIB + 1)
    assert depot("put-file", "artifact", "create", content=content)["outcome"] == "ok"
    assert cloud.read(bucket, f"{PREFIX}/artifact") == content


def test_errors_are_one_sentence(depot, cloud, tmp_path):
    said = Depot(cloud, "s3://no-such-bucket-here/x", tmp_path)("get", "k")
    assert said["result"] < 0 and said["error"].startswith("s3://no-such-bucket-here/x/k: ")
    with cloud.fault(faults.access_denied(), service="s3"):
        said = depot("get", "root/1.json")
    assert said["result"] < 0 and said["fault"] == "host"
    assert said["error"].startswith(f"{depot.uri}/root/1.json: ")


def test_fetch(depot, artifact):
    said = depot.fetch("artifact", artifact)
    assert said["result"] == 0 and said["written_bytes"] == artifact
    assert int(said["received"]) == len(artifact) and said["failures"] == "0"


def test_fetch_memory(depot, cloud, bucket):
    """60 MB over TLS, the CA bundle and all: under 64 MiB of memory, as artifacts/fetch.h says."""
    content = random.Random(3).randbytes(60_000_000)
    cloud.client("s3").put_object(Bucket=bucket, Key=f"{PREFIX}/large", Body=content)
    said = depot.fetch("large", content)
    assert said["result"] == 0 and said["written_bytes"] == content
    assert int(said["memory"]) < 64 * 1024  # KiB


def test_fetch_goes_on_after_every_fault(depot, cloud, artifact):
    with cloud.fault(faults.truncated(700_000), times=2, path="artifact"), \
            cloud.fault(faults.reset(), times=2, path="artifact"), \
            cloud.fault(faults.slow_down(), times=2, path="artifact"), \
            cloud.fault(faults.truncated(2 * MIB + 5), times=2, path="artifact"):
        said = depot.fetch("artifact", artifact)
    assert said["result"] == 0 and said["written_bytes"] == artifact
    assert int(said["failures"]) >= 2  # the others are met below it, by the retries of a request


def test_fetch_resumes_at_the_chunk(depot, cloud, artifact):
    with cloud.fault(faults.truncated(2 * MIB + 1000), times=1, path="artifact"):
        said = depot.fetch("artifact", artifact)
    assert said["written_bytes"] == artifact
    assert int(said["received"]) == len(artifact) + 1000


def test_fetch_of_one_wrong_answer(depot, cloud, artifact):
    with cloud.fault(faults.corrupted(MIB + 17), times=1, path="artifact"):
        said = depot.fetch("artifact", artifact)
    assert said["result"] == 0 and said["written_bytes"] == artifact and said["failures"] == "1"


def test_fetch_of_wrong_content(depot, artifact):
    expected = bytearray(artifact)
    expected[5 * MIB + 3] ^= 1
    said = depot.fetch("artifact", bytes(expected))
    assert said["result"] < 0 and said["fault"] == "host"
    assert said["error"] == f"{depot.uri}/artifact: chunk 5 (at byte {5 * MIB}) is not what the release says: " \
                            "its SHA-256 differs"
    assert artifact.startswith(said["written_bytes"]) and len(said["written_bytes"]) <= 5 * MIB


def test_fetch_of_another_size(depot, artifact):
    said = depot.fetch("artifact", artifact[:-1])
    assert said["result"] < 0 and said["fault"] == "host" and f"it has {len(artifact)} bytes" in said["error"]
    said = depot.fetch("artifact", artifact + b"x")
    assert said["result"] < 0 and said["fault"] == "host" and said["written_bytes"] == b""


def test_fetch_of_nothing(depot):
    said = depot.fetch("missing", b"content")
    assert said["result"] < 0 and said["fault"] == "host" and said["requests"] == "1"
    assert said["error"] == f"{depot.uri}/missing: the depot does not have this artifact"


def test_fetch_asks_for_one_version(depot, cloud, bucket, artifact):
    """The object is replaced by another one in the middle: nothing of the other one is taken for the first."""
    other = bytes(len(artifact))

    def replace(request, forward):
        cloud.client("s3").put_object(Bucket=bucket, Key=f"{PREFIX}/artifact", Body=other)
        return forward(request)
    with cloud.fault(faults.truncated(2 * MIB), times=1, path="artifact"), \
            cloud.fault(replace, times=1, path="artifact"):
        said = depot.fetch("artifact", artifact)
    assert said["result"] < 0 and said["fault"] == "host"
    assert artifact.startswith(said["written_bytes"])


def test_fetch_denied_is_not_repeated(depot, cloud, artifact):
    with cloud.fault(faults.access_denied(), path="artifact"):
        said = depot.fetch("artifact", artifact)
    assert said["result"] < 0 and said["fault"] == "host" and said["requests"] == "1"
