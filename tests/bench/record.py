"""What was measured, and on what, as a file that others can read."""

import json
import os
import pathlib
import platform
import sys

from bench_site import REAPER


def surroundings():
    program = pathlib.Path(REAPER)
    return {
        "command": " ".join(
            pathlib.Path(sys.argv[0]).name if not number else word for number, word in enumerate(sys.argv)
        ),
        "build": program.parent.name,
        "processors": len(os.sched_getaffinity(0)),
        "load before": [round(load, 1) for load in os.getloadavg()],
        "Python": platform.python_version(),
    }


def write(path, around, figures, table):
    found = {name: [round(value, 6) for value in map(float, values)] for name, values in figures.items() if values}
    told = around | {"load after": [round(load, 1) for load in os.getloadavg()]}
    path.write_text(json.dumps({"surroundings": told, "table": table, "figures": found}, indent=1) + "\n")
