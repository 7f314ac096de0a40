"""What ends the command early, by blame; each carries its exit code and is told as one line.

CommandError
├── UsageProblem     what the caller gave cannot be used: a file, a port, an unreachable target   -> 2
├── HarnessProblem   a part of ours failed; nothing is said of the target                         -> 3
└── Stopped          a signal asked for the end                                                   -> 128 + signal
"""

from __future__ import annotations

import signal


class CommandError(Exception):
    """Ends the command with `exit_code`. The message is one line, or empty where nothing needs saying."""

    exit_code = 3


class UsageProblem(CommandError):
    """What the caller gave cannot be used."""

    exit_code = 2


class HarnessProblem(CommandError):
    """A part of Windtunnel failed."""

    exit_code = 3


class Stopped(CommandError):
    """SIGINT or SIGTERM arrived."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__("")
        self.exit_code = 128 + number
