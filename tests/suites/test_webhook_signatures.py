"""The receiver's side of webhooks agrees with the specification's own library, and says why it refuses a call."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from suites.webhook_signatures import TOLERANCE_S, complaint, sign

SECRET = "whsec_" + b64encode(b"a key of twenty-four bytes").decode()
OTHER = "whsec_" + b64encode(b"another key of its own....").decode()
AT_S = 1_790_000_000
BODY = '{"type":"job.succeeded","data":{"text":"grün"}}'.encode()


def headers(**changed: str) -> dict[str, str]:
    """Those of a good call, with others in their place."""
    good = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(AT_S),
        "webhook-signature": sign(SECRET, "msg_1", AT_S, BODY),
    }
    return good | {f"webhook-{name}": value for name, value in changed.items()}


def test_it_signs_as_the_library_does() -> None:
    theirs = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(AT_S, UTC), BODY.decode())
    assert sign(SECRET, "msg_1", AT_S, BODY) == theirs


def test_a_good_call_is_taken() -> None:
    assert complaint(SECRET, headers(), BODY, AT_S + TOLERANCE_S) == ""
    both = f"{sign(OTHER, 'msg_1', AT_S, BODY)} {sign(SECRET, 'msg_1', AT_S, BODY)}"
    assert complaint(SECRET, headers(signature=both), BODY, AT_S) == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"id": ""}, "no header webhook-id"),
        ({"id": "msg_2"}, "is the signature"),
        ({"timestamp": "soon"}, "whole seconds were due"),
        ({"timestamp": str(AT_S + 1)}, "is the signature"),
        ({"timestamp": str(AT_S - TOLERANCE_S - 1)}, "-301 s off"),
        ({"signature": ""}, "no header webhook-signature"),
        ({"signature": sign(OTHER, "msg_1", AT_S, BODY)}, "is the signature"),
        ({"signature": sign(SECRET, "msg_1", AT_S, BODY).removeprefix("v1,")}, "is the signature"),
    ],
)
def test_others_are_refused(changed: dict[str, str], words: str) -> None:
    assert words in complaint(SECRET, headers(**changed), BODY, AT_S)


def test_other_bytes_are_refused() -> None:
    assert complaint(SECRET, headers(), BODY + b" ", AT_S)


@pytest.mark.parametrize("secret", ["", "whsec_", "secret_YQ==", "whsec_no base64!"])
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="a secret"):
        sign(secret, "msg_1", AT_S, BODY)
