"""The SAML identity provider: sign-on as a browser and a gateway drive it, verified by signxml; and each attack."""

from __future__ import annotations

import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree import ElementTree

import pytest
import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.exceptions import SignXMLException
from signxml.verifier import XMLVerifier

from simulator.clock import MANUAL_START_MS, Clock
from simulator.neighbours.accounts import directory
from simulator.neighbours.asked import Asked
from simulator.neighbours.faults import kinds
from simulator.neighbours.records import Records
from simulator.neighbours.saml.provider import SamlProvider
from tests.simulator.neighbours import (
    PASSWORD,
    TIMEOUT_S,
    Neighbourly,
    action,
    browser,
    fields,
    get,
    neighbourly,
    submit,
)

NS = {
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "md": "urn:oasis:names:tc:SAML:2.0:metadata",
}
SP = "https://gateway.example/saml/metadata"
ACS = "https://gateway.example/saml/acs"
VICTIM = "ann@acme.example"
REFUSALS = (SignXMLException, etree.DocumentInvalid)  # the second by the schema of XML Signature
WRAPPED = [f"xsw{number}" for number in range(1, 9)]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Neighbourly]:
    with neighbourly(Clock("manual")) as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(request: pytest.FixtureRequest) -> None:
    if "fleet" in request.fixturenames:
        request.getfixturevalue("fleet").control("POST", "reset")


def authn_request(fleet: Neighbourly, request_id: str = "_r1", acs: str = ACS, more: str = "") -> bytes:
    return (
        f'<samlp:AuthnRequest xmlns:samlp="{NS["samlp"]}" xmlns:saml="{NS["saml"]}" ID="{request_id}" Version="2.0" '
        f'IssueInstant="2026-01-01T00:00:00Z" Destination="{fleet.url}/__saml/acme/sso" '
        f'AssertionConsumerServiceURL="{acs}" {more}><saml:Issuer>{SP}</saml:Issuer></samlp:AuthnRequest>'
    ).encode()


def deflated(message: bytes) -> str:
    pack = zlib.compressobj(wbits=-15)
    return b64encode(pack.compress(message) + pack.flush()).decode()


def posted(page: requests.Response) -> bytes:
    """The response in the form that submits itself to the gateway."""
    assert page.status_code == 200, page.text
    assert action(page.text) == ACS
    assert "document.forms[0].submit()" in page.text
    return b64decode(fields(page.text)["SAMLResponse"])


def signed_on(fleet: Neighbourly, login: str = "bob@acme.example", request_id: str = "_r1") -> bytes:
    """The response after somebody filled in the form."""
    with browser() as session:
        sso = f"{fleet.url}/__saml/acme/sso"
        form = get(session, sso, SAMLRequest=deflated(authn_request(fleet, request_id)), RelayState="there")
        return posted(submit(session, form, username=login, password=PASSWORD))


def metadata(fleet: Neighbourly) -> Any:
    return etree.fromstring(requests.get(f"{fleet.url}/__saml/acme/metadata", timeout=TIMEOUT_S).content)


def certificate(fleet: Neighbourly) -> x509.Certificate:
    text = metadata(fleet).findtext(".//ds:X509Certificate", namespaces=NS)
    return x509.load_der_x509_certificate(b64decode(text))


def verified(fleet: Neighbourly, response: bytes, cert: x509.Certificate | None = None) -> list[Any]:
    """The elements that are signed, as signxml returns them. Raises what it raises."""
    result = XMLVerifier().verify(response, x509_cert=cert or certificate(fleet))
    return [one.signed_xml for one in (result if isinstance(result, list) else [result])]


def first(root: Any, path: str) -> str | None:
    """What a careless reader finds."""
    found: str | None = root.findtext(path, namespaces=NS)
    return found


def attributes(root: Any) -> dict[str, list[str]]:
    return {
        one.get("Name"): [value.text for value in one.iterfind("saml:AttributeValue", NS)]
        for one in root.iterfind(".//saml:Attribute", NS)
    }


# --- the flow ---------------------------------------------------------------------------------------------------------


