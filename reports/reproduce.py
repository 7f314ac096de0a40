"""How to run one requirement again, as a command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

KEPT = ("--target", "--url", "--profile", "--waivers")  # options of `conform` that say what is judged, and how
SECRET = "--key"


def reproduce(argv: Sequence[str], requirement: str) -> str:
    """The command that checks `requirement` alone, against the target of the run started with `argv`.

    A key given on the command line is not repeated: the shell variable `KEY` stands for it.
    """
    words = ["windtunnel", "conform"]
    keyed = False
    options = iter(argv)
    for word in options:
        name, _, value = word.partition("=")
        if name in KEPT:
            words += [name, value or next(options, "")]
        elif name == SECRET:
            keyed = True
            if not value:
                next(options, "")
    command = shlex.join([*words, "--only", requirement])
    return f'{command} --key "$KEY"' if keyed else command
