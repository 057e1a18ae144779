"""muster publish of bundles as CodeDeploy's users have them: in S3 already, wrapped in a folder, with an appspec of another name."""

import io
import json
import os
import zipfile

import pytest
from rig import faults
from rig.desk import INPUT, NOT_FOUND, OK, Desk

SPEC = """\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/after.sh
      timeout: 300
      runas: root
"""


def bundle(appspec="appspec.yml", top="", more=b""):
    """A zip as a build server makes it: no folders of their own in it, no run bits."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{top}{appspec}", SPEC)
        archive.writestr(f"{top}scripts/after.sh", "#!/bin/sh\necho after\n")
        archive.writestr(f"{top}blob", more)
    return packed.getvalue()


@pytest.fixture
def remote(built, cloud, bucket, tmp_path):
    """A desk whose depot is a prefix of a bucket, where builds lie too."""
    desk = Desk(tmp_path, cloud)
    desk.trust()
    desk.bucket = bucket
    desk.s3 = cloud.client_of(cloud.operator, "s3")
    desk.environment["MUSTER_DEPOT"] = f"s3://{bucket}/muster"
    desk.put = lambda key, body: desk.s3.put_object(Bucket=bucket, Key=key, Body=body)
    desk.release = lambda version: json.loads(desk.ok(
        "show", "release", "--app", "api", "--version", version, "--json", env={"MUSTER_ROOT": f"{tmp_path}/root.json"}))["release"]
    return desk


def publish(desk, source, version, *options):
    return desk.run("publish", source, "--app", "api", "--version", version, "--key", "release.key", *options)


WARNING = "scripts/after.sh: it has no run bit (chmod +x); it is run all the same"


def test_bundle_in_s3(remote, cloud):
    """What lies there is taken byte for byte, from one version of the object, over a connection that breaks."""
    body = bundle(top="api-42/", more=os.urandom(3_000_000))
    remote.s3.put_bucket_versioning(Bucket=remote.bucket, VersioningConfiguration={"Status": "Enabled"})
    first = remote.put("builds/a b+ü.zip", body)
    remote.put("builds/a b+ü.zip", bundle())
    uri = f"s3://{remote.bucket}/builds/a b+ü.zip"

    with cloud.fault(faults.truncated(1_000_000), times=2, service="s3", method="GET", path="/builds/"):
        done = publish(remote, f"{uri}?versionId={first['VersionId']}", "1.0", "--commit", "417bf4e")
    assert done.returncode == OK and WARNING in done.stderr, done
    assert len(cloud.proxy.requests(service="s3", method="GET", path="/builds/")) == 3
    release = remote.release("1.0")
    artifact = release["artifacts"]["any"]
    assert artifact["origin"] == {"bucket": remote.bucket, "key": "builds/a b+ü.zip", "version_id": first["VersionId"],
                                  "etag": first["ETag"].strip('"')}
    assert (artifact["wrapping_folder"], artifact["entries"], release["commit"]) == (True, 4, "417bf4e")
    assert cloud.read(remote.bucket, f"muster/apps/api/artifacts/{artifact['sha256']}.zip") == body
    text = remote.ok("show", "release", "--app", "api", "--version", "1.0")
    assert f"any was s3://{remote.bucket}/builds/a b+ü.zip, version {first['VersionId']}\nbuilt from commit 417bf4e" in text
    assert "good" in remote.ok("verify", "--app", "api", "--version", "1.0")

    # Without a version it is the newest, and the release says which that was; to publish it again is no error.
    assert publish(remote, uri, "2.0").returncode == OK
    newest = remote.release("2.0")["artifacts"]["any"]
    assert newest["origin"]["version_id"] != first["VersionId"] and "wrapping_folder" not in newest
    assert "already" in publish(remote, uri, "2.0").stdout
    assert "nothing was sent" in publish(remote, uri, "3.0", "--dry-run").stdout


def test_bundle_in_s3_that_is_not_to_be_had(remote, cloud):
    remote.put("builds/api.zip", bundle())
    remote.put("builds/text", b"hello")
    remote.put("builds/none.zip", b"")

    def fails(code, pattern, key, **fault):
        remote.fails(code, pattern, "publish", f"s3://{key}", "--app", "api", "--version", "1.0", "--key", "release.key")
    fails(NOT_FOUND, "builds/gone.zip: there is no such object", f"{remote.bucket}/builds/gone.zip")
    fails(NOT_FOUND, "there is no bucket 'no-such-bucket-here'", "no-such-bucket-here/api.zip")
    fails(INPUT, "builds/text: this is no archive", f"{remote.bucket}/builds/text")
    fails(INPUT, "builds/none.zip: this is no archive", f"{remote.bucket}/builds/none.zip")
    fails(INPUT, "expected s3://BUCKET/KEY", remote.bucket)
    with cloud.fault(faults.access_denied(), service="s3", path="/builds/"):
        done = publish(remote, f"s3://{remote.bucket}/builds/api.zip", "1.0")
        assert done.returncode == 4 and "not allowed" in done.stderr
    assert cloud.objects(remote.bucket, "muster/") == []


@pytest.mark.parametrize("name, appspec, top, options", [
    ("yaml", "appspec.yaml", "", []),
    ("wrapped, yaml", "appspec.yaml", "top/", []),
    ("named", "deploy.yml", "", ["--appspec", "deploy.yml"]),
    ("wrapped, named", "my-appspec.yml", "top/", ["--appspec", "my-appspec.yml"]),
])
def test_appspec_of_another_name(desk, name, appspec, top, options):
    (desk.folder / "bundle.zip").write_bytes(bundle(appspec, top))
    done = desk.run("publish", "bundle.zip", "--app", "api", "--version", "1.0", "--dry-run", *options)
    assert done.returncode == OK and "4 entries" in done.stdout, (name, done)


def test_scripts_from_windows(desk):
    packed = io.BytesIO(bundle(top="top/"))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("top/scripts/start.sh", "#!/bin/bash\r\necho start\r\n")
        archive.writestr("top/windows.yml", SPEC.replace("after.sh", "start.sh").replace("\n", "\r\n"))
    (desk.folder / "bundle.zip").write_bytes(packed.getvalue())
    desk.fails(INPUT, r"bundle\.zip/windows\.yml:\d+: hooks\.AfterInstall\[0\]\.location: scripts/start\.sh: its first line ends in "
               "CR LF.*save the file with Unix line ends",
               "publish", "bundle.zip", "--app", "api", "--version", "1.0", "--dry-run", "--appspec", "windows.yml")
