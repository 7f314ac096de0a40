"""What can keep a load from being judged, by whose fault it is.

LoadError
├── Unreachable      the target or the fleet does not answer, or refuses to prepare users: exit 2
└── Unmeasurable     our own evidence is incomplete: exit 3, never blamed on the target
"""

from __future__ import annotations


class LoadError(Exception):
    """A load or an audit cannot be run to its end."""

    exit_code = 3


class Unreachable(LoadError):
    """The target or the fleet does not answer as its target file says."""

    exit_code = 2


class Unmeasurable(LoadError):
    """The evidence that a verdict needs is missing, so no verdict is given."""
