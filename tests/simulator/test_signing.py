"""Signatures of webhooks: vectors that others published, and what a receiver checks."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from simulator.jobs.signing import standard_key, standard_webhooks

SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
BODY = b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,"update_time":1781080794151}'


def test_the_vector_of_klings_documentation() -> None:
    assert standard_webhooks(SECRET, "9876543210", 1781080794, BODY) == (
        ("webhook-id", "9876543210"),
        ("webhook-timestamp", "1781080794"),
        ("webhook-signature", "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="),
    )


def test_a_secret_is_a_text_or_its_key() -> None:
    key = b"testsecrettestsecrettestsecret12"
    assert standard_key(SECRET) == standard_key(SECRET.removeprefix("whsec_")) == key
    assert standard_webhooks(key, "1", 2, b"{}") == standard_webhooks(SECRET, "1", 2, b"{}")
    assert standard_key("whsec_no base64!") == b"no base64!"


@given(st.text(max_size=20), st.integers(0, 1 << 40), st.binary(max_size=99), st.sampled_from(["id", "time", "body"]))
def test_a_signature_covers_id_time_and_body(name: str, sent_s: int, body: bytes, changed: str) -> None:
    told = standard_webhooks(SECRET, name, sent_s, body)[-1]
    other = {"id": name + "x", "time": sent_s, "body": body} | {
        changed: {"id": name + "x", "time": sent_s + 1, "body": body + b"x"}[changed]
    }
    own_id = other["id"] if changed == "id" else name
    assert standard_webhooks(SECRET, str(own_id), int(str(other["time"])), bytes(other["body"]))[-1] != told  # type: ignore[arg-type]
    assert len(base64.b64decode(told[1].removeprefix("v1,"))) == 32
