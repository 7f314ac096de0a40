"""Makes an upstream's message fit for the caller: one short line, no keys, URLs, hosts, addresses, paths, traces.

Fails safe: what looks like one of these goes, even if it was none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MESSAGE_LENGTH_MAX: Final = 600
TEXT_LENGTH_MAX: Final = 3000  # of what is looked at
HIDDEN: Final = "[redacted]"

TRACE: Final = re.compile(
    r"""(?:Traceback\ \(most\ recent\ call\ last\)      # Python
        |\n[ \t]*at\ [^\n]*                              # JavaScript, Java
        |\bat\ [\w$.<>\[\] ]+\([^)\n]*:\d+(?::\d+)?\)   # the same on one line
        |\n?\s*File\ "[^"\n]*",\ line\ \d+               # Python, a frame
        |goroutine\ \d+\ \[                              # Go
        |panicked\ at\                                   # Rust
      ).*""",
    re.VERBOSE | re.DOTALL,
)
SUFFIXES: Final = (
    "com|net|org|io|ai|dev|cloud|app|co|us|eu|uk|de|fr|jp|cn|ru|br|ca|au|info|biz|gov|edu|mil|xyz|tech|site|online|run|sh|"
    "internal|intranet|local|localdomain|lan|corp|home|private|svc|cluster|consul|arpa|test|example|invalid|localhost"
)
PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![a-z0-9+.-])[a-z0-9+.-]*://[^\s\"'<>)\]}]+",  # a URL
        r"\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{6,}",  # an Authorization header
        # a provider's key, masked or not
        r"\b(?:sk|pk|rk|ck|gsk|xai|key|ghp|gho|whsec|r8|hf|fw|tok|req-key)[-_][a-z0-9*._-]{6,}",
        r"\bAIza[a-z0-9_-]{10,}",  # Google
        r"\bAKIA[A-Z0-9]{12,}",  # Amazon
        r"\beyJ[a-z0-9_-]{8,}\.[a-z0-9_-]+(?:\.[a-z0-9_-]*)?",  # a JSON web token
        r"\b(?:api[-_ ]?key|token|secret|password|authorization)\s*[=:]\s*\S+",
        r"(?<![\w.%+-])[\w.%+-]+@[\w.-]+",  # an e-mail address
        rf"(?<![\w.-])[\w.-]*\.(?:{SUFFIXES})(?![\w-])(?::\d+)?(?:/[^\s\"'<>)\]}}]*)?",  # a host
        r"\blocalhost\b(?::\d+)?(?:/[^\s\"'<>)\]}]*)?",
        r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])(?::\d+)?(?:/[^\s\"'<>)\]}]*)?",  # IPv4
        r"\[?(?<![\w:])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(?![\w:])\]?(?::\d+)?",  # IPv6
        r"\[?(?<![\w:])(?=[0-9a-f:]*::)[0-9a-f:]{3,39}(?![\w:])\]?(?::\d+)?",  # IPv6, shortened
        r"(?<![\w/])(?:/[\w.@+-]+){2,}/?(?::\d+)*",  # a path
        r"\b[a-z]:\\[^\s\"']+",
        r"</?[a-z!][^>]*>",  # markup
    )
)


def message(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without what the caller must not see; `secrets` are hidden wherever they stand."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    if len(text) > TEXT_LENGTH_MAX:  # without the last word, which may be a part of something
        text = text[:TEXT_LENGTH_MAX].rpartition(" ")[0]
    text = TRACE.sub("", text)
    for pattern in PATTERNS:
        text = pattern.sub(HIDDEN, text)
    text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_LENGTH_MAX else text[: MESSAGE_LENGTH_MAX - 1] + "…"