def test_a_user_signs_on_at_a_service_provider(fleet: Neighbourly) -> None:
    with browser() as session:
        sso = f"{fleet.url}/__saml/acme/sso"
        form = get(session, sso, SAMLRequest=deflated(authn_request(fleet)), RelayState="there")
        assert "Acme Robotics" in form.text
        wrong = submit(session, form, username="zoe@acme.example", password="guess")
        assert wrong.status_code == 401
        page = submit(session, wrong, username="zoe@acme.example", password=PASSWORD)
        assert fields(page.text)["RelayState"] == "there"
        response = posted(page)
        again = posted(get(session, sso, SAMLRequest=deflated(authn_request(fleet, "_r2"))))
        assert etree.fromstring(again).get("InResponseTo") == "_r2", "the session lasts"
    root = etree.fromstring(response)
    (signed,) = verified(fleet, response)
    assert signed.get("ID") == root.get("ID")
    entity = metadata(fleet).get("entityID")
    now = "2026-01-01T00:00:00Z"
    assert (root.get("InResponseTo"), root.get("Destination"), root.get("IssueInstant")) == ("_r1", ACS, now)
    assertion = root.find("saml:Assertion", NS)
    assert (first(root, "saml:Issuer"), first(assertion, "saml:Issuer")) == (entity, entity)
    assert first(root, ".//saml:Audience") == SP
    assert first(root, ".//saml:NameID") == "zoe@acme.example"
    data = root.find(".//saml:SubjectConfirmationData", NS)
    assert dict(data.attrib) == {"InResponseTo": "_r1", "Recipient": ACS, "NotOnOrAfter": "2026-01-01T00:05:00Z"}
    assert attributes(assertion) == {
        "email": ["zoe@acme.example"],
        "displayName": ["Zoë Ångström"],
        "givenName": ["Zoë"],
        "sn": ["Ångström"],
        "groups": ["finance"],
        "uid": attributes(assertion)["uid"],
    }
    assert [one.tag.rpartition("}")[2] for one in assertion][:2] == ["Issuer", "Signature"]
    steps = fleet.control("GET", "sign-ons")["steps"]
    assert [(one["step"], one["outcome"]) for one in steps][:4] == [
        ("sso", "form"),
        ("login", "wrong_password"),
        ("login", "ok"),
        ("sso", "ok"),
    ]
    assert steps[2]["detail"]["response"] == response.decode()
    assert steps[2]["detail"]["service_provider"] == SP


@pytest.mark.parametrize(("what", "signed"), [("response", ["Response"]), ("assertion", ["Assertion"])])
def test_what_is_signed_can_be_chosen(fleet: Neighbourly, what: str, signed: list[str]) -> None:
    fleet.control("PUT", "neighbours/saml", {"sign": what})
    response = signed_on(fleet)
    assert [one.tag.rpartition("}")[2] for one in verified(fleet, response)] == signed
    assert len(etree.fromstring(response).findall(".//ds:Signature", NS)) == 1


def test_the_post_binding_and_a_sign_on_that_the_provider_begins(fleet: Neighbourly) -> None:
    with browser() as session:
        data = {"SAMLRequest": b64encode(authn_request(fleet)).decode()}
        form = session.post(f"{fleet.url}/__saml/acme/sso", data=data, timeout=TIMEOUT_S)
        assert (
            etree.fromstring(posted(submit(session, form, username=VICTIM, password=PASSWORD))).get("InResponseTo")
            == "_r1"
        )
    with browser() as session:
        form = get(session, f"{fleet.url}/__saml/acme/start", sp=SP, acs=ACS, relay_state="home")
        page = submit(session, form, username="bob+t1@acme.example", password=PASSWORD)
        root = etree.fromstring(posted(page))
        assert fields(page.text)["RelayState"] == "home"
    assert "InResponseTo" not in root.attrib
    assert first(root, ".//saml:NameID") == "bob+t1@acme.example"
    verified(fleet, posted(page))
    assert [one["outcome"] for one in fleet.control("GET", "sign-ons?case=t1")["steps"]] == ["ok"]


