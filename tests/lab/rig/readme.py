"""The README's tour, as a person follows it."""

import re

from .host import wait_for
from .rootfs import TOP


def tour():
    """The shell blocks of the section, in order: keys, app, publish, configure, look, break."""
    text = (TOP / "README.md").read_text()
    section = text.split("\n## A tour of five minutes\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.S | re.M)


def follow(instance, blocks):
    """Types the blocks in one shell's folder and environment; gives what each of them said."""
    exported = ""
    said = []
    for block in blocks:
        said.append(instance.sh(f"{exported}[ ! -d /srv/tour ] || cd /srv/tour\n{block}").text)
        exported += "".join(re.findall(r"^export .*\n", block, re.M))
        if "muster.conf" in block:
            wait_for(lambda: '"good"' in instance.sh("muster status --json").out, 30, "the first release of the tour")
    return said
