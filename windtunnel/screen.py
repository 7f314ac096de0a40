"""Where the command writes: answers on stdout, everything else on stderr.

`rich` decides on colour: none when the stream is no terminal or NO_COLOR is set.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

WIDTH_PIPED = 120


def out() -> Console:
    """Answers for people, on stdout."""
    return _console(sys.stdout)


def err() -> Console:
    """Progress and errors, on stderr."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    """A console that never invents markup or colours in what others said."""
    piped = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(
        file=stream, highlight=False, markup=False, emoji=False, soft_wrap=piped, width=WIDTH_PIPED if piped else None
    )


def print_json(document: Any, *, indent: bool = True) -> None:
    """One JSON document on stdout: indented, or on one line."""
    option = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    sys.stdout.write(orjson.dumps(document, option=option, default=str).decode())
    sys.stdout.flush()


def complain(message: str, command: str = "windtunnel") -> None:
    """One clear line on stderr."""
    err().print(Text.assemble((f"{command}: ", "bold red"), one_line(message)), soft_wrap=True)


def one_line(message: str) -> str:
    """`message` without line breaks."""
    return " ".join(message.split())
