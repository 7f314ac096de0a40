"""Generated requests, sound and unsound, to every operation of the OpenAPI document, against a running gateway.

Deterministic: the same requests in every run. What is judged: no 5xx but the documented, only documented statuses,
bodies, types and headers, nothing accepted that the document forbids, and no answer without the key it asks for.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core import NotSet
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks

from loadtests import processes
from loadtests.ledger import Account, Gateway
from schemas.openapi import load

EXAMPLES = int(os.environ.get("WINDTUNNEL_SCHEMATHESIS_EXAMPLES", "12"))
CONFIG = {"generation": {"deterministic": True, "max-examples": EXAMPLES, "no-shrink": True}, "seed": 1}
SCHEMA = schemathesis.openapi.from_dict(load("gateway"), config=SchemathesisConfig.from_dict(CONFIG))
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.ignored_auth,
    openapi_checks.unsupported_method,
    openapi_checks.allow_header_conformance,
]
# Only a provider knows what it takes of these requests: a sound one may still be refused with 400.
GEMINI_MODELS = "/api/v1/gemini/v1beta/models/{id}"
PASSED_ON = {  # path -> the model its body names; "" where the path does
    "/api/v1/chat/completions": "gpt-5.4-nano",
    "/api/v1/responses": "gpt-5.4-nano",
    "/api/v1/responses/input_tokens": "gpt-5.4-nano",
    "/api/v1/responses/{id}/cancel": "",
    "/api/v1/messages": "claude-haiku-4-5",
    "/api/v1/messages/count_tokens": "claude-haiku-4-5",
    "/api/v1/gemini": "gemini-2.5-flash-lite-official",
    "/api/v1/video/generations": "kling-v3",
    "/api/v1/images/generations": "gpt-image-2",
    "/api/v1/audio/generations": "audio-tts",
    "/api/v1/storage/{id}": "",
    "/files/{name}": "",
    "/api/v1/gpu/{slug}": "",  # each model takes an input of its own
    "/api/orgs/{id}/sso": "",  # its members depend on its type
    **{f"{GEMINI_MODELS}:{method}": "" for method in ("generateContent", "streamGenerateContent", "countTokens")},
}

# Until the work is done, which takes minutes: here it is refused
HELD = frozenset({"/api/v1/video/generations", "/api/v1/images/generations"})
HELD_PROMPT = "A teapot [[fault: status status=400]]"
PAST = "2026-01"
HOOK = "https://hooks.example.com/done"
NUMBERS = itertools.count()

PERSONAL = ("/api/auth/session", "/api/api-keys", "/api/orgs")  # with the session of the dashboard


@dataclass(frozen=True, slots=True)
class Live:
    """A running gateway on a running fleet."""

    url: str
    admin_token: str
    account: Account
    ids: dict[str, str]  # what exists behind paths that begin so
    session: requests.Session
    person: Person


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody signed in at the dashboard, with a key and an organisation."""

    cookies: dict[str, str]
    csrf_token: str
    key_id: str
    org_id: str


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("schemathesis")
    with processes.fleet(folder) as fleet, processes.gateway(folder, fleet.told["fleet"]["base_url"]) as gateway:
        told = gateway.told["gateway"]
        admin = Gateway(processes.target_of(fleet.told["fleet"], told))
        account = admin.provision("s", 10**12, 10**6)
        spare = admin.admin("POST", f"users/{account.id}/keys", {"name": "to be changed"})
        person = signed_up(told["base_url"])
        ids = {
            "/api/api-keys/{id}": person.key_id,
            "/api/orgs/{id}": person.org_id,
            "/admin/orgs/{id}": person.org_id,
            "/admin/users/{id}": account.id,
            "/admin/keys/{id}": str(spare["id"]),
            "/api/v1/models/{id}": "gpt-5.5",
            GEMINI_MODELS: "gemini-2.5-flash-lite-official",
            "/api/v1/responses/{id}": kept_response(told["base_url"], account.key),
        }
        with requests.Session() as session:
            session.trust_env = False
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            yield Live(told["base_url"], told["admin_token"], account, ids, session, person)


def signed_up(url: str) -> Person:
    """A new user, signed in."""
    with requests.Session() as session:
        session.trust_env = False
        person = {"email": "person@example.com", "password": "a password of theirs"}
        told = session.post(f"{url}/api/auth/sign-up", json=person, timeout=30).json()
        session.headers["x-csrf-token"] = told["csrfToken"]
        key = session.post(f"{url}/api/api-keys", json={"name": "to be changed"}, timeout=30).json()
        org = session.post(f"{url}/api/orgs", json={"name": "Acme"}, timeout=30).json()
        return Person(session.cookies.get_dict(), told["csrfToken"], key["id"], org["id"])


def kept_response(url: str, key: str) -> str:
    """The id of a response that can be asked for again."""
    body = {"model": "gpt-5.4-nano", "input": "Hi"}
    answer = requests.post(f"{url}/v1/responses", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    return str(answer.json()["id"])


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_operation(case: schemathesis.Case, live: Live) -> None:
    aim(case, live)
    key = live.admin_token if case.path.startswith("/admin") else live.account.key
    credentials: dict[str, Any] = {"headers": {"Authorization": f"Bearer {key}"}}
    if case.path.startswith(PERSONAL):
        credentials = {"headers": {"x-csrf-token": live.person.csrf_token}, "cookies": live.person.cookies}
    case.call_and_validate(base_url=live.url, session=live.session, checks=checks_for(case), timeout=30, **credentials)


def checks_for(case: schemathesis.Case) -> list[Any]:
    """The checks that make sense of this request."""
    chosen = list(CHECKS)
    if case.path not in PASSED_ON:
        chosen.append(openapi_checks.positive_data_acceptance)
    optional = not any(body.is_required for body in case.operation.body)
    if not (optional and isinstance(case.body, NotSet)):  # to leave out an optional body violates nothing
        chosen.append(openapi_checks.negative_data_rejection)
    return chosen


def aim(case: schemathesis.Case, live: Live) -> None:
    """Point sound requests at a user and at models that exist, so that they get past the door."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    for start, known in live.ids.items():
        if case.path.startswith(start) and case.method != "DELETE":
            case.path_parameters["id"] = known
    case.body = whole(case.body)
    if PASSED_ON.get(case.path) and isinstance(case.body, dict):
        case.body["model"] = PASSED_ON[case.path]
        if case.path in HELD:
            case.body["prompt"] = HELD_PROMPT
    together(case)


def together(case: schemathesis.Case) -> None:
    """What the document cannot say: a month has begun, a slug is free, a URL public, the least below the most."""
    if case.path.endswith("/statement") and case.query:
        case.query["month"] = PAST
    if case.path.startswith("/api/v1/deployments") and isinstance(case.body, dict):
        if "slug" in case.body:
            case.body["slug"] = f"fuzzed-{next(NUMBERS)}"
        if isinstance(case.body.get("webhookUrl"), str):
            case.body["webhookUrl"] = HOOK
        workers = [case.body.get(name) for name in ("minWorkers", "maxWorkers")]
        if any(number is not None for number in workers):
            case.body["minWorkers"], case.body["maxWorkers"] = sorted(number or 1 for number in workers)


def whole(value: Any) -> Any:
    """The value with 5.0 as 5: to JSON Schema they are the same integer, and a gateway may well refuse the first."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    return [whole(inner) for inner in value] if isinstance(value, list) else value
