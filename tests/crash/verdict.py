"""What must hold, looked at from outside: nothing here asks musterd, and the trees are compared with the folders that
were published. Each function gives a list of problems, empty when all is well."""

import base64
import hashlib
import json
import re
import stat

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key
import places
from balance import ARN, PORT
from stand import APP, STATE, UNIT_NAMES, UNITS

PAYLOAD_TYPE = "application/vnd.muster.release.v1+json"


def _describe(top):
    """What a tree holds: name -> kind, executable, content."""
    found = {}
    for path in sorted(top.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content = str(path.readlink())
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else ""
        found[str(path.relative_to(top))] = (stat.S_IFMT(mode), stat.S_ISREG(mode) and bool(mode & 0o100), content)
    return found


def _check_envelope(stand, path, name):
    """The envelope was signed by the release key, and its payload's digest is in the folder's name."""
    try:
        envelope = json.loads(path.read_text())
        payload = base64.b64decode(envelope["payload"])
        signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
        key = load_pem_public_key(stand.path("/srv/release.pub").read_bytes())
        key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)
    except (OSError, ValueError, KeyError, IndexError, InvalidSignature) as error:
        return [f"{path.name}: {type(error).__name__}: {error}"]
    if not name.endswith(hashlib.sha256(payload).hexdigest()[:12]):
        return [f"{path.name}: is the envelope of another release"]
    return []


def _check_release(stand, name):
    """A release in the store is whole: its tree is what was published, and its envelope lies beside it."""
    version = name.rsplit("-", 1)[0]
    releases = stand.path(f"{APP}/releases")
    if version not in stand.versions:
        return [f"releases/{name}: no such version was published"]
    if not (releases / name).is_dir():
        return [f"releases/{name} is not there"]
    wanted, found = _describe(stand.versions[version]), _describe(releases / name)
    wrong = sorted(path for path in {*wanted, *found} if wanted.get(path) != found.get(path))
    return [f"releases/{name}: differs from what was published in {', '.join(wrong)}"] * bool(wrong) + \
        _check_envelope(stand, releases / f"{name}.json", name)


def current_version(stand):
    """The version that `current` names; None without one."""
    link = stand.path(f"{APP}/current")
    return re.sub(r"^releases/(.*)-[0-9a-f]{12}$", r"\1", str(link.readlink())) if link.is_symlink() else None


def check_current(stand, versions):
    """`current` is one whole verified release, one of these versions (None: none at all)."""
    version = current_version(stand)
    if version not in versions:
        return [f"current is {version}"]
    if version is None:
        return []
    return _check_release(stand, stand.path(f"{APP}/current").readlink().name)


def _leftovers(stand):
    """Files that somebody was in the middle of, and releases that are half there."""
    found = [f"{folder}/{path.relative_to(stand.path(folder))}" for folder in (STATE, UNITS, "srv/depot")
             for path in stand.path(folder).rglob(".*tmp*")]
    found += [f"staging/{path.name}" for path in stand.path(f"{APP}/staging").iterdir()]
    releases = stand.path(f"{APP}/releases")
    for path in releases.iterdir():
        if path.is_dir() != (releases / f"{path.name}.json").is_file() and not \
                (path.suffix == ".json" and path.with_suffix("").is_dir()):
            found.append(f"releases/{path.name}")
    return found


def _check_unit(stand, unit, served, release):
    """A unit is as the release in force has it: file, enabled, running from its tree; or gone with it."""
    installed, enabled = stand.path(f"{UNITS}/{unit}"), stand.path(f"{UNITS}/multi-user.target.wants/{unit}")
    if release is None or not (release / "units" / unit).exists():
        there = [what for what, yes in (("file", installed.exists()), ("link", enabled.is_symlink()),
                                        (f"process in {served}", served)) if yes]
        return [f"{unit}: its {what} is still there" for what in there]
    problems = []
    if not installed.exists() or not installed.read_text().endswith((release / "units" / unit).read_text()):
        problems.append(f"{unit}: its file is not the release's")
    if not enabled.is_symlink():
        problems.append(f"{unit}: is not enabled")
    if served != f"/{APP}/releases/{release.name}":
        problems.append(f"{unit}: runs from '{served}', not from {release.name}")
    return problems


