"""What an upstream says, made fit for the caller."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import scrub
from tests.gateway.lab import error, open_lab, run

SAFE = [
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "The model `gpt-5.5` does not exist or you do not have access to it.",
    "prompt is too long: 213462 tokens > 200000 maximum",
    "Rate limit reached for gpt-5.5 on tokens per min (TPM): Limit 30000, Used 29937. Please try again in 9.816s.",
    "tools.0.custom.input_schema: Field required",
    "max_tokens must be <= 4096 and/or at least 1 (see above), 12:30:45",
    "Overloaded",
]
CANARIES = [
    "sk-proj-abcDEF123456",
    "sk-ant-api03-abc_DEF-123456",
    "sk-fleet-****9876",
    "ck_live_0123456789abcdef",
    "AIzaSyA0123456789abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "Bearer abc.def.ghi",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "api_key=supersecret",
    "https://user:pass@internal.example:8443/a?b=c",
    "wss://x.y/z",
    "api.openai.com",
    "gpu-17.us-east.prod.internal:9000",
    "localhost:8080/v1",
    "10.0.12.7",
    "192.168.1.1:443",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "fe80::1",
    "::1",
    "/usr/lib/python3/site-packages/app.py",
    "C:\\srv\\app.py",
    "ops@example.com",
    "<html><body>",
]


@pytest.mark.parametrize("text", SAFE)
def test_what_is_useful_stays(text: str) -> None:
    assert scrub.message(text) == text


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("around", ["{}", "boom at {} now", "({})", '"{}"', "x={}", "a: {}, b"])
def test_canaries_go(canary: str, around: str) -> None:
    told = scrub.message(around.format(canary))
    assert canary not in told
    assert "secret" not in told
    assert scrub.HIDDEN in told


@pytest.mark.parametrize(
    "trace",
    [
        'Traceback (most recent call last):\n  File "/srv/app.py", line 3, in f\nKeyError: secret',
        "Error: x\n    at Object.f (secret.js:1:2)\n    at g (b.js:3:4)",
        "at com.acme.Secret.run(Secret.java:12)",
        "goroutine 1 [running]:\nmain.secret()",
        "thread 'main' panicked at src/secret.rs:1:2",
    ],
)
def test_stack_traces_go(trace: str) -> None:
    told = scrub.message("It broke: " + trace)
    assert told.startswith("It broke")
    assert "secret" not in told.lower()


def test_configured_secrets_go_wherever_they_stand() -> None:
    assert scrub.message("key xyzzyX failed", ["xyzzy", ""]) == f"key {scrub.HIDDEN}X failed"


@given(st.text())
def test_the_result_is_one_short_printable_line(text: str) -> None:
    told = scrub.message(text)
    assert len(told) <= scrub.MESSAGE_LENGTH_MAX
    assert told.isprintable()
    assert "\n" not in told


def test_long_messages_take_little_time() -> None:
    for text in (
        "a." * 50_000,
        "/" * 100_000,
        "1." * 50_000,
        ":" * 100_000,
        "a" * 100_000,
        "<" * 100_000,
        "at " * 40_000,
    ):
        assert len(scrub.message(text)) <= scrub.MESSAGE_LENGTH_MAX


def test_a_502_shows_none_of_it() -> None:
    async def scene() -> None:
        said = "upstream exploded: " + " ".join(CANARIES[:12]) + " key sk-fleet-openai-eu host 127.0.0.1:8101"
        lab = await open_lab(lambda _request: error(500, said))
        answer = await lab.chat()
        assert answer.status == 502
        told = answer.error[1]
        assert told.startswith("All upstreams failed for gpt-5.5: upstream exploded: ")
        assert not [canary for canary in [*CANARIES[:12], "sk-fleet", "8101"] if canary in told]

    run(scene())