def test_nobody_is_asked_when_told_so(fleet: Neighbourly) -> None:
    sso = f"{fleet.url}/__saml/acme/sso"
    with browser() as session:
        passive = posted(get(session, sso, SAMLRequest=deflated(authn_request(fleet, more='IsPassive="true"'))))
        codes = [
            one.get("Value").rpartition(":")[2]
            for one in etree.fromstring(passive).iter(f"{{{NS['samlp']}}}StatusCode")
        ]
        assert codes == ["Responder", "NoPassive"]
        verified(fleet, passive)
    fleet.control("PUT", "neighbours/saml", {"auto": "bob@acme.example"})
    with browser() as session:
        assert first(
            etree.fromstring(posted(get(session, sso, SAMLRequest=deflated(authn_request(fleet))))), ".//saml:NameID"
        )
        forced = get(session, sso, SAMLRequest=deflated(authn_request(fleet, more='ForceAuthn="true"')))
        posted(forced)


def test_signing_off_is_answered_where_the_service_provider_wants_it(fleet: Neighbourly) -> None:
    row = {"entity_id": SP, "acs_url": ACS, "slo_url": "https://gateway.example/saml/slo"}
    fleet.control("PUT", "neighbours/saml", {"service_providers": [row]})
    sso = f"{fleet.url}/__saml/acme/sso"
    with browser() as session:
        form = get(session, sso, SAMLRequest=deflated(authn_request(fleet)))
        root = etree.fromstring(posted(submit(session, form, username="bob@acme.example", password=PASSWORD)))
        index = root.find(".//saml:AuthnStatement", NS).get("SessionIndex")
        logout = (
            f'<samlp:LogoutRequest xmlns:samlp="{NS["samlp"]}" xmlns:saml="{NS["saml"]}" ID="_l1" Version="2.0">'
            f"<saml:Issuer>{SP}</saml:Issuer><saml:NameID>bob@acme.example</saml:NameID>"
            f"<samlp:SessionIndex>{index}</samlp:SessionIndex></samlp:LogoutRequest>"
        ).encode()
        back = get(session, f"{fleet.url}/__saml/acme/slo", SAMLRequest=deflated(logout), RelayState="bye")
        assert get(session, sso, SAMLRequest=deflated(authn_request(fleet))).text.count('name="password"') == 1
    where = urlsplit(back.headers["location"])
    assert where._replace(query="").geturl() == row["slo_url"]
    query = dict(parse_qsl(where.query))
    message = etree.fromstring(zlib.decompress(b64decode(query["SAMLResponse"]), -15))
    assert (message.get("InResponseTo"), query["RelayState"]) == ("_l1", "bye")
    signed = where.query.partition("&Signature=")[0].encode()
    key: Any = certificate(fleet).public_key()
    key.verify(b64decode(query["Signature"]), signed, PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"no xml",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"<" * 300_000,
        f'<samlp:AuthnRequest xmlns:samlp="{NS["samlp"]}" ID="x" Version="2.0"/>'.encode(),
    ],
)
def test_unsound_requests_get_a_page(fleet: Neighbourly, message: bytes) -> None:
    for answer in (
        requests.get(f"{fleet.url}/__saml/acme/sso", {"SAMLRequest": deflated(message)}, timeout=TIMEOUT_S),
        requests.post(f"{fleet.url}/__saml/acme/sso", {"SAMLRequest": b64encode(message).decode()}, timeout=TIMEOUT_S),
    ):
        assert answer.status_code == 400
        assert "cannot be answered" in answer.text


