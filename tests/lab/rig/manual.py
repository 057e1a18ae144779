"""The files that man pages print, to be used as they are printed."""

import re

from .rootfs import TOP


def files(page, heading):
    """Name -> text of the files of a section: displays after a line `.Pa NAME :`. page: such as "units/muster-reload.7"."""
    text = (TOP / page).read_text()
    section = re.search(rf"^\.S[hs] {re.escape(heading)}\n(.*?)(?=^\.S[hs] |\Z)", text, re.S | re.M).group(1)
    return dict(re.findall(r"^\.Pa (\S+) :\n\.Bd -literal[^\n]*\n(.*?)^\.Ed$", section, re.S | re.M))


def write(folder, page, heading):
    """Makes the files of a section below a folder."""
    for name, text in files(page, heading).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
