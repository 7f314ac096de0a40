"""Webhook receivers: whatever is sent to `/__hooks/{case}` or below is taken and kept, and answered as told.

Challenges are given back as the senders document it: `challenge` in a JSON body (Slack's Events API `url_verification`,
MiniMax), `hub.challenge` in the query (WebSub section 5.3, Meta), `validationToken` in the query (Microsoft Graph).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from simulator.neighbours.asked import Answer, Asked, Pairs, json_answer
from simulator.neighbours.edits import filled
from simulator.neighbours.faults import Faults, InForce
from simulator.neighbours.records import Records
from simulator.neighbours.webhook_signatures import complaint, is_secret
from simulator.script import Ending

PREFIX: Final = "/__hooks"
SECRETS_MAX: Final = 10_000
CHALLENGE_CHARS_MAX: Final = 4096
QUERIES: Final = ("hub.challenge", "validationToken")
ENDINGS: Final = {"stall": Ending.STALL, "cut": Ending.CUT, "reset": Ending.RESET}
SETTINGS: Final[dict[str, Any]] = {"challenges": True, "status": 200, "secrets": {}}
SETTINGS_SCHEMA: Final = {
    "challenges": {"description": "Whether challenges are answered.", "type": "boolean"},
    "status": {"description": "Of the usual answer.", "type": "integer", "minimum": 200, "maximum": 299},
    "secrets": {
        "description": "Secrets of Standard Webhooks by case, added to those known; null takes one off.",
        "type": "object",
        "maxProperties": 1000,
        "additionalProperties": {"anyOf": [{"type": "null"}, {"type": "string", "minLength": 4, "maxLength": 200}]},
    },
}


@dataclass(frozen=True, slots=True)
class Received:
    """One call, and how it was answered."""

    case: str
    method: str
    path: str
    query: str
    headers: Pairs
    body: bytes
    at_ms: float
    status: int | None
    challenge: bool
    faults: tuple[str, ...]

    @property
    def held_bytes(self) -> int:
        """Of what it keeps."""
        return len(self.body) + len(self.path) + len(self.query) + sum(len(k) + len(v) for k, v in self.headers)


class Hooks:
    """All receivers."""

    def __init__(self) -> None:
        self.faults = Faults("hooks")
        self.settings = {**SETTINGS, "secrets": {}}
        self.records: Records[Received] = Records()

    def answer(self, asked: Asked) -> Answer:
        """The answer to a call below the prefix."""
        case = asked.path.removeprefix(PREFIX).lstrip("/").partition("/")[0]
        if not case:
            return json_answer(
                {"error": "not_found", "message": f"A receiver is {PREFIX}/CASE, or any path below."}, 404
            )
        hits = self.faults.at("receive", case)
        challenge = _challenge(asked) if self.settings["challenges"] else None
        answer = json_answer({"received": self.records.next_n}, self.settings["status"])
        if challenge is not None and not any("status" in hit.options for hit in hits):
            wrong = self.faults.at("challenge", case)
            hits += wrong
            answer = challenge.answer(bool(wrong))
        for hit in hits:
            answer = _hurt(answer, hit, asked, case)
        self.records.add(
            Received(
                case,
                asked.method,
                asked.path,
                asked.query,
                asked.headers,
                asked.body,
                asked.now_ms,
                answer.status,
                challenge is not None,
                tuple(hit.kind.name for hit in hits),
            )
        )
        return answer

    def tell(self, n: int, one: Received) -> dict[str, Any]:
        """A call as the control API tells it; its signature is judged with the secret that the case has by now."""
        secret = self.settings["secrets"].get(one.case)
        wrong = None if secret is None else complaint(dict(one.headers), one.body, secret, one.at_ms / 1000)
        signature = (
            {"holds": None, "why": "the case has no secret"} if secret is None else {"holds": not wrong, "why": wrong}
        )
        return {
            "n": n,
            "case": one.case,
            "method": one.method,
            "path": one.path,
            "query": one.query,
            "headers": [list(pair) for pair in one.headers],
            "body": one.body.decode("utf-8", "replace"),
            "body_bytes": len(one.body),
            "at_ms": round(one.at_ms, 3),
            "status": one.status,
            "challenge": one.challenge,
            "faults": list(one.faults),
            "signature": signature,
        }

    def set(self, name: str, value: Any) -> None:
        """Change a setting; secrets add up."""
        if name != "secrets":
            self.settings[name] = value
            return
        secrets = {**self.settings["secrets"], **value}
        secrets = {case: secret for case, secret in secrets.items() if secret is not None}
        self.settings["secrets"] = dict(list(secrets.items())[-SECRETS_MAX:])

    @staticmethod
    def describe(url: str) -> dict[str, Any]:
        """Where they are."""
        return {"url": f"{url}{PREFIX}/CASE"}

    def reset(self) -> None:
        """No faults, and the settings as they were."""
        self.faults.remove()
        self.settings = {**SETTINGS, "secrets": {}}


def unsound_secrets(secrets: Mapping[str, str | None]) -> list[str]:
    """The cases whose secret is none."""
    return [case for case, secret in secrets.items() if secret is not None and not is_secret(secret)]


@dataclass(frozen=True, slots=True)
class _Challenge:
    text: str
    is_json: bool

    def answer(self, wrong: bool) -> Answer:
        text = self.text[::-1] + "x" if wrong else self.text
        if self.is_json:
            return json_answer({"challenge": text})
        return Answer(200, (("content-type", "text/plain; charset=utf-8"),), text.encode())


def _challenge(asked: Asked) -> _Challenge | None:
    for name in QUERIES:
        if name in asked.params:
            return _Challenge(asked.params[name][:CHALLENGE_CHARS_MAX], False)
    if asked.method != "POST" or b'"challenge"' not in asked.body:
        return None
    try:
        data = orjson.loads(asked.body)
    except orjson.JSONDecodeError:
        return None
    text = data.get("challenge") if isinstance(data, dict) else None
    return _Challenge(text[:CHALLENGE_CHARS_MAX], True) if isinstance(text, str) else None


def _hurt(answer: Answer, hit: InForce, asked: Asked, case: str) -> Answer:
    """The answer as a fault has it."""
    options = hit.options
    if "ending" in hit.does:
        return Answer(None, ending=ENDINGS[hit.does["ending"]], delay_ms=answer.delay_ms)
    if "delay_ms" in options:
        return answer.later(options["delay_ms"])
    if "location" in options:
        location = filled(options["location"], {"site": asked.site, "case": quote(case, safe="")})
        return Answer(options["status"], (("location", location),), delay_ms=answer.delay_ms)
    if "bytes" in options:
        return Answer(200, (("content-type", "text/plain"),), b"x" * options["bytes"], answer.delay_ms)
    if "status" in options:
        headers = (("retry-after", str(options["seconds"])),) if "seconds" in options else ()
        return json_answer({"error": "on purpose"}, options["status"], *headers).later(answer.delay_ms)
    return answer