def test_a_response_goes_only_where_it_may(fleet: Neighbourly) -> None:
    sso = f"{fleet.url}/__saml/acme/sso"
    for request in (
        authn_request(fleet, acs="javascript:alert(1)"),
        authn_request(fleet, acs=""),
        authn_request(fleet, more='ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"'),
        authn_request(fleet).replace(b"/acme/sso", b"/globex/sso"),
    ):
        assert requests.get(sso, {"SAMLRequest": deflated(request)}, timeout=TIMEOUT_S).status_code == 400


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path", "name", "value"),
    [
        ("wrong_audience", ".//saml:Audience", None, "https://another-sp.example/metadata"),
        ("no_audience", ".//saml:Audience", None, None),
        ("wrong_recipient", ".//saml:SubjectConfirmationData", "Recipient", "https://another-sp.example/acs"),
        ("wrong_destination", ".", "Destination", "https://another-sp.example/acs"),
        ("expired_conditions", ".//saml:Conditions", "NotOnOrAfter", "2025-12-31T22:05:00Z"),
        ("expired_confirmation", ".//saml:SubjectConfirmationData", "NotOnOrAfter", "2025-12-31T22:05:00Z"),
        ("clock_skew", ".//saml:Conditions", "NotBefore", "2026-01-01T00:01:00Z"),
        ("wrong_in_response_to", ".", "InResponseTo", "_0123456789abcdef0123456789abcdef"),
        ("no_in_response_to", ".//saml:SubjectConfirmationData", "InResponseTo", None),
        ("other_issuer", ".//saml:Assertion/saml:Issuer", None, "https://idp.elsewhere.example/metadata"),
        ("bearer_missing", ".//saml:SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"),
        ("email_missing", ".//saml:Attribute[@Name='email']", "Name", None),
    ],
)
def test_what_is_told_is_wrong_and_well_signed(
    fleet: Neighbourly, kind: str, path: str, name: str | None, value: str | None
) -> None:
    fleet.hurt("saml", kind, times=1)
    response = signed_on(fleet)
    verified(fleet, response)

    def seen(root: Any) -> str | None:
        found = root if path == "." else root.find(path, NS)
        return None if found is None else found.text if name is None else found.get(name)

    assert seen(etree.fromstring(response)) == value
    assert seen(etree.fromstring(signed_on(fleet))) != value
    assert kind in [fault for step in fleet.control("GET", "sign-ons")["steps"] for fault in step["faults"]]


@pytest.mark.parametrize("kind", ["unsigned", "bad_signature", "bad_signature_value", "foreign_certificate"])
def test_what_is_not_signed_as_it_should(fleet: Neighbourly, kind: str) -> None:
    fleet.hurt("saml", kind)
    response = signed_on(fleet)
    with pytest.raises(REFUSALS):
        verified(fleet, response)
    if kind == "foreign_certificate":
        text = etree.fromstring(response).findtext(".//ds:X509Certificate", namespaces=NS)
        own = x509.load_der_x509_certificate(b64decode(text))
        verified(fleet, response, own)
        assert own != certificate(fleet)


def test_an_expired_certificate_of_the_usual_key(fleet: Neighbourly) -> None:
    usual = certificate(fleet)
    fleet.hurt("saml", "expired_certificate")
    response = signed_on(fleet)
    expired = certificate(fleet)
    assert expired.not_valid_after_utc.year == 2021
    assert expired.public_key() == usual.public_key()
    with pytest.raises(REFUSALS):
        verified(fleet, response, expired)


def test_rotated_keys_are_in_the_metadata(fleet: Neighbourly) -> None:
    usual = certificate(fleet)
    fleet.hurt("saml", "keys_rotated")
    response = signed_on(fleet)
    verified(fleet, response)
    with pytest.raises(REFUSALS):
        verified(fleet, response, usual)


def test_the_same_response_twice(fleet: Neighbourly) -> None:
    response = signed_on(fleet)
    fleet.hurt("saml", "replayed_assertion", times=1)
    assert signed_on(fleet, request_id="_r2") == response
    assert signed_on(fleet, request_id="_r3") != response


@pytest.mark.parametrize("code", ["RequestDenied", "AuthnFailed"])
def test_nobody_is_signed_on(fleet: Neighbourly, code: str) -> None:
    fleet.hurt("saml", {"RequestDenied": "request_denied", "AuthnFailed": "authn_failed"}[code])
    root = etree.fromstring(signed_on(fleet))
    assert root.find("saml:Assertion", NS) is None
    assert root.find(".//samlp:StatusCode/samlp:StatusCode", NS).get("Value").endswith(code)


