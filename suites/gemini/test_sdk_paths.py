"""What Google's SDKs call besides generateContent: counting, the models, and how they are refused."""

from __future__ import annotations

from typing import Any

import orjson

from schemas.catalogue import MODELS
from suites.case import Case, expect_status
from suites.exchange import Reply
from suites.requirement import over, requirement
from suites.samples import CJK

SERVED = sorted(model.id for model in MODELS.values() if "gemini" in model.endpoints)
REASONS = {
    401: "AUTHENTICATION_ERROR",
    402: "INSUFFICIENT_CREDITS",
    400: "INVALID_REQUEST_ERROR",
    404: "NOT_FOUND_ERROR",
}
STATES = {401: "UNAUTHENTICATED", 402: "FAILED_PRECONDITION", 400: "INVALID_ARGUMENT", 404: "NOT_FOUND"}


async def called(case: Case, path: str, document: Any = None, secret: str | None = None) -> Reply:
    """A path below the endpoint, as Google's SDKs call it: GET, or POST with a document."""
    key = await case.secret(None) if secret is None else secret
    headers = {"content-type": "application/json", "x-goog-api-key": key}
    body = b"" if document is None else orjson.dumps(document)
    url = f"{case.url('gemini')}/v1beta/models{path}"
    return await case.request("GET" if document is None else "POST", url, headers=headers, body=body)


def contents(text: str) -> dict[str, Any]:
    """One turn of a user."""
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


@requirement("GEM-011")
@over(form=("contents", "whole request"))
async def test_tokens_counted(case: Case, form: str) -> None:
    """Contents alone, or the request around them: a number above zero that grows with the text; nobody pays."""
    model = case.model("gemini")
    counts: list[int] = []
    for text in ("Hi.", CJK * 20):
        asked = contents(text)
        if form == "whole request":
            asked = {"generateContentRequest": {"model": f"models/{model}", **asked}}
        reply = await called(case, f"/{model}:countTokens", asked)
        expect_status(reply, 200)
        total = reply.json.get("totalTokens")
        assert isinstance(total, int), f"totalTokens is {total!r}"
        counts.append(total)
    assert 0 < counts[0] < counts[1], f"{counts} tokens"
    books = await case.books()
    assert (books.charged_uc, books.held_uc, len(books.rows)) == (0, 0, 0), f"counting was charged or logged: {books}"


@requirement("GEM-012")
async def test_models_listed(case: Case) -> None:
    """The models of this endpoint and no others, each of which can be looked up by its name."""
    case.model("gemini")
    listing, one = await called(case, ""), await called(case, f"/{SERVED[0]}")
    expect_status(listing, 200)
    expect_status(one, 200)
    names = [str(one.get("name")) for one in listing.json["models"]]
    assert sorted(names) == [f"models/{name}" for name in SERVED], f"the list has {names}"
    assert one.json in listing.json["models"], f"looked up by its name: {one}"


@requirement("GEM-013")
@over(what=("no such key", "no money", "no contents", "no such method", "no such model"))
async def test_refused_in_googles_form(case: Case, what: str) -> None:
    """Its SDKs read a google.rpc.Status alone: the status as a number and a word, our type as a reason."""
    model, asked = case.model("gemini"), contents(f"Hi. {case.marks(case.fresh())}")
    match what:
        case "no such key":
            status, reply = 401, await called(case, f"/{model}:generateContent", asked, "ck_nobodyhasthiskey")
        case "no money":
            await case.use(uc=0)
            status, reply = 402, await called(case, f"/{model}:generateContent", asked)
        case "no contents":
            status, reply = 400, await called(case, f"/{model}:generateContent", {})
        case "no such method":
            status, reply = 404, await called(case, f"/{model}:paint", asked)
        case _:
            status, reply = 404, await called(case, "/no-such-model")
    expect_status(reply, status)
    error = reply.json["error"]
    assert (error.get("code"), error.get("status")) == (status, STATES[status]), f"{status}: came {error}"
    reasons = [detail.get("reason") for detail in error.get("details", ())]
    assert REASONS[status] in reasons, f"the reference's type is no reason of {error}"
    await case.nothing_upstream()
