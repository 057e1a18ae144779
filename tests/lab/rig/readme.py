"""README's shell blocks, as a person follows them."""

import re

from .host import wait_for
from .rootfs import TOP


def _blocks(title):
    """The shell blocks of a section, in order."""
    section = (TOP / "README.md").read_text().split(f"\n{title}\n")[1].split(f"\n{title.split()[0]} ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.S | re.M)


def tour():
    """Keys, app, publish, configure, look, break."""
    return _blocks("## A tour of five minutes")


def on_aws():
    """Keys, publish, look."""
    return _blocks("## From nothing to an instance on AWS")


def user_data():
    """Of the launch template, for an image that has the package."""
    return "".join(line for line in _blocks("### The launch template")[0].splitlines(keepends=True)
                   if not line.startswith(("curl ", "apt-get ")))


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
