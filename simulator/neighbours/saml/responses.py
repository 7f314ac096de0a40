"""Responses as XML, unsigned: what is told, and how it is written.

Source: SAML 2.0 Core sections 2 and 3.2.2, Profiles section 4.1.4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from simulator.neighbours.saml.xml import EMAIL, SAML, SAMLP, STATUS, Element, attribute, moment, text

BEFORE_S, LIFE_S, SESSION_S = 60, 300, 8 * 3600
CM = "urn:oasis:names:tc:SAML:2.0:cm:"
ATTRNAME = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"


@dataclass(frozen=True, slots=True)
class Told:
    """All that a response says. Times are Unix seconds; None leaves a thing out."""

    response_id: str
    assertion_id: str
    issuer: str
    destination: str
    recipient: str
    audience: str | None
    in_response_to: str | None
    name_id: str
    session: str
    attributes: Mapping[str, Sequence[str]]
    issued_s: int
    not_before_s: int
    until_s: int
    confirmed_until_s: int
    signed_on_s: int
    confirmation: str = "bearer"


def response(told: Told) -> Element:
    """A response with its assertion, each with a place for its signature after the issuer."""
    in_response_to = _attribute("InResponseTo", told.in_response_to)
    audience = ""
    if told.audience is not None:
        inner = f"<saml:Audience>{text(told.audience)}</saml:Audience>"
        audience = f"<saml:AudienceRestriction>{inner}</saml:AudienceRestriction>"
    attributes = "".join(
        f'<saml:Attribute Name={attribute(name)} NameFormat="{ATTRNAME}">'
        + "".join(f"<saml:AttributeValue>{text(value)}</saml:AttributeValue>" for value in values)
        + "</saml:Attribute>"
        for name, values in told.attributes.items()
    )
    written = (
        f"{_opened('Response', told.response_id, told.issued_s, told.destination, in_response_to)}"
        f"<saml:Issuer>{text(told.issuer)}</saml:Issuer>"
        f'<samlp:Status><samlp:StatusCode Value="{STATUS}Success"/></samlp:Status>'
        f'<saml:Assertion ID="{told.assertion_id}" Version="2.0" IssueInstant="{moment(told.issued_s)}">'
        f"<saml:Issuer>{text(told.issuer)}</saml:Issuer>"
        f'<saml:Subject><saml:NameID Format="{EMAIL}">{text(told.name_id)}</saml:NameID>'
        f'<saml:SubjectConfirmation Method="{CM}{told.confirmation}"><saml:SubjectConfirmationData'
        f'{in_response_to} NotOnOrAfter="{moment(told.confirmed_until_s)}" Recipient={attribute(told.recipient)}/>'
        "</saml:SubjectConfirmation></saml:Subject>"
        f'<saml:Conditions NotBefore="{moment(told.not_before_s)}" NotOnOrAfter="{moment(told.until_s)}">'
        f"{audience}</saml:Conditions>"
        f'<saml:AuthnStatement AuthnInstant="{moment(told.signed_on_s)}" SessionIndex="{told.session}" '
        f'SessionNotOnOrAfter="{moment(told.signed_on_s + SESSION_S)}"><saml:AuthnContext>'
        f"<saml:AuthnContextClassRef>{PASSWORD}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
        f"<saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion></samlp:Response>"
    )
    return etree.fromstring(written.encode())


def failure(
    response_id: str, issuer: str, destination: str, in_response_to: str | None, now_s: int, codes: Sequence[str]
) -> Element:
    """A response that signs nobody on; `codes` are the status and the one within it."""
    inner = "".join(f'<samlp:StatusCode Value="{STATUS}{code}"/>' for code in codes[1:])
    written = (
        f"{_opened('Response', response_id, now_s, destination, _attribute('InResponseTo', in_response_to))}"
        f"<saml:Issuer>{text(issuer)}</saml:Issuer><samlp:Status>"
        f'<samlp:StatusCode Value="{STATUS}{codes[0]}">{inner}</samlp:StatusCode></samlp:Status></samlp:Response>'
    )
    return etree.fromstring(written.encode())


def logout_response(response_id: str, issuer: str, destination: str, in_response_to: str, now_s: int) -> bytes:
    """The answer to a LogoutRequest that was carried out."""
    opened = _opened("LogoutResponse", response_id, now_s, destination, _attribute("InResponseTo", in_response_to))
    status = f'<samlp:Status><samlp:StatusCode Value="{STATUS}Success"/></samlp:Status>'
    return f"{opened}<saml:Issuer>{text(issuer)}</saml:Issuer>{status}</samlp:LogoutResponse>".encode()


def _opened(kind: str, message_id: str, now_s: int, destination: str, more: str) -> str:
    return (
        f'<samlp:{kind} xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="{message_id}" Version="2.0" '
        f'IssueInstant="{moment(now_s)}" Destination={attribute(destination)}{more}>'
    )


def _attribute(name: str, value: str | None) -> str:
    return "" if value is None else f" {name}={attribute(value)}"
