"""Where the key stands, on every endpoint."""

from __future__ import annotations

import pytest

from gateway import auth
from tests.gateway.lab import CHAT, HI, completion, message, ok, open_lab, run

FORMS = {
    "bearer": ({"authorization": "Bearer {key}"}, ""),
    "lower": ({"authorization": "bearer {key}"}, ""),
    "upper": ({"authorization": "BEARER {key}"}, ""),
    "blanks": ({"authorization": "  Bearer \t  {key}  "}, ""),
    "x-api-key": ({"x-api-key": "{key}"}, ""),
    "x-api-key blanks": ({"x-api-key": " {key} "}, ""),
    "x-goog-api-key": ({"x-goog-api-key": "{key}"}, ""),
    "query": ({}, "key={key}"),
    "query among others": ({}, "beta=true&key={key}&x=1"),
    "another scheme beside": ({"authorization": "Basic abc", "x-api-key": "{key}"}, ""),
    "a foreign key beside": ({"authorization": "Bearer sk-dummy", "x-api-key": "{key}"}, ""),
}
CALLS = [
    ("POST", CHAT, {"model": "gpt-5.5", "messages": HI}),
    ("POST", "/v1/chat/completions", {"model": "gpt-5.5", "messages": HI}),
    ("POST", "/api/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": HI}),
    ("POST", "/api/v1/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": HI}),
    ("POST", "/api/v1/messages/count_tokens", {"model": "claude-haiku-4-5", "messages": HI}),
    ("GET", "/api/v1/models", None),
    ("GET", "/v1/models/gpt-5.5", None),
    ("GET", "/api/api-usage", None),
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_works_on_every_endpoint(form: str) -> None:
    async def scene() -> None:
        def answer(request):  # type: ignore[no-untyped-def]
            count = b'{"input_tokens": 9}'
            chat = "chat" in request.url
            return ok(completion() if chat else count if request.url.endswith("count_tokens") else message())

        lab = await open_lab(answer)
        headers, query = FORMS[form]
        filled = {name: value.format(key=lab.secret) for name, value in headers.items()}
        for method, path, body in CALLS:
            got = await lab.ask(path, body, method=method, headers=filled, query=query.format(key=lab.secret))
            assert got.status == 200, (path, got.body)
        for request in lab.transport.requests:
            assert lab.secret not in request.url + repr(request.headers)
            assert "?" not in request.url

    run(scene())


BAD = {
    "none": {},
    "empty": {"authorization": "Bearer "},
    "no scheme": {"authorization": "ck_abc"},
    "malformed": {"authorization": "Bearer sk-abc"},
    "prefix only": {"x-api-key": "ck_"},
    "unknown": {"x-api-key": "ck_unknown"},
    "long": {"x-api-key": "ck_" + "a" * 10_000},
    "not ascii": {"x-api-key": "ck_\xff\xfe"},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_keys_are_401_everywhere_and_reach_nobody(case: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        for method, path, body in CALLS:
            answer = await lab.ask(path, body, method=method, headers=BAD[case])
            assert answer.status == 401, path
            assert answer.error[0] == "authentication_error"
            assert answer.headers["x-request-id"]
        assert not lab.transport.requests

    run(scene())


def test_expired_disabled_and_deleted_keys() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(completion()))
        accounts, now_s = lab.services.accounts, lab.services.clock.now_s()
        assert (await lab.chat()).status == 200
        key = await accounts.change_key(lab.key, expires_at_s=now_s - 1)
        assert (await lab.chat()).error == ("authentication_error", "The API key has expired.")
        key = await accounts.change_key(key, expires_at_s=now_s + 100)
        assert (await lab.chat()).status == 200
        lab.services.clock.advance(100_000)
        assert (await lab.chat()).status == 401
        key = await accounts.change_key(key, expires_at_s=None, status="disabled")
        assert (await lab.chat()).error == ("authentication_error", "The API key is disabled.")
        key = await accounts.change_key(key, status="active")
        assert (await lab.chat()).status == 200
        await accounts.delete_key(key)
        assert (await lab.chat()).status == 401
        assert len(lab.transport.requests) == 3

    run(scene())


def test_the_key_comes_before_path_method_and_body() -> None:
    async def scene() -> None:
        lab = await open_lab([])
        for method in ("GET", "PUT", "OPTIONS", "HEAD", "TRACE"):
            assert (await lab.ask(CHAT, method=method, headers={})).status == 401
        assert (await lab.ask(CHAT + "/", headers={})).status == 401
        assert (await lab.ask(CHAT, b"not json", headers={})).status == 401
        assert (await lab.ask("//api/v1/chat/completions", headers={})).status == 404

    run(scene())


def test_the_first_good_looking_credential_counts() -> None:
    headers = {b"authorization": b"Bearer ck_one", b"x-api-key": b"ck_two"}
    assert auth.secret(headers, b"key=ck_three") == "ck_one"
    assert auth.secret({b"x-api-key": b"x"}, b"key=ck_three") == "ck_three"
    assert auth.secret({}, b"key=" + b"&a=1" * 200) == ""
    assert auth.secret({}, b"keys=ck_no") is None
