"""A mail to be handed in, and how that may fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Letter(NamedTuple):
    """A mail to one recipient."""

    message_id: str  # without angle brackets
    recipient: str
    subject: str
    text: str
    created_at_ms: int


class NotSent(Exception):
    """The server did not take the mail; later it may."""


class Refused(NotSent):
    """The server will never take this mail: the address or the text is refused."""


Deliver = Callable[[Letter], Awaitable[None]]  # raises NotSent, Refused
