"""README, command for command: the tour on one machine, and the way to the first instance on AWS."""

import re

from rig import goapp
from rig.autoscaling import LAUNCHING, Hook
from rig.director import Template
from rig.readme import follow, on_aws, tour, user_data


def test_tour(lab, instance):
    lab.require_package()
    *_, first, broken = follow(instance, tour())
    assert "hello from version 1.0" in first
    assert re.search(r"hello\b.*\b1\.0", first)
    assert re.search(r"hello\b.*\b1\.0", broken)
    assert "2.0" in broken and "rolled-back" in broken


def test_from_nothing_to_an_instance_on_aws(lab, cloud, bucket, director, tmp_path):
    lab.require_package()
    goapp.build(tmp_path, "1.0.0").rename(tmp_path / "api")
    keys, publish, look = (block.replace("example-deploys", bucket) for block in on_aws())

    def type_in(*blocks):
        path = f"{lab.layers[0] / 'usr/bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
        return cloud.run("sh", "-ec", "".join(blocks), cwd=tmp_path, env={"PATH": path}).stdout
    type_in(keys)
    type_in(publish)
    script = user_data().replace("example-deploys", bucket)
    script = re.sub(r"^….*$", lambda _: (tmp_path / "root.json").read_text(), script, flags=re.M)
    director.create_group("api-prod", Template(user_data=script), [Hook("muster", LAUNCHING, heartbeat=300)], desired=1)
    director.wait_event("in_service", timeout=90)
    exports = "".join(line for line in publish.splitlines(keepends=True) if line.startswith("export "))
    instance, = director.instances
    assert re.search(rf"^{instance}\b.*\b1\.0\.0\b", type_in(exports, look), re.M)
