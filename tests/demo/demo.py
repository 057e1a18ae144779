"""make demo: two instances deploy themselves, enter service, are updated under load, undo a bad release, and a third one is
turned away. Leaves build/demo.json, and build/demo.log when it fails; exit status 0 only if all of it was seen."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]

from rig.host import LabError  # noqa: E402
from rig.lab import Lab  # noqa: E402
from rig.operator import Muster  # noqa: E402
from rig.rootfs import TOP  # noqa: E402
from story import Story, write  # noqa: E402
from teller import Teller  # noqa: E402

RESULT = TOP / "build" / "demo.json"
LOG = TOP / "build" / "demo.log"
UNAVAILABLE = 69  # EX_UNAVAILABLE


def unavailable():
    """Why the demo cannot run here, or None."""
    if os.geteuid() != 0:
        return "the demo boots instances and makes network namespaces: run it as root (sudo make demo)"
    for tool, package in (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap"),
                          ("haproxy", "haproxy"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            return f"{tool} is not there: run tests/setup, or install {package}"
    return None


def save_log(story):
    instances = [*story.director.instances.values(), *story.director.retired.values()]
    LOG.write_text("\n".join(instance.report() for instance in instances))


def play(lab, teller):
    story = Story(lab, Muster(lab.layers[0] / "usr/bin/muster"), teller)
    trouble = None
    try:
        story.tell()
    except LabError as error:
        trouble = str(error)
        save_log(story)
    result = story.result()
    write(RESULT, result)
    missing = story.missing(result)
    story.close()
    return result, trouble or (f"not seen: {', '.join(missing)}" if missing else None)


def judge(result, trouble, seconds, teller):
    teller.line()
    if trouble is None and result["failed"] == 0:
        teller.good(f"{result['requests']} requests, none failed; {seconds:.0f} seconds.  {RESULT}")
        return 0
    teller.bad(f"The demo failed after {seconds:.0f} seconds: {trouble or 'requests failed'}")
    teller.line(f"{result['requests']} requests, {result['failed']} failed.  {RESULT}  {LOG}")
    return 1


def main():
    teller = Teller()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    reason = unavailable()
    if reason:
        print(f"demo: {reason}", file=sys.stderr)
        return UNAVAILABLE
    LOG.unlink(missing_ok=True)
    began = time.monotonic()
    try:
        with Lab(say=teller.line) as lab:
            lab.require_package()
            began = time.monotonic()
            result, trouble = play(lab, teller)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return judge(result, trouble, time.monotonic() - began, teller)


if __name__ == "__main__":
    sys.exit(main())
