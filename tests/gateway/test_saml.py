"""SAML responses and metadata, judged in memory: each check by itself, below the one that usually comes first."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.sign_on import attempts, saml, saml_metadata, saml_response, xml
from gateway.sign_on.refusals import SignOnRefused
from gateway.sign_on.saml_metadata import Entity
from gateway.sign_on.saml_response import Assertion, Due, NoSuchKey
from gateway.sign_on.state import Refreshes
from simulator.neighbours.keys import ROTATED, STRANGER, USUAL, certificate, rsa_key
from simulator.neighbours.saml import attacks, responses
from simulator.neighbours.saml.metadata import metadata
from simulator.neighbours.saml.responses import Told
from simulator.neighbours.saml.signing import bare, sign

SEED = 7
NOW_S = 1_790_000_000
ROOT = "https://idp.acme.example/saml"
ISSUER = f"{ROOT}/metadata"
ACS = "https://gateway.example/api/auth/sso/sso_1"
US = f"{ACS}/metadata"
DUE = Due(US, ACS, "_request", NOW_S, 60)
NS = dict(xml.NS)


def entity(*names: str, expired: bool = False) -> Entity:
    """The provider, with certificates of these keys."""
    made = metadata(
        ROOT, "Acme", bare(certificate(SEED, names[0] if names else USUAL, "idp.acme.example", expired=expired))
    )
    found = saml_metadata.read(made)
    more = tuple(certificate(SEED, name, "idp.acme.example") for name in names[1:])
    return replace(found, certificates=(*found.certificates, *more))


IDP = entity()


def told(**changes: Any) -> Told:
    """What a sound response tells."""
    sound = Told(
        response_id="_response",
        assertion_id="_assertion",
        issuer=ISSUER,
        destination=ACS,
        recipient=ACS,
        audience=US,
        in_response_to="_request",
        name_id="Bob@acme.example",
        session="_session",
        attributes={"email": ["bob@acme.example"], "displayName": ["Bob Baker"]},
        issued_s=NOW_S,
        not_before_s=NOW_S - 60,
        until_s=NOW_S + 300,
        confirmed_until_s=NOW_S + 300,
        signed_on_s=NOW_S - 100,
    )
    return replace(sound, **changes)


def signed(root: Any, what: str = "both", key: str = USUAL) -> bytes:
    """The response, signed."""
    made = sign(root, what, rsa_key(SEED, key), certificate(SEED, key, "idp.acme.example"))
    return bytes(etree.tostring(made))


def response(what: str = "both", key: str = USUAL, **changes: Any) -> bytes:
    return signed(responses.response(told(**changes)), what, key)


def edited(edit: Callable[[Any], None], what: str = "both") -> bytes:
    """A response that was edited before it was signed."""
    root = responses.response(told())
    edit(root)
    return signed(root, what)


def refused(data: bytes, idp: Entity = IDP, due: Due = DUE) -> str:
    """Why it is refused."""
    with pytest.raises((SignOnRefused, NoSuchKey)) as caught:
        saml_response.read(data, idp, due)
    return "no key" if isinstance(caught.value, NoSuchKey) else str(caught.value)


@pytest.mark.parametrize("what", ["response", "assertion", "both"])
def test_a_sound_response_is_believed(what: str) -> None:
    found = saml_response.read(response(what), IDP, DUE)
    assert found == Assertion("_assertion", NOW_S + 360, found.identity)
    assert (found.identity.subject, found.identity.email, found.identity.name) == (
        "bob@acme.example",
        "bob@acme.example",
        "Bob Baker",
    )


def test_any_certificate_of_the_metadata_will_do_and_no_other() -> None:
    assert saml_response.read(response(key=ROTATED), entity(USUAL, ROTATED), DUE).id == "_assertion"
    assert refused(response(key=STRANGER), entity(USUAL, ROTATED)) == "no key"
    assert "has expired" in refused(response(), entity(USUAL, expired=True))


def test_an_expired_certificate_does_not_spoil_a_valid_one() -> None:
    idp = replace(IDP, certificates=(*entity(STRANGER, expired=True).certificates, *IDP.certificates))
    assert saml_response.read(response(), idp, DUE).id == "_assertion"


@pytest.mark.parametrize("form", sorted(attacks.FORMS))
@pytest.mark.parametrize("is_both", [False, True])
def test_wrapping_is_refused_whatever_is_signed(form: str, is_both: bool) -> None:
    what = "both" if is_both else wrappable(form)
    data = bytes(etree.tostring(attacks.wrapped(etree.fromstring(response(what)), form, "ann@acme.example")))
    assert "ann@acme.example" in data.decode()
    assert refused(data)
    assert refused(data.replace(b"_wrapping", b"_other"))


def wrappable(form: str) -> str:
    """What must be signed for this form of wrapping."""
    return "response" if form in ("xsw1", "xsw2") else "assertion"


@pytest.mark.parametrize("form", sorted(attacks.FORMS))
def test_wrapping_yields_no_victim_even_if_the_form_is_not_looked_at(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the counts: what signxml returns is what is read, so at most the one who signed on comes out."""
    signed_part = response(wrappable(form))
    data = bytes(etree.tostring(attacks.wrapped(etree.fromstring(signed_part), form, "ann@acme.example")))
    root = xml.parsed(data)
    places = (root, *root.iter(f"{{{xml.SAML}}}Assertion"))
    monkeypatch.setattr(saml_response, "check_signature", lambda _parent: None)
    for parent in places:
        location = "./" if parent is root else "./saml:Assertion/"
        try:
            found = saml_response.verified(data, parent, location, IDP.certificates, DUE)
        except (SignOnRefused, NoSuchKey):
            continue
        texts = [xml.text(one) for one in found.iter(f"{{{xml.SAML}}}NameID")]
        assert texts == ["Bob@acme.example"]


