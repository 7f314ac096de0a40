"""What a check saw, lane by lane, for the report: the client's side, the upstream's, the ledger's. Keys are masked."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from suites.edge import now_ms

LONGEST = 1500  # characters of one detail
_KEY = re.compile(r"\b(ck_|sk-|inv_(?=[A-Za-z0-9]{40}))[A-Za-z0-9_-]{4,}")
_COOKIE = re.compile(r"(?i)(\bcookie: [^=;\s]+=)[^;\s'\"]{8,}")


def mask(text: str) -> str:
    """The text with every key cut to its prefix, and the value of a cookie."""
    return _COOKIE.sub(r"\1…", _KEY.sub(r"\1…", text))


def short(text: str, longest: int = LONGEST) -> str:
    """The text, its middle left out where it is long."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 2 // 3]}\n… {len(text) - longest} characters left out …\n{text[-longest // 3 :]}"


def pretty(document: Any) -> str:
    """JSON for a reader."""
    return json.dumps(document, ensure_ascii=False, indent=1, default=str)


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the transcript."""

    at_ms: float  # after the check began
    lane: str  # "client" | "upstream" | "ledger"
    title: str
    detail: str


@dataclass(slots=True)
class Evidence:
    """The transcript of one check."""

    started_ms: float = field(default_factory=now_ms)
    moments: list[Moment] = field(default_factory=list)
    curls: list[str] = field(default_factory=list)

    def note(self, lane: str, title: str, detail: str = "") -> None:
        """Add a line, at the present moment."""
        self.moments.append(Moment(round(now_ms() - self.started_ms, 1), lane, mask(title), short(mask(detail))))

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Add a request of the client, and how to send it by hand."""
        shown = body.decode("utf-8", "replace") if len(body) <= 20_000 else f"{len(body)} bytes"
        self.note("client", f"{method} {url}", shown)
        if len(self.curls) < 8:
            self.curls.append(curl(method, url, headers, body))


def curl(method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
    """A request as a command line. The key is masked."""
    words = ["curl", "-sS", "-N", "-X", method, url]
    for name, value in headers.items():
        words += ["-H", f"{name}: {value}"]
    if body and len(body) <= 4000:
        words += ["--data-binary", body.decode("utf-8", "replace")]
    elif body:
        words += ["--data-binary", "@body.json"]
    return mask(shlex.join(words))
