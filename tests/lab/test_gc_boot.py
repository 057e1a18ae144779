"""An instance that boots with a target in hand whose release `muster gc` removes meanwhile: nothing is blamed on the release, and the
target that is there takes it to what the group runs now."""

from rig.host import wait_for
from rig.site import Site

TARGET = "srv/depot/apps/api/groups/site/target.json"


def test_booting_beside_gc(instance, tmp_path):
    site = Site(instance, tmp_path)
    target = instance.root / TARGET
    read = {}
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        site.publish(version)
        site.set_target(version)
        read[version] = target.read_bytes()
    release = instance.root / "srv/depot/apps/api/releases/1.0.0.json"
    document = release.read_bytes()
    instance.sh("find /srv/depot -type f -exec touch -d '31 days ago' {} +")
    assert "2 objects removed" in site.muster("gc", "--yes").out  # 1.0.0 and its artifact
    assert not release.exists()

    target.write_bytes(read["1.0.0"])  # what it had read before
    site.configure()

    def refused(step):
        failure = wait_for(lambda: (app := site.app()) and (found := app["last_failure"]) and found["step"] == step and found, 60,
                           f"the failure in {step}")
        assert (failure["version"], failure["fault"]) == ("1.0.0", "host")
        return failure["reason"]
    assert "release 1.0.0 of api is not in the depot" in refused("VERIFY")
    release.write_bytes(document)  # it had read that as well, and only the artifact goes
    assert "the depot does not have this artifact" in refused("FETCH")
    target.write_bytes(read["3.0.0"])
    app = site.wait_app(state="good", version="3.0.0")
    assert app["last_failure"] is None or app["last_failure"]["fault"] == "host"
    assert "3.0.0" in site.serves()
