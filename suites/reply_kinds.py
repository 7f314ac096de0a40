"""Which schema a reply must obey: by method, path, status and the wire that it was asked on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from suites.exchange import Reply, Sent

GPU_REPLIES: Final[Sequence[tuple[str, str, int, str]]] = (  # method, end of the path, status, kind
    ("GET", r"/gpu", 200, "gpu_models"),
    ("GET", r"/gpu/jobs", 200, "gpu_jobs"),
    ("GET", r"/gpu/jobs/[^/]+", 200, "gpu_job"),
    ("POST", r"/gpu/jobs/[^/]+/cancel", 200, "gpu_job"),
    ("POST", r"/gpu/(run/)?[^/]+", 200, "gpu_job"),
    ("POST", r"/gpu/(run/)?[^/]+", 202, "gpu_submission"),
    ("GET", r"/deployments", 200, "deployments"),
    ("POST", r"/deployments", 201, "deployment"),
    ("GET", r"/deployments/[^/]+", 200, "deployment"),
    ("PATCH", r"/deployments/[^/]+", 200, "deployment"),
)
KEPT_REPLIES: Final[Sequence[tuple[str, str, int, str]]] = (  # the same, of files and of single sign-on
    ("POST", r"/v1/storage", 201, "stored_file"),
    ("GET", r"/v1/storage", 200, "stored_files"),
    ("GET", r"/v1/storage/[^/]+", 200, "stored_file"),
    ("DELETE", r"/v1/storage/[^/]+", 200, "deleted_file"),
    ("POST", r"/api/orgs/[^/]+/sso", 201, "identity_provider"),
    ("GET", r"/api/orgs/[^/]+/sso/[^/]+", 200, "identity_provider"),
    ("PATCH", r"/api/orgs/[^/]+/sso/[^/]+", 200, "identity_provider"),
    ("POST", r"/api/auth/sso/start", 200, "way_to_sign_in"),
)
ACCOUNT_REPLIES: Final[Sequence[tuple[str, str, int, str]]] = (  # the same, of what people do at the dashboard
    ("POST", r"/api/api-keys", 201, "api_key"),
    ("GET", r"/api/api-keys", 200, "api_keys"),
    ("GET", r"/api/api-keys/[^/]+", 200, "api_key"),
    ("PATCH", r"/api/api-keys/[^/]+", 200, "api_key"),
    ("POST", r"/api/api-keys/[^/]+/rotate", 200, "api_key"),
    ("POST", r"/api/orgs", 201, "organisation"),
    ("GET", r"/api/orgs/[^/]+", 200, "organisation"),
    ("PATCH", r"/api/orgs/[^/]+", 200, "organisation"),
    ("POST", r"/api/orgs/invitations/accept", 200, "organisation"),
    ("GET", r"/api/orgs/[^/]+/members", 200, "members"),
    ("GET", r"/api/orgs/[^/]+/audit-log", 200, "audit_log"),
    ("GET", r"/api/orgs/[^/]+/usage", 200, "usage_log"),
    ("POST", r"/api/auth/sign-up", 201, "session"),
    ("POST", r"/api/auth/(sign-in|password)", 200, "session"),
    ("GET", r"/api/auth/session", 200, "session"),
    ("GET", r"/api(/orgs/[^/]+)?/statement", 200, "statement"),
    ("GET", r"/api/credits", 200, "credits"),
)
GOOGLE_MODELS: Final = r"(/gemini(/v1\w*)?|/v1(beta1?|alpha))/models"  # where Google's SDKs alone look for models
GOOGLE_METHOD: Final = r"/models/[^/]+:(generateContent|streamGenerateContent|countTokens)"
PLAIN_REPLIES: Final[Sequence[tuple[str, str, int, str]]] = (  # the same, of what costs nothing; the first one counts
    ("POST", r"/messages/count_tokens", 200, "token_count"),
    ("POST", r"/responses/input_tokens", 200, "response_token_count"),
    ("POST", r"/models/[^/]+:countTokens", 200, "gemini_token_count"),
    ("GET", GOOGLE_MODELS, 200, "gemini_models"),
    ("GET", rf"{GOOGLE_MODELS}/[^/]+", 200, "gemini_model"),
    ("GET", r"/models", 200, "models"),
    ("GET", r"/api-usage", 200, "usage_log"),
    ("GET", r"/(api-)?usage/export", 200, "usage_export"),
)
ANSWERS: Final[Mapping[str, tuple[str, str]]] = {  # wire -> kinds of a whole answer and of an event
    "chat": ("chat_completion", "chat_chunk"),
    "messages": ("message", "message_event"),
    "responses": ("response", "response_event"),
    "gemini": ("gemini_reply", "gemini_chunk"),
}
MADE: Final[Mapping[str, str]] = {"images": "pictures", "videos": "clip", "audio": "sound"}


def kind_of(reply: Reply) -> str | None:
    """Which schema a reply must obey; None for what has none."""
    path = reply.sent.url.partition("?")[0]
    if reply.sent.method == "HEAD" or not path.startswith("http"):
        return None
    if reply.status >= 400:
        return "google_error" if is_googles(path) else "error"
    for method, ending, status, kind in GPU_REPLIES:
        if (reply.sent.method, reply.status) == (method, status) and re.search(f"/v1{ending}$", path):
            return kind
    for method, ending, status, kind in (*KEPT_REPLIES, *ACCOUNT_REPLIES, *PLAIN_REPLIES):
        if (reply.sent.method, reply.status) == (method, status) and re.search(f"{ending}$", path):
            return kind
    return answer_kind(reply, path) if reply.status == 200 else None


def is_googles(path: str) -> bool:
    """Whether only Google's SDKs call this path, so that errors are in Google's form there."""
    return re.search(rf"({GOOGLE_MODELS}(/.*)?|{GOOGLE_METHOD})$", path) is not None


def answer_kind(reply: Reply, path: str) -> str | None:
    """The kind of what a model said or made; None where the request was none of a model."""
    wire = reply.sent.wire
    if wire == "gemini" and is_openai_shape(reply.sent):
        wire = "chat"
    if wire in ANSWERS:
        return ANSWERS[wire][reply.is_stream or path.endswith(":streamGenerateContent")]
    return MADE.get(wire)


def is_openai_shape(sent: Sent) -> bool:
    """Whether a request on the Gemini endpoint is one of Chat Completions."""
    asked: Any = sent.document
    if asked is None and sent.body:
        try:
            asked = orjson.loads(sent.body)
        except orjson.JSONDecodeError:
            return False
    return isinstance(asked, dict) and "messages" in asked and "contents" not in asked
