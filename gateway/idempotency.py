"""`Idempotency-Key`: a call that is sent again under the same key is answered again, never made or charged again.

Kept in this process's memory (that of many workers: `workers/replays.py`), for a day: the answer while there is room,
then only that there was one. A call that failed and cost nothing is forgotten: the retry, which such keys are for, is a
new call. Source: docs/decisions.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from gateway.errors import Conflict, InvalidRequest

KEY_LENGTH_MAX: Final = 255
KEEP_S: Final = 86_400
ANSWER_BYTES_MAX: Final = 1024 * 1024  # of one answer
ANSWERS_BYTES_MAX: Final = 64 * 1024 * 1024  # of all
ENTRIES_MAX: Final = 100_000


@dataclass(slots=True)
class Entry:
    """One key: the request it stands for, and the answer once there is one."""

    fingerprint: bytes
    request_id: str
    until_s: int
    running: bool = True
    content_type: bytes = b""
    answer: bytes | None = None  # None: not kept


Whose = tuple[str, str]  # (user id, key)


class Replays:
    """All keys of the last day."""

    def __init__(self) -> None:
        self._entries: dict[Whose, Entry] = {}  # oldest first
        self._answers: dict[Whose, int] = {}  # bytes of the kept answers, oldest first
        self._bytes = 0

    def claim(self, whose: Whose, fingerprint: bytes, request_id: str, now_s: int) -> Entry:
        """The key's entry: a new one (`running`) for the first request, the old one with its answer for a later one.

        Raises Conflict for another request, for one that is still running, and when the answer was not kept.
        """
        self._forget_old(now_s)
        entry = self._entries.get(whose)
        if entry is None:
            entry = Entry(fingerprint, request_id, now_s + KEEP_S)
            self._entries[whose] = entry
            return entry
        return judge(entry, fingerprint)

    def finish(self, whose: Whose, content_type: bytes, answer: bytes | None) -> None:
        """The first request was charged; `answer` is what it was answered with, None if that was not to the end."""
        entry = self._entries.get(whose)
        if entry is None:
            return
        entry.running = False
        entry.content_type = content_type
        if answer is None or len(answer) > ANSWER_BYTES_MAX:
            return
        entry.answer = answer
        self._answers[whose] = len(answer)
        self._bytes += len(answer)
        while self._bytes > ANSWERS_BYTES_MAX:
            oldest = next(iter(self._answers))
            self._entries[oldest].answer = None
            self._bytes -= self._answers.pop(oldest)

    def forget(self, whose: Whose) -> None:
        """The first request cost nothing: the key is as new."""
        self._entries.pop(whose, None)
        self._bytes -= self._answers.pop(whose, 0)

    def _forget_old(self, now_s: int) -> None:
        while self._entries:
            whose, entry = next(iter(self._entries.items()))
            if entry.until_s > now_s and len(self._entries) < ENTRIES_MAX:
                return
            self.forget(whose)


def judge(entry: Entry, fingerprint: bytes) -> Entry:
    """An entry that was there before, which must have an answer for this request. Raises Conflict."""
    if entry.fingerprint != fingerprint:
        raise Conflict(f"This Idempotency-Key was used for another request ({entry.request_id}).")
    if entry.running:
        raise Conflict(f"The first request with this Idempotency-Key ({entry.request_id}) is still being answered.")
    if entry.answer is None:
        raise Conflict(f"The first request with this Idempotency-Key ({entry.request_id}) was answered and charged.")
    return entry


def key_of(value: bytes | None) -> str | None:
    """The key of a header. Raises InvalidRequest."""
    if value is None:
        return None
    key = value.decode("latin-1").strip()
    if not key or len(key) > KEY_LENGTH_MAX or not key.isprintable():
        raise InvalidRequest(f"`Idempotency-Key` must be 1 to {KEY_LENGTH_MAX} printable characters.")
    return key


def fingerprint(path: str, raw: bytes) -> bytes:
    """What tells one request from another."""
    return sha256(path.encode() + b"\0" + raw).digest()