def test_a_comment_does_not_shorten_a_name() -> None:
    """Refused as a whole; and the text that was signed has no comment to stop at."""
    root = etree.fromstring(response("assertion", name_id="ann@acme.example.elsewhere.example"))
    data = bytes(etree.tostring(attacks.commented(root, "ann@acme.example")))
    assert b"<!--" in data
    assert "has comments" in refused(data)
    parser = etree.XMLParser(remove_comments=False)
    parent = etree.fromstring(data, parser).find("saml:Assertion", NS)
    found = saml_response.verified(data, parent, "./saml:Assertion/", IDP.certificates, DUE)
    assert xml.text(found.find(".//saml:NameID", NS)) == "ann@acme.example.elsewhere.example"


@pytest.mark.parametrize("form", ["external", "nested"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_dtd_is_refused_in_any_encoding(form: str, encoding: str) -> None:
    data = attacks.with_dtd(response("assertion"), form, "http://127.0.0.1:9/probe").decode()
    why = refused(f'<?xml version="1.0" encoding="{encoding}"?>\n{data}'.encode(encoding))
    assert "a DTD" in why or "it is no XML" in why  # the parser gives up first where entities are nested


def test_a_processing_instruction_is_refused() -> None:
    assert "processing instructions" in refused(response().replace(b"<samlp:Status>", b"<?php x?><samlp:Status>"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"issued_s": NOW_S + 61}, "from the future"),
        ({"not_before_s": NOW_S + 61}, "does not hold yet"),
        ({"until_s": NOW_S - 60}, "has expired"),
        ({"confirmed_until_s": NOW_S - 60}, "confirmation of the subject has expired"),
        ({"confirmed_until_s": NOW_S + 90_000}, "never does"),
        ({"signed_on_s": NOW_S - 9 * 3600}, "session at the provider has ended"),
        ({"destination": "https://other.example/acs"}, "(Destination)"),
        ({"recipient": "https://other.example/acs"}, "(Recipient)"),
        ({"recipient": ACS + "/"}, "(Recipient)"),
        ({"audience": "https://other.example"}, "(Audience)"),
        ({"audience": None}, "(Audience)"),
        ({"in_response_to": "_other"}, "(InResponseTo)"),
        ({"in_response_to": None}, "(InResponseTo)"),
        ({"issuer": "https://other.example"}, "(Issuer)"),
        ({"confirmation": "sender-vouches"}, "not confirmed as a bearer"),
        ({"name_id": "eve@acme.example"}, "or several"),
        ({"attributes": {"email": ["bob@acme.example", "eve@acme.example"]}}, "or several"),
    ],
)
def test_what_is_told_must_be_right(changes: dict[str, Any], why: str) -> None:
    assert why in refused(response(**changes))
    assert why in refused(response("assertion", **changes))