def still_signed(response: bytes, cert: x509.Certificate) -> Any:
    """The one element that the first signature truly signs, told by hand: by digest and by signature."""
    root = etree.fromstring(response)
    signature = root.find(".//ds:Signature", NS)
    info = signature.find("ds:SignedInfo", NS)
    key: Any = cert.public_key()
    canonical = etree.tostring(info, method="c14n", exclusive=True)
    key.verify(
        b64decode(signature.findtext("ds:SignatureValue", namespaces=NS)), canonical, PKCS1v15(), hashes.SHA256()
    )
    meant = info.find("ds:Reference", NS).get("URI")[1:]
    due = info.findtext(".//ds:DigestValue", namespaces=NS)
    for element in root.iter():
        if element.get("ID") == meant:
            copy = etree.fromstring(etree.tostring(element, method="c14n", exclusive=True))
            for inner in copy.findall("ds:Signature", NS):
                copy.remove(inner)
            if b64encode(sha256(etree.tostring(copy, method="c14n", exclusive=True)).digest()).decode() == due:
                return element
    raise InvalidSignature("no element has that digest")


@pytest.mark.parametrize("form", WRAPPED)
def test_wrapping_keeps_the_signature_and_shows_the_victim(fleet: Neighbourly, form: str) -> None:
    """The attack is a real one: what is signed tells of Mallory, here Bob, and is not where a reader looks."""
    cert = certificate(fleet)
    fleet.hurt("saml", form, victim="zoe@acme.example")
    response = signed_on(fleet)
    root = etree.fromstring(response)
    signed = still_signed(response, cert)
    assert first(signed, ".//saml:NameID") == "bob@acme.example"
    assert attributes(signed)["email"] == ["bob@acme.example"]
    names = [one.text for one in root.iter(f"{{{NS['saml']}}}NameID")]
    assert sorted(names) == ["bob@acme.example", "zoe@acme.example"]
    seen = {
        "xsw1": first(root, "saml:Assertion//saml:NameID"),
        "xsw2": first(root, "saml:Assertion//saml:NameID"),
        "xsw7": first(root, ".//saml:Assertion//saml:NameID"),
    }.get(form, first(root, "saml:Assertion/saml:Subject/saml:NameID"))
    assert seen == "zoe@acme.example"
    assert signed is not root
    assert form in fleet.control("GET", "sign-ons")["steps"][-1]["faults"]


@pytest.mark.parametrize("form", WRAPPED)
def test_who_reads_only_what_signxml_returns_is_not_fooled(fleet: Neighbourly, form: str) -> None:
    fleet.hurt("saml", form, victim="zoe@acme.example")
    try:
        found = verified(fleet, signed_on(fleet))
    except REFUSALS:
        return
    for one in found:
        assert "zoe@acme.example" not in etree.tostring(one).decode()


def test_wrapped_documents_differ(fleet: Neighbourly) -> None:
    seen = set()
    for form in WRAPPED:
        fleet.hurt("saml", form, times=1)
        root = etree.fromstring(signed_on(fleet))
        tree = root.getroottree()
        seen.add(tuple(re.sub(r"\[\d+\]", "", tree.getpath(one)) for one in root.iter(f"{{{NS['saml']}}}NameID")))
    assert len(seen) >= 6, "the shapes are not one and the same"


def test_a_comment_hides_the_rest_of_a_name(fleet: Neighbourly) -> None:
    fleet.hurt("saml", "comment_injection")
    response = signed_on(fleet)
    name = etree.fromstring(response).find(".//saml:NameID", NS)
    assert name.text == VICTIM, "what lxml's .text shows"
    assert f"{VICTIM}<!---->.elsewhere.example" in response.decode()
    (signed,) = verified(fleet, response)
    assert first(signed, ".//saml:NameID") == f"{VICTIM}.elsewhere.example", "what is signed"


