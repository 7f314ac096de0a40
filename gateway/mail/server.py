"""The mail server that the configuration names.

`smtp://user:password@host:port` speaks STARTTLS where the server offers it, and never tells a password without it (but
to this very machine); `smtps://` speaks TLS from the start. Certificates are checked, against `smtp_ca` if it is set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

PORTS: Final = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False  # from the start
    ca: str | None = None  # file of certificates; None: the system's


def server_of(url: str, sender: str, ca: str | None = None) -> Server:
    """The server of a URL. Raises ValueError, which does not repeat it: there is a password in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in PORTS or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://… was due")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Server(host, port or PORTS[parts.scheme], sender, user, password, parts.scheme == "smtps", ca)
