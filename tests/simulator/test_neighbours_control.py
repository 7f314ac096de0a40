"""Neighbours over the control API: what is told, put, refused and forgotten; with several workers; and the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator
from redis import Redis
from redis.exceptions import RedisError

from simulator.clock import Clock
from simulator.control.api import openapi
from simulator.neighbours import document
from simulator.neighbours.faults import NEIGHBOURS, kinds
from simulator.neighbours.keys import rsa_key
from tests.servers import start
from tests.simulator.neighbours import (
    CALLBACK,
    PASSWORD,
    TIMEOUT_S,
    Neighbourly,
    browser,
    get,
    neighbourly,
    submit,
    told,
)
from tests.simulator.test_neighbours_mail import letter, sender

REDIS = "redis://127.0.0.1:6379/0"
ASKED = {
    "response_type": "code",
    "client_id": "windtunnel",
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "state": "s",
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Neighbourly]:
    with neighbourly(Clock("manual")) as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(request: pytest.FixtureRequest) -> None:
    if "fleet" in request.fixturenames:
        request.getfixturevalue("fleet").control("POST", "reset")


def valid(name: str, content: object) -> None:
    """Check against a schema of the document."""
    components = openapi()["components"]
    Draft202012Validator({**components["schemas"][name], "components": components}).validate(content)


def test_neighbours_tell_where_they_are(fleet: Neighbourly) -> None:
    found = fleet.control("GET", "neighbours")["neighbours"]
    assert list(found) == list(NEIGHBOURS)
    for name, one in found.items():
        valid("Neighbour", one)
        assert one == fleet.control("GET", f"neighbours/{name}")
    assert found["oidc"]["issuers"] == [f"{fleet.url}/__oidc/acme", f"{fleet.url}/__oidc/globex"]
    assert found["mail"]["smtp"] == {"host": fleet.smtp[0], "port": fleet.smtp[1]}
    told_at_start = fleet.live.runtime.describe()
    assert told_at_start["smtp"] == found["mail"]["smtp"]
    assert told_at_start["neighbours"]["saml"] == found["saml"]["metadata"]


def test_every_kind_is_listed_and_can_be_put(fleet: Neighbourly) -> None:
    listed = fleet.control("GET", "neighbours/faults")["kinds"]
    for name in NEIGHBOURS:
        assert [row["kind"] for row in listed[name]] == list(kinds()[name])
        for row in listed[name]:
            valid("NeighbourFaultKind", row)
            assert row["summary"].endswith(".")
        every = [{"kind": row["kind"], **row["options"]} for row in listed[name]]
        assert len(fleet.control("PUT", f"neighbours/{name}", {"faults": every})["faults"]) == len(every)


def test_faults_are_added_listed_and_taken_off(fleet: Neighbourly) -> None:
    (first,) = fleet.control("POST", "neighbours/hooks/faults", {"faults": [{"kind": "status", "status": 503}]})["ids"]
    second, third = fleet.control(
        "POST", "neighbours/hooks/faults", {"faults": [{"kind": "too-many", "case": "c"}, {"kind": "hang", "times": 2}]}
    )["ids"]
    rows = fleet.control("GET", "neighbours/hooks")["faults"]
    assert rows == [
        {"id": first, "kind": "status", "status": 503, "hits": 0},
        {"id": second, "kind": "too_many", "case": "c", "hits": 0},
        {"id": third, "kind": "hang", "times": 2, "hits": 0},
    ]
    for row in rows:
        valid("NeighbourFault", row)
    fleet.control("DELETE", f"neighbours/hooks/faults/{third}")
    assert requests.get(f"{fleet.url}/__hooks/x", timeout=TIMEOUT_S).status_code == 503
    assert [row["hits"] for row in fleet.control("GET", "neighbours/hooks")["faults"]] == [1, 0]
    assert fleet.refused("DELETE", f"neighbours/hooks/faults/{third}")[0] == 404
    assert fleet.control("DELETE", "neighbours/hooks/faults")["faults"] == []


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("hooks", {"faults": [{"kind": "nope"}]}, "faults[0].kind"),
        ("hooks", {"faults": [{"kind": "hang"}, {"kind": "status", "status": 99}]}, "faults[1].status"),
        ("hooks", {"faults": [{"kind": "status", "status": "500"}]}, "faults[0].status"),
        ("hooks", {"faults": [{"kind": "status", "delay_ms": 5}]}, "faults[0].delay_ms"),
        ("hooks", {"faults": [{"kind": "status", "times": 0}]}, "faults[0].times"),
        ("hooks", {"faults": [{"kind": "status", "times": True}]}, "faults[0].times"),
        ("hooks", {"faults": [{"kind": "redirect", "location": "x\r\ny: z"}]}, "faults[0].location"),
        ("hooks", {"faults": ["hang"]}, "faults[0]"),
        ("hooks", {"faults": {}}, "faults"),
        ("hooks", {"status": 500}, "status"),
        ("hooks", {"secrets": {"c": "not base64!"}}, "secrets.c"),
        ("hooks", {"secrets": 7}, "secrets"),
        ("mail", {"starttls": "maybe"}, "starttls"),
        ("mail", {"faults": [{"kind": "greylist", "code": 250}]}, "faults[0].code"),
        ("oidc", {"auto": 7}, "auto"),
        ("oidc", {"autos": "x"}, "the body"),
        ("saml", {"sign": "none"}, "sign"),
        ("saml", {"service_providers": [{"acs_url": "x"}]}, "service_providers[0]"),
        ("saml", [], "the body"),
    ],
)
def test_unsound_wishes_change_nothing(fleet: Neighbourly, name: str, content: object, where: str) -> None:
    before = fleet.control("GET", f"neighbours/{name}")
    status, problems = fleet.refused("PUT", f"neighbours/{name}", content)
    assert status == 400
    assert [one["where"] for one in problems] == [where]
    assert fleet.control("GET", f"neighbours/{name}") == before


def test_who_is_no_neighbour(fleet: Neighbourly) -> None:
    for method, path in (
        ("GET", "neighbours/nobody"),
        ("PUT", "neighbours/nobody"),
        ("POST", "neighbours/nobody/faults"),
    ):
        assert fleet.refused(method, path, {"faults": []} if method != "GET" else None)[0] == 404
    for path in ("mails?limit=x", "sign-ons?wait_ms=-1", "received?cases=x"):
        assert fleet.refused("GET", path)[0] == 400


def test_settings_are_changed_one_by_one_and_secrets_add_up(fleet: Neighbourly) -> None:
    fleet.control("PUT", "neighbours/hooks", {"status": 202, "secrets": {"a": "whsec_YWFhYQ==", "b": "YmJiYg=="}})
    found = fleet.control("PUT", "neighbours/hooks", {"secrets": {"a": None, "c": "Y2NjYw=="}})
    assert found["settings"] == {"challenges": True, "status": 202, "secrets": {"b": "YmJiYg==", "c": "Y2NjYw=="}}
    found = fleet.control("DELETE", "neighbours/hooks")
    assert found["settings"] == {"challenges": True, "status": 200, "secrets": {}}


def test_a_reset_forgets_the_neighbours_too(fleet: Neighbourly) -> None:
    for name in NEIGHBOURS:
        fleet.control(
            "POST", f"neighbours/{name}/faults", {"faults": [{"kind": next(iter(kinds()[name])), "times": 1}]}
        )
    fleet.control("PUT", "neighbours/oidc", {"auto": "*"})
    fleet.control("DELETE", "neighbours/mail/faults")
    with sender(fleet) as smtp:
        smtp.send_message(letter())
    with browser() as session:
        get(session, f"{fleet.url}/__oidc/acme/authorize", **ASKED)
        requests.get(f"{fleet.url}/__hooks/x", timeout=TIMEOUT_S)
        views = {"mails": ("mails", "Mail"), "sign-ons": ("steps", "SignOnStep"), "received": ("received", "Received")}
        before = {path: fleet.control("GET", path) for path in views}
        for path, (key, schema) in views.items():
            assert len(before[path][key]) == 1
            valid(schema, before[path][key][0])
        fleet.control("POST", "reset")
        for path, (key, _) in views.items():
            assert fleet.control("GET", path) == {key: [], "next": before[path]["next"], "dropped": 0}
        fleet.control("PUT", "neighbours/mail", {})
        assert all(one["faults"] == [] for one in fleet.control("GET", "neighbours")["neighbours"].values())
        assert (
            told(get(session, f"{fleet.url}/__oidc/acme/authorize", **ASKED, prompt="none"))["error"]
            == "login_required"
        )


def test_neighbours_are_not_in_the_journal_of_providers(fleet: Neighbourly) -> None:
    requests.get(f"{fleet.url}/__hooks/x", timeout=TIMEOUT_S)
    assert fleet.control("GET", "journal")["entries"] == []


def test_keys_are_made_of_the_seed() -> None:
    numbers = rsa_key(11, "usual").public_key().public_numbers()
    assert numbers.n.bit_length() == 2048
    assert rsa_key.__wrapped__(11, "usual").public_key().public_numbers() == numbers
    assert rsa_key(12, "usual").public_key().public_numbers() != numbers


def test_the_tables_of_the_docs_are_current() -> None:
    assert document.DOCS.read_text("utf-8") == document.page(), "run python -m simulator.neighbours"


def redis_answers() -> bool:
    try:
        with Redis.from_url(REDIS, socket_connect_timeout=1) as redis:
            return bool(redis.ping())
    except RedisError:
        return False


@pytest.mark.skipif(not redis_answers(), reason=f"no Redis at {REDIS}")
def test_several_workers_have_the_same_neighbours() -> None:
    """Each request on a connection of its own, so that any worker may take it."""
    server = start("simulator", "--workers", "3", "--redis", REDIS)
    try:
        fleet = server.told["fleet"]
        url = fleet["base_url"]

        def control(method: str, path: str, content: object = None) -> Any:
            answer = requests.request(method, f"{fleet['control_url']}/{path}", json=content, timeout=TIMEOUT_S)
            assert answer.ok, answer.text
            return answer.json()

        for number in range(6):
            with browser() as session:
                session.headers["connection"] = "close"
                form = get(session, f"{url}/__oidc/acme/authorize", **ASKED)
                code = told(submit(session, form, username=f"ann+w{number}@acme.example", password=PASSWORD))["code"]
            data = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
            auth = ("windtunnel", "windtunnel-secret")
            assert requests.post(f"{url}/__oidc/acme/token", data=data, auth=auth, timeout=TIMEOUT_S).ok
        assert len(control("GET", "sign-ons?case=w*")["steps"]) == 12
        control("PUT", "neighbours/hooks", {"faults": [{"kind": "status", "status": 500, "times": 4}]})
        seen = [requests.post(f"{url}/__hooks/w", data=b"\xff", timeout=TIMEOUT_S).status_code for _ in range(8)]
        assert seen == [500] * 4 + [200] * 4
        assert len(control("GET", "received?case=w&count=8&wait_ms=5000")["received"]) == 8
        with sender(Neighbourly(None, url, (fleet["smtp"]["host"], fleet["smtp"]["port"]))) as smtp:  # type: ignore[arg-type]
            smtp.send_message(letter())
        assert len(control("GET", "mails")["mails"]) == 1
        assert {json.dumps(control("GET", "neighbours/oidc")) for _ in range(6)} == {
            json.dumps(control("GET", "neighbours/oidc"))
        }
    finally:
        assert server.stop() == 0