def check_rest(stand):
    """The units are those of the release that `current` names, and run from its tree; nothing else is there: no staging,
    no temporary file, no unit of a hook or of the unpacker."""
    link = stand.path(f"{APP}/current")
    release = stand.path(f"{APP}/{link.readlink()}") if link.is_symlink() else None
    known, served = stand.units()
    problems = [problem for unit in UNIT_NAMES for problem in _check_unit(stand, unit, served[unit], release)]
    return problems + [f"{what} is left" for what in [*_leftovers(stand), *known]]


def check_releases(stand):
    """Every release of the store is whole: each is one that a rollback may want."""
    folder = stand.path(f"{APP}/releases")
    return [problem for path in folder.iterdir() if path.is_dir() for problem in _check_release(stand, path.name)]


def check_files_between(stand, versions):
    """Each place where files are installed is as one of the versions has it."""
    return places.check_between(stand.path(places.PLACE), versions)


def check_files(stand, version):
    """Exactly what the version installs and what somebody else put there is there."""
    problems = places.check(stand.path(places.PLACE), version)
    return problems + ["a change of installed files is left"] * stand.unsettled()


def check_report(stand, version):
    """What the instance says of itself in the depot."""
    said = stand.report().get("version", "nothing")
    return [] if said == version else [f"the instance's report says {said}"]


def check_good(stand, version):
    """The version that the record calls good."""
    good = stand.good_version()
    return [] if good == version else [f"the record calls {good} good"]


def check_history(stand):
    """The last deployment is in the history as it ended."""
    last = stand.last_deployment()
    kept = [deployment["outcome"] for deployment in stand.history() if deployment["id"] == last["id"]]
    return [] if kept == [last["outcome"]] else [f"deployment {last['id']} is not in the history"]


def check_launch_between(stand, version):
    """The group was told nothing before the version was good, by the record on the disk; and nothing else."""
    results = stand.launch.results
    if results and stand.good_version() != version:
        return [f"the lifecycle action was completed ({', '.join(results)}) while {stand.good_version()} was good"]
    return [] if set(results) <= {"CONTINUE"} else [f"the lifecycle action was completed with {', '.join(results)}"]


def check_launch(stand):
    """The lifecycle action was completed once, and the instance is in service."""
    results, state = stand.launch.results, stand.launch.state
    problems = [] if results == ["CONTINUE"] else [f"the lifecycle action's results are {results}"]
    return problems if state == "InService" else [*problems, f"the instance is {state}"]


def check_launch_record(stand):
    """musterd knows that the lifecycle action is settled."""
    path = stand.path(f"{STATE}/launch.json")
    known = json.loads(path.read_text())["state"] if path.exists() else "nothing"
    return [] if known == "continued" else [f"launch.json says {known}"]


def check_traffic_between(stand):
    """Where the instance is not in its target group, the record on the disk knows as what it has to be put back."""
    known = [(item["target_group"], item["port"]) for item in (stand.record() or {}).get("deregistered") or []]
    return [] if PORT in stand.balance.ports or (ARN, PORT) in known else ["the instance is out of its target group, unknown to its record"]


def check_traffic(stand):
    """The instance is in its target group as it was, and owes nothing."""
    known, ports = (stand.record() or {}).get("deregistered"), stand.balance.ports
    problems = [] if stand.balance.left else ["the instance never left its target group"]
    problems += [] if ports == {PORT} else [f"the instance is registered with the ports {sorted(ports)}"]
    return [*problems, f"the record has still to put it back: {known}"] if known else problems