def test_the_skew_is_borne_to_the_second() -> None:
    changes = {"issued_s": NOW_S + 60, "not_before_s": NOW_S + 60}
    assert saml_response.read(response(**changes), IDP, DUE).id
    assert saml_response.read(response(until_s=NOW_S - 59, confirmed_until_s=NOW_S - 59), IDP, DUE).id


def test_max_age_counts_from_the_sign_on() -> None:
    assert saml_response.read(response(), IDP, replace(DUE, max_age_s=40)).id
    assert "too long ago" in refused(response(), due=replace(DUE, max_age_s=39))


def remove(path: str) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        found = root.find(path, NS)
        found.getparent().remove(found)

    return edit


def condition(root: Any) -> None:
    etree.SubElement(root.find(".//saml:Conditions", NS), f"{{{xml.SAML}}}Condition")


def second_audience(root: Any) -> None:
    restriction = etree.SubElement(root.find(".//saml:Conditions", NS), f"{{{xml.SAML}}}AudienceRestriction")
    etree.SubElement(restriction, f"{{{xml.SAML}}}Audience").text = "https://other.example"


def encrypted(root: Any) -> None:
    etree.SubElement(root, f"{{{xml.SAML}}}EncryptedAssertion")


def second_assertion(root: Any) -> None:
    other = responses.response(told(assertion_id="_second", name_id="ann@acme.example"))
    root.append(other.find("saml:Assertion", NS))


def not_before(root: Any) -> None:
    root.find(".//saml:SubjectConfirmationData", NS).set("NotBefore", "2020-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (remove(".//saml:Conditions"), "no conditions"),
        (remove(".//saml:AuthnStatement"), "does not say that somebody signed on"),
        (remove(".//saml:NameID"), "names nobody"),
        (remove(".//saml:SubjectConfirmationData"), "not confirmed as a bearer"),
        (remove(".//samlp:Status"), "no status"),
        (remove("saml:Assertion/saml:Issuer"), "(Issuer)"),
        (condition, "a condition that is not known"),
        (second_audience, "(Audience)"),
        (encrypted, "is encrypted"),
        (second_assertion, "not exactly one assertion"),
        (not_before, "NotBefore"),
    ],
)
def test_what_is_missing_or_too_much(edit: Callable[[Any], None], why: str) -> None:
    assert why in refused(edited(edit, "response"))


