"""Why a vendor would not, or could not: the classes that vendors' codes fall into, and what each means for the chain.

Source: wire reference, section 15. A vendor's own table names a class for each of its codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import orjson

from gateway.chain import Failure, Verdict, verdict_of
from gateway.media.steps import Got
from gateway.upstreams import problems


class Class(Enum):
    """A class of refusals."""

    AUTH = "auth"  # the gateway's own key
    FUNDS = "out_of_funds"  # the gateway's own account
    RATE = "rate_or_concurrency"
    INVALID = "invalid_request"
    MODERATED = "moderation_input"
    CENSORED = "moderation_output"  # decided after the work; another vendor may see it another way
    FAULT = "upstream_fault"  # whether a job began nobody knows
    LOST = "job_lost"


VERDICTS: Final[Mapping[Class, Verdict]] = {
    Class.AUTH: Verdict.NEXT,
    Class.FUNDS: Verdict.NEXT,
    Class.RATE: Verdict.RETRY,  # refused for certain: nothing began
    Class.INVALID: Verdict.STOP,
    Class.MODERATED: Verdict.STOP,
    Class.CENSORED: Verdict.NEXT,
    Class.FAULT: Verdict.NEXT,
    Class.LOST: Verdict.NEXT,
}
Codes = Mapping[str, Class]
KEY_WORDS: Final = ("api key", "apikey")
BY_STATUS: Final[Mapping[int, Class]] = {
    401: Class.AUTH,
    402: Class.FUNDS,
    403: Class.AUTH,
    404: Class.FAULT,  # no such path or model there: ours to mend
    408: Class.FAULT,
    429: Class.RATE,
}


def class_of(status: int, code: str, codes: Codes) -> Class:
    """The class of a refusal: by the vendor's own code (also by what stands before its dots), else by the status."""
    known = codes.get(code)
    while known is None and "." in code:
        code = code.rpartition(".")[0]
        known = codes.get(code)
    if known is not None:
        return known
    return BY_STATUS.get(status, Class.INVALID if 400 <= status < 500 else Class.FAULT)


def failure(sort: Class, message: str, status: int | None = None, *, accepted: bool = False) -> Failure:
    """The failure that a refusal is. `accepted`: a job was begun, so that this vendor is not asked again."""
    verdict = VERDICTS[sort]
    if accepted and verdict is Verdict.RETRY:
        verdict = Verdict.NEXT
    return Failure(verdict, message, status)


def of_reply(got: Got, code: str, message: str, codes: Codes) -> Failure:
    """The failure of a submission that was refused with `code`. An account that is empty is told in many words."""
    told = problems.http_failure(got.status, got.headers, got.body, got.at_s)
    sort = class_of(got.status, code, codes)
    if sort is Class.INVALID and is_of_ours(got.status, code, message or told.message):
        sort = Class.AUTH
    verdict = VERDICTS[sort]
    return Failure(verdict, message or told.message, got.status, told.retry_after_s)


def is_of_ours(status: int, code: str, message: str) -> bool:
    """Whether what sounds like a bad request is about the gateway's own key or account."""
    words = message.casefold().replace("_", " ")
    return verdict_of(status, code, message) is Verdict.NEXT or any(key in words for key in KEY_WORDS)


def decoded(got: Got) -> dict[str, Any] | None:
    """The object in a reply; None for anything else."""
    try:
        told = orjson.loads(got.body)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def member(value: Any, *names: str | int) -> Any:
    """What stands in an object or list behind these names; None where anything on the way is missing."""
    for name in names:
        if isinstance(name, int):
            value = value[name] if isinstance(value, list) and len(value) > name else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Any, *names: str | int) -> str:
    """The same, where it is a text or a number; "" for anything else."""
    found = member(value, *names)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) else ""
