"""The commands of docs/installing.md, so that the tests type what operators type."""

import re

from machine import ROOT

PAGE = ROOT / "docs/installing.md"


def blocks(name):
    """The code behind <!-- test: NAME --> comments, in their order."""
    return re.findall(rf"<!-- test: {name} -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