def test_weak_algorithms_are_refused() -> None:
    for weak in (b"http://www.w3.org/2000/09/xmldsig#rsa-sha1", b"http://www.w3.org/2000/09/xmldsig#hmac-sha1"):
        data = response("response").replace(b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", weak)
        assert refused(data) == "no key"


@pytest.mark.parametrize("uri", [b'URI=""', b'URI="#_assertion"', b'URI="http://127.0.0.1:9/x"', b'URI="#xpointer(/)"'])
def test_a_signature_of_something_else_is_refused(uri: bytes) -> None:
    assert "does not refer to what it stands in" in refused(response("response").replace(b'URI="#_response"', uri))


def test_the_same_id_twice_is_refused() -> None:
    data = response("assertion", response_id="_assertion")
    assert "an ID is there twice" in refused(data)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert refused(data)


@given(st.data())
def test_a_signed_response_bears_no_change(data: st.DataObject) -> None:
    """Any byte put elsewhere: refused, or nothing of what counts has changed."""
    sound = response("response")
    at = data.draw(st.integers(0, len(sound) - 1))
    changed = sound[:at] + bytes([data.draw(st.integers(0, 255))]) + sound[at + 1 :]
    try:
        found = saml_response.read(changed, IDP, DUE)
    except (SignOnRefused, NoSuchKey):
        return
    assert found == saml_response.read(sound, IDP, DUE)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: b64encode(raw).decode()))
def test_any_form_is_refused(sent: str) -> None:
    try:
        data = saml.decoded(sent)
    except SignOnRefused:
        return
    assert refused(data)


# --- metadata ---------------------------------------------------------------------------------------------------------

SOUND = metadata(ROOT, "Acme", bare(certificate(SEED, USUAL, "idp.acme.example")))


def test_metadata_are_read() -> None:
    assert (IDP.entity_id, IDP.sso_url, len(IDP.certificates)) == (ISSUER, f"{ROOT}/sso", 1)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (b"<md:EntityDescriptor", b"<!DOCTYPE x><md:EntityDescriptor", "DTD"),
        (b"entityID=", b"entity=", "no entityID"),
        (b"IDPSSODescriptor", b"SPSSODescriptor", "0 identity providers"),
        (b"HTTP-Redirect", b"HTTP-Artifact", "no SingleSignOnService"),
        (b"<ds:X509Certificate>MII", b"<ds:X509Certificate>XXX", "certificates is none"),
        (b'use="signing"', b'use="encryption"', "0 certificates"),
        (
            b'protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0',
            b'protocolSupportEnumeration="urn:1.1',
            "no identity provider",
        ),
        (b'WantAuthnRequestsSigned="false"', b'validUntil="soon"', "validUntil"),
        (b"EntityDescriptor", b"Thing", "no metadata"),
    ],
)
def test_metadata_that_cannot_be_used(before: bytes, after: bytes, why: str) -> None:
    assert before in SOUND
    with pytest.raises(xml.Unreadable, match=why):
        saml_metadata.read(SOUND.replace(before, after))


def test_the_shortest_validity_counts() -> None:
    data = SOUND.replace(b'WantAuthnRequestsSigned="false"', b'validUntil="2026-12-01T00:00:00.5Z"')
    assert saml_metadata.read(data).valid_until_s == xml.moment("2026-12-01T00:00:00Z") + 0.5  # type: ignore[operator]


@given(st.binary(max_size=200))
def test_any_bytes_are_no_metadata(data: bytes) -> None:
    with pytest.raises(xml.Unreadable):
        saml_metadata.read(data)


def test_ours_are_escaped() -> None:
    made = etree.fromstring(saml_metadata.ours('https://a.example/"><x>', "https://a.example/?a=1&b=2").encode())
    assert made.get("entityID") == 'https://a.example/"><x>'


def test_the_request_says_where_and_for_whom() -> None:
    attempt = attempts.begin("sso_1", NOW_S, ACS, "/")
    root = etree.fromstring(saml.authn_request(attempt, f"{ROOT}/sso?a=1&b=2", US, NOW_S).encode())
    assert (root.get("ID"), root.get("Destination")) == (attempt.request_id, f"{ROOT}/sso?a=1&b=2")
    assert root.get("AssertionConsumerServiceURL") == ACS
    assert root.findtext("saml:Issuer", namespaces=NS) == US


def test_refreshes_are_bounded() -> None:
    refreshes = Refreshes()
    assert [refreshes.take("a", 0.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert refreshes.take("b", 0.0)
    assert refreshes.take("a", 61.0)
