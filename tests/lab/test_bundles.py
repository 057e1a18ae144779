"""CodeDeploy's bundles, unchanged: what a deployment leaves on an instance is what CodeDeploy's own agent leaves.

bundles/NAME-VERSION.txt was recorded with that agent (1.8.1, codedeploy-local, on an instance of the lab that was prepared as
here): type, owner, mode, content and place of everything, and who runs what, after each of the two versions of a bundle."""

from pathlib import Path

import pytest
from rig import bundles

RECORDED = Path(__file__).parent / "bundles"


@pytest.fixture(scope="module")
def prepared(lab):
    """One instance for all bundles."""
    instance = lab.instance().boot()
    instance.sh(bundles.PREPARE)
    yield instance
    lab.remove(instance)


@pytest.mark.parametrize("name", bundles.BUNDLES)
def test_bundle(prepared, name):
    bundle = bundles.BUNDLES[name]
    if bundle.prepare:
        prepared.sh(bundle.prepare)
    for version in range(len(bundle.versions)):
        path = f"/root/{name}-{version}.{bundle.kind}"
        prepared.put(path, bundle.archive(version))
        prepared.run("muster", "deploy", "--local", path, "--app", name, "--version", str(version + 1))
        assert bundles.look(prepared, bundle) == (RECORDED / f"{name}-{version + 1}.txt").read_text()


def test_paths_of_codedeploy(prepared):
    """By CodeDeploy's path the release that serves is found, and no other."""
    root = "/opt/codedeploy-agent"
    bundle = bundles.BUNDLES["backend"]
    for version, files in enumerate(bundle.versions):
        prepared.put(f"/root/paths-{version}.tar", bundle.archive(version))
        prepared.run("muster", "deploy", "--local", f"/root/paths-{version}.tar", "--app", "backend", "--version", f"9.{version}")
        assert prepared.sh(f"find {root} -type l -printf '%l\\n'").text == prepared.sh(
            "realpath /var/lib/muster/apps/backend/current").text
        assert prepared.sh(f"cat $(find {root} -type l)/.deploy/nginx/default.conf").out == files[".deploy/nginx/default.conf"]