@pytest.mark.parametrize("kind", ["external_entity", "entity_expansion"])
def test_documents_with_a_dtd(fleet: Neighbourly, kind: str) -> None:
    fleet.hurt("saml", kind)
    response = signed_on(fleet, "bob+xe@acme.example")
    assert response.startswith(b"<!DOCTYPE samlp:Response [")
    assert response.count(b"&probe;") == 1
    if kind == "external_entity":
        root = etree.fromstring(response, etree.XMLParser(resolve_entities=False))
        still_signed(etree.tostring(root.find("saml:Assertion", NS)), certificate(fleet))
        url = f"{fleet.url}/__hooks/xe/external-entity"
        assert f'SYSTEM "{url}"'.encode() in response
        requests.get(url, timeout=TIMEOUT_S)  # what a careless parser does
        assert [one["path"] for one in fleet.control("GET", "received?case=xe")["received"]] == [
            "/__hooks/xe/external-entity"
        ]
    else:
        message = ElementTree.fromstring(response).findtext(".//samlp:StatusMessage", namespaces=NS)  # a careless one
        assert message == "word " * 100_000
        with pytest.raises(etree.XMLSyntaxError, match="amplification"):
            etree.fromstring(response)


def test_metadata_that_cannot_be_had(fleet: Neighbourly) -> None:
    fleet.hurt("saml", "metadata_error", times=1)
    url = f"{fleet.url}/__saml/acme/metadata"
    assert requests.get(url, timeout=TIMEOUT_S).status_code == 503
    answer = requests.get(url, timeout=TIMEOUT_S)
    assert answer.headers["content-type"] == "application/samlmetadata+xml"
    services = [
        one.get("Binding").rpartition(":")[2]
        for one in etree.fromstring(answer.content).iterfind(".//md:SingleSignOnService", NS)
    ]
    assert services == ["HTTP-Redirect", "HTTP-POST"]


# --- properties -------------------------------------------------------------------------------------------------------

FORM = ("content-type", "application/x-www-form-urlencoded")
XML_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def asked_of(method: str, path: str, query: str, body: bytes = b"") -> Asked:
    return Asked(method, path, query, (("host", "fleet.example"), FORM), body, MANUAL_START_MS)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from(["/sso", "/start", "/login", "/slo", "/metadata", ""]),
    st.dictionaries(
        st.sampled_from(["SAMLRequest", "RelayState", "sp", "acs", "begun", "username", "binding"]), XML_TEXT
    ),
    st.sampled_from([None, *kinds()["saml"]]),
)
def test_whatever_is_asked_is_answered(method: str, path: str, params: dict[str, str], kind: str | None) -> None:
    provider = SamlProvider(7, directory(), Records())
    provider.settings["auto"] = "ann@acme.example"
    if kind is not None:
        provider.faults.add([{"kind": kind}])
    params = {"acs": ACS} | params
    coded = urlencode(params)
    answer = provider.answer(asked_of(method, f"/__saml/acme{path}", coded, coded.encode()))
    assert answer.status is not None
    assert answer.status < 500 or kind == "metadata_error"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(list(kinds()["saml"])), max_size=5))
def test_faults_add_up(names: list[str]) -> None:
    provider = SamlProvider(7, directory(), Records())
    provider.settings["auto"] = "ann@acme.example"
    provider.faults.add([{"kind": name} for name in names])
    query = urlencode({"sp": SP, "acs": ACS})
    answer = provider.answer(asked_of("GET", "/__saml/acme/start", query))
    assert answer.status == 200
    assert b'name="SAMLResponse"' in answer.body


@pytest.mark.parametrize("kind", list(kinds()["saml"]))
def test_every_fault_is_met_on_the_way(kind: str) -> None:
    provider = SamlProvider(7, directory(), Records())
    provider.settings["auto"] = "ann@acme.example"
    query = urlencode({"sp": SP, "acs": ACS})
    provider.answer(asked_of("GET", "/__saml/acme/start", query))
    provider.faults.add([{"kind": kind}])
    provider.answer(asked_of("GET", "/__saml/acme/start", query))
    answer = provider.answer(asked_of("GET", "/__saml/acme/metadata", ""))
    (row,) = provider.faults.as_json()
    assert row["hits"] >= len(kinds()["saml"][kind].at)
    assert answer.delay_ms == (10_000 if kind == "slow_metadata" else 0)
