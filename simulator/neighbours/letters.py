"""A mail as it came, or what became of one that was refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Final

TAGGED: Final = re.compile(r"\+([A-Za-z0-9._-]{1,64})@[^@]*$")
TOKEN: Final = re.compile(r"\[\[case:([A-Za-z0-9._-]{1,64})\]\]")
LOOKED_AT: Final = 64 << 10  # bytes of a mail that are searched for a case token


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail, or one refusal of a mail."""

    case: str | None
    outcome: str  # "taken" | "refused" | "deferred" | "dropped"
    place: str  # where the exchange was: "connect" | "helo" | "mail" | "rcpt" | "body" | "data" | "starttls" | "auth"
    reply: str | None  # what the sender was told; None: nothing
    at_ms: float
    faults: tuple[str, ...]
    helo: str | None
    tls: bool
    user: str | None
    sender: str | None
    recipients: tuple[str, ...]
    content: bytes = b""

    @property
    def held_bytes(self) -> int:
        """Of what it keeps."""
        return len(self.content) + sum(map(len, self.recipients))

    def as_json(self, n: int) -> dict[str, Any]:
        """As the control API tells it."""
        return {
            "n": n,
            "case": self.case,
            "outcome": self.outcome,
            "place": self.place,
            "reply": self.reply,
            "at_ms": round(self.at_ms, 3),
            "faults": list(self.faults),
            "helo": self.helo,
            "tls": self.tls,
            "user": self.user,
            "from": self.sender,
            "to": list(self.recipients),
            "bytes": len(self.content),
            **(read(self.content) if self.content else {}),
        }


def case_of(recipients: Sequence[str], content: bytes = b"") -> str | None:
    """Whose test a mail belongs to: the tag of a recipient, else a token in its text."""
    for address in recipients:
        if found := TAGGED.search(address):
            return found[1]
    if content:
        told = read(content[:LOOKED_AT])
        for text in (told["subject"], told["text"], told["html"], told["raw"]):
            if text and (found := TOKEN.search(text)):
                return found[1]
    return None


def read(content: bytes) -> dict[str, Any]:
    """A mail taken apart, as far as it can be read: subject, headers, text, HTML, attachments and the whole of it."""
    raw = content.decode("utf-8", "replace")
    empty: dict[str, Any] = {"subject": None, "headers": [], "text": None, "html": None, "attachments": [], "raw": raw}
    try:
        message = message_from_bytes(content, EmailMessage, policy=default)
        headers = [[name, str(value)] for name, value in message.items()]
        parts = dict(_bodies(message))
        attachments = [
            {"filename": part.get_filename(), "type": part.get_content_type(), "bytes": _size(part)}
            for part in message.walk()
            if part.get_content_disposition() == "attachment"
        ]
        subject = message["subject"]
    except Exception:  # the parser is not proof against every text that calls itself a mail
        return empty
    told = {"subject": None if subject is None else _clean(str(subject)), "headers": _clean(headers)}
    return {**empty, **told, "text": parts.get("plain"), "html": parts.get("html"), "attachments": attachments}


def _bodies(message: EmailMessage) -> Iterator[tuple[str, str]]:
    for kind in ("plain", "html"):
        part = message.get_body(preferencelist=(kind,))
        if part is not None:
            yield kind, _clean(str(part.get_content()))


def _size(part: EmailMessage) -> int:
    data = part.get_payload(decode=True)
    return len(data) if isinstance(data, bytes) else 0


def _clean(value: Any) -> Any:
    """Without halves of surrogate pairs, which JSON cannot hold."""
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
