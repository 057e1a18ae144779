"""What archives and places can be that no sample is: hard links, no modes, no times, a place that becomes read-only."""

import io
import json
import tarfile
import zipfile

APPSPEC = "version: 0.0\nos: linux\nfile_exists_behavior: OVERWRITE\nfiles:\n  - source: web\n    destination: /srv/shapes\n"
STOPPED = "hooks:\n  ApplicationStop:\n    - location: stop\n  ApplicationStart:\n    - location: start\n"


def deploy(instance, source, version, check=True):
    return instance.run("muster", "deploy", "--local", source, "--app", "shapes", "--version", version, check=check)


def put_folder(instance, version, files):
    for path, text in {"appspec.yml": APPSPEC, **files}.items():
        instance.put(f"/root/{version}/{path}", text, mode=0o755 if text.startswith("#!") else 0o644)
    return f"/root/{version}"


def tar_with_hard_links():
    """As tar packs a tree in which one file has several names."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in {"appspec.yml": APPSPEC, "web/deep/er/a": "one\n"}.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(text), 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
        for path, target in {"web/b": "web/deep/er/a", "web/deep/c": "web/b"}.items():
            info = tarfile.TarInfo(path)
            info.type, info.linkname = tarfile.LNKTYPE, target
            archive.addfile(info)
    return out.getvalue()


def zip_without_modes():
    """As Windows packs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in {"appspec.yml": APPSPEC, "web/": "", "web/page": "dos\n"}.items():
            info = zipfile.ZipInfo(path, (2026, 1, 2, 3, 4, 6))
            info.create_system, info.external_attr = 0, 0x10 if path.endswith("/") else 0x20
            archive.writestr(info, text)
    return out.getvalue()


def test_shapes(instance):
    """Names of one file are names of one file in the store, and files of their own where they are installed; without modes in
    the archive only the owner can write; without times they have that of the release, so that who looks at nothing but time
    and size sees that another release is there."""
    instance.put("/root/links.tgz", tar_with_hard_links())
    deploy(instance, "/root/links.tgz", "1")
    store = instance.sh("cd /var/lib/muster/apps/shapes/current/web; stat -c %i deep/er/a b deep/c").out.split()
    place = instance.sh("cd /srv/shapes; cat deep/er/a b deep/c >&2; stat -c %i deep/er/a b deep/c")
    assert len(set(store)) == 1 and len(set(place.out.split())) == 3 and place.err == "one\none\none\n"

    instance.put("/root/dos.zip", zip_without_modes())
    deploy(instance, "/root/dos.zip", "2")
    assert instance.sh("cd /var/lib/muster/apps/shapes/current; stat -c '%a %n' web web/page /srv/shapes/page; find /srv/shapes "
                       "-name '[abc]'").out == "755 web\n644 web/page\n644 /srv/shapes/page\n"

    times = []
    for version in ("3", "4"):
        deploy(instance, put_folder(instance, version, {"web/page": f"{version}\n"}), version)
        times.append(instance.sh("cd /srv/shapes; date -r page +%s; date -r "
                                 "/var/lib/muster/apps/shapes/current/web/page +%s").out.split())
        instance.sh("sleep 1.1")
    assert times[0][0] == times[0][1] and times[1][0] == times[1][1] and 1767225600 < int(times[0][0]) < int(times[1][0])


def test_linked_source(instance):
    """A source that is a link to a folder of the bundle is that folder, as CodeDeploy's agent has it."""
    folder = put_folder(instance, "9", {"build/7/page": "seven\n"})
    instance.sh(f"cd {folder}; ln -s build/7 web; tar -czf ../9.tgz .")
    for version, source in (("9", folder), ("10", "/root/9.tgz")):
        deploy(instance, source, version)
        assert instance.sh("find /srv/shapes -type l; cat /srv/shapes/page").out == "seven\n"


def test_read_only(instance):
    """A place that cannot be written any more costs no service: before the app is stopped if it is seen in time, and else it is
    started again, for nothing of it has changed."""
    stop, start = "#!/bin/sh\necho stop >>/run/calls\n", "#!/bin/sh\necho start >>/run/calls\n"
    hooks = {"appspec.yml": APPSPEC + STOPPED, "stop": stop, "start": start}
    instance.sh("mkdir /srv/shapes; mount -t tmpfs none /srv/shapes")
    deploy(instance, put_folder(instance, "1", {"web/page": "1\n", **hooks}), "1")

    instance.sh("mount -o remount,ro /srv/shapes")
    refused = deploy(instance, put_folder(instance, "2", {"web/page": "two\n", **hooks}), "2", check=False)
    assert refused.code == 1 and "/srv/shapes/page lies on a file system that is read-only" in refused.err
    assert instance.sh("cat /run/calls").out == "start\n"

    instance.sh("mount -o remount,rw /srv/shapes")
    late = {**hooks, "appspec.yml": APPSPEC + STOPPED + "  BeforeInstall:\n    - location: before\n",
            "before": "#!/bin/sh\nmount -o remount,ro /srv/shapes\n"}
    failed = deploy(instance, put_folder(instance, "3", {"web/page": "three\n", **late}), "3", check=False)
    assert failed.code == 1 and "that is read-only" in failed.err
    history = json.loads(instance.run("muster", "history", "--json").out)["deployments"][0]
    assert (history["outcome"], history["fault"]) == ("rolled-back", "host"), history
    assert instance.sh("cat /srv/shapes/page /run/calls").out == "1\nstart\nstop\nstop\nstart\n"
