"""make explore: an instance with muster's package, a cloud around it, and you in a shell on it. Everything is gone when the
shell ends."""

import os
import signal
import subprocess
import sys

from rig.cloud import Cloud
from rig.host import LabError
from rig.lab import Lab

_WELCOME = """
{id}: Debian with muster's package{package}, in a cloud of its own. Logged in as root.
  S3                s3://{bucket} (the instance's role may do everything)
  instance metadata http://169.254.169.254, version 2
  journal           journalctl -f
  from outside      {root}
"""


def explore():
    with Lab() as lab:
        cloud = Cloud(lab)
        bucket = cloud.bucket("depot")
        instance = lab.instance()
        cloud.attach(instance, tags={"Name": "explored"})
        instance.boot()
        package = "" if lab.package else " missing (make deb)"
        print(_WELCOME.format(id=instance.id, package=package, bucket=bucket, root=instance.root))
        signal.signal(signal.SIGINT, lambda *_: None)  # is the shell's business
        return subprocess.run(instance.enter(["bash", "--login"], {"TERM": os.environ.get("TERM", "dumb")}),
                              check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(explore())
    except LabError as error:
        sys.exit(f"explore: {error}")
