"""A SAML response, judged. Pure: the provider, what is due and the time are passed in.

First the form is made sure of: one response, one assertion as its child, no id twice, each signature a child of what it
signs and of nothing else. Then signxml verifies every signature with the certificates of the metadata, and what it
returns, the canonical form of what was signed, is all that is read of the assertion: nothing can be wrapped around it.
Source: SAML 2.0 Core section 5.4, Profiles section 4.1.4; J. Somorovsky and others, "On Breaking SAML" (2012).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature as NoSignature
from cryptography.exceptions import UnsupportedAlgorithm
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from gateway.sign_on.identity import Identity
from gateway.sign_on.refusals import SignOnRefused
from gateway.sign_on.saml_metadata import Entity
from gateway.sign_on.xml import DS, NS, SAML, SAMLP, Element, Unreadable, moment, only, parsed, parser, text

BYTES_MAX: Final = 512 * 1024
SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
EMAIL_FORMAT: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
PERSISTENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
LIFE_MAX_S: Final = 24 * 3600  # for which the id of an assertion is remembered at most
CONDITIONS: Final = frozenset(f"{{{SAML}}}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction"))
METHODS: Final = frozenset(
    {
        *(SignatureMethod.RSA_SHA256, SignatureMethod.RSA_SHA384, SignatureMethod.RSA_SHA512),
        *(SignatureMethod.SHA256_RSA_MGF1, SignatureMethod.SHA384_RSA_MGF1, SignatureMethod.SHA512_RSA_MGF1),
        *(SignatureMethod.ECDSA_SHA256, SignatureMethod.ECDSA_SHA384, SignatureMethod.ECDSA_SHA512),
    }
)
DIGESTS: Final = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
EMAIL_NAMES: Final = frozenset(
    {
        *("email", "mail", "emailaddress", "email_address", "user.email", "urn:oid:0.9.2342.19200300.100.1.3"),
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    }
)
NAME_NAMES: Final = ("displayname", "name", "cn", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name")


class NoSuchKey(Exception):
    """No certificate of the metadata fits a signature: the provider may have changed them."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a response must say."""

    audience: str  # our entity
    acs_url: str
    request_id: str | None  # None: the provider began
    now_s: int
    skew_s: float
    max_age_s: int | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is left of a response that is sound."""

    id: str
    until_s: float  # when it may be forgotten
    identity: Identity


def read(data: bytes, entity: Entity, due: Due) -> Assertion:
    """The assertion of a response that is sound in every respect. Raises SignOnRefused, NoSuchKey."""
    if len(data) > BYTES_MAX:
        raise SignOnRefused(f"the response has more than {BYTES_MAX} bytes")
    try:
        root = parsed(data)
    except Unreadable as error:
        raise SignOnRefused(f"the response cannot be read: {error}") from None
    if root.tag != f"{{{SAMLP}}}Response":
        raise SignOnRefused("what came is no response of SAML 2.0")
    check_response(root, entity, due)
    assertion = signed_assertion(data, root, entity, due)
    return judged(assertion, entity, due)


def check_response(root: Element, entity: Entity, due: Due) -> None:
    """The envelope: only what may make it refused; nothing in it is believed. Raises SignOnRefused."""
    if root.get("Version") != "2.0":
        raise SignOnRefused("the response is of another version of SAML")
    codes = [one.get("Value", "") for one in root.findall("samlp:Status/samlp:StatusCode", dict(NS))]
    if codes != [SUCCESS]:
        inner = [one.get("Value", "") for one in root.iterfind("samlp:Status//samlp:StatusCode", dict(NS))]
        told = inner[-1].rpartition(":")[2] if inner else "no status"
        raise SignOnRefused(f"the provider says {told[:50]!r}")
    if root.get("Destination", due.acs_url) != due.acs_url:
        raise SignOnRefused("the response is for another address (Destination)")
    if root.get("InResponseTo") != due.request_id:
        raise SignOnRefused("the response answers another request (InResponseTo)")
    if root.find("saml:Issuer", dict(NS)) is not None and text(only(root, "saml:Issuer")) != entity.entity_id:
        raise SignOnRefused("the response comes from another provider (Issuer)")
    check_issued(root, due, "response")


def check_issued(element: Element, due: Due, what: str) -> None:
    """Raises SignOnRefused for what was issued in the future."""
    issued_s = moment(element.get("IssueInstant"))
    if issued_s is None or issued_s > due.now_s + due.skew_s:
        raise SignOnRefused(f"the {what} comes from the future (IssueInstant)")


def signed_assertion(data: bytes, root: Element, entity: Entity, due: Due) -> Element:
    """The assertion as it was signed. Raises SignOnRefused, NoSuchKey."""
    if root.find(".//saml:EncryptedAssertion", dict(NS)) is not None:
        raise SignOnRefused("the assertion is encrypted, which is not supported")
    everywhere = list(root.iter(f"{{{SAML}}}Assertion"))
    if (
        len(everywhere) != 1
        or everywhere[0].getparent() is not root
        or len(list(root.iter(f"{{{SAMLP}}}Response"))) != 1
    ):
        raise SignOnRefused("there is not exactly one assertion in its place")
    (assertion,) = everywhere
    ids = Counter(
        value
        for one in root.iter()
        for name, value in one.attrib.items()
        if etree.QName(name).localname.lower() == "id"
    )
    if any(count > 1 for count in ids.values()):
        raise SignOnRefused("an ID is there twice")
    signatures = list(root.iter(f"{{{DS}}}Signature"))
    signed = [parent for parent in (root, assertion) if parent.find("ds:Signature", dict(NS)) is not None]
    if not signed:
        raise SignOnRefused("neither response nor assertion is signed")
    if len(signatures) != len(signed):
        raise SignOnRefused("there is a signature in a place where none belongs")
    if root in signed and root.get("Destination") is None:
        raise SignOnRefused("the response is signed and does not say where it goes (Destination)")
    usable = usable_certificates(entity, due.now_s)
    if not usable:
        raise SignOnRefused("the certificate of the provider has expired")
    results = [
        verified(data, parent, "./" if parent is root else "./saml:Assertion/", usable, due) for parent in signed
    ]
    innermost = results[-1]
    if innermost.tag == f"{{{SAML}}}Assertion":
        return innermost
    found = only(innermost, "saml:Assertion")
    if found is None:
        raise SignOnRefused("what is signed has no assertion")
    return found


def usable_certificates(entity: Entity, now_s: int) -> list[x509.Certificate]:
    """The provider's certificates that are valid now."""
    now = datetime.fromtimestamp(now_s, UTC)
    return [one for one in entity.certificates if one.not_valid_before_utc <= now <= one.not_valid_after_utc]


def verified(
    data: bytes, parent: Element, location: str, certificates: Sequence[x509.Certificate], due: Due
) -> Element:
    """What the signature of `parent` covers, which must be `parent`. Raises SignOnRefused, NoSuchKey."""
    check_signature(parent)
    config = SignatureConfiguration(
        location=location.replace("saml:", f"{{{SAML}}}"),
        expect_references=1,
        signature_methods=METHODS,
        digest_algorithms=DIGESTS,
        verification_time=datetime.fromtimestamp(due.now_s, UTC),
    )
    for certificate in certificates:
        try:
            found = XMLVerifier().verify(
                data, x509_cert=certificate, expect_config=config, parser=parser(), id_attribute="ID"
            )
        except (SignXMLException, etree.LxmlError, NoSignature, UnsupportedAlgorithm, ValueError, KeyError, TypeError):
            continue
        signed = found[0].signed_xml if isinstance(found, list) else found.signed_xml
        if signed is None or signed.tag != parent.tag or signed.get("ID") != parent.get("ID"):
            raise SignOnRefused("the signature covers something else")
        return signed
    raise NoSuchKey


def check_signature(parent: Element) -> None:
    """The form of a signature: of its parent as a whole, and with nothing in it. Raises SignOnRefused."""
    signature = only(parent, "ds:Signature")
    reference = None if signature is None else only(signature, "ds:SignedInfo/ds:Reference")
    if signature is None or reference is None or not parent.get("ID") or reference.get("URI") != f"#{parent.get('ID')}":
        raise SignOnRefused("a signature does not refer to what it stands in")
    transforms = [one.get("Algorithm") for one in reference.findall("ds:Transforms/ds:Transform", dict(NS))]
    if sorted(map(str, transforms)) != sorted((ENVELOPED, EXCLUSIVE)):
        raise SignOnRefused("a signature transforms what it signs in an unusual way")
    if signature.find(".//ds:Object", dict(NS)) is not None:
        raise SignOnRefused("a signature has something in it that does not belong there")


def judged(assertion: Element, entity: Entity, due: Due) -> Assertion:
    """The assertion, believed if all that it says is as it must be. Raises SignOnRefused."""
    if assertion.get("Version") != "2.0" or text(only(assertion, "saml:Issuer")) != entity.entity_id:
        raise SignOnRefused("the assertion comes from another provider (Issuer)")
    check_issued(assertion, due, "assertion")
    confirmed_until_s = check_subject(assertion, due)
    until_s = check_conditions(assertion, due)
    check_statement(assertion, due)
    forget_s = max(confirmed_until_s, until_s) + due.skew_s
    return Assertion(assertion.get("ID", ""), min(forget_s, due.now_s + LIFE_MAX_S + due.skew_s), identity(assertion))


def check_subject(assertion: Element, due: Due) -> float:
    """Until when the bearer of the assertion is its subject. Raises SignOnRefused."""
    reason = "the subject is not confirmed as a bearer"
    for confirmation in assertion.findall("saml:Subject/saml:SubjectConfirmation", dict(NS)):
        if confirmation.get("Method") != BEARER:
            continue
        data = only(confirmation, "saml:SubjectConfirmationData")
        if data is None:
            continue
        until_s = moment(data.get("NotOnOrAfter"))
        if data.get("Recipient") != due.acs_url:
            reason = "the assertion is for another address (Recipient)"
        elif data.get("InResponseTo") != due.request_id:
            reason = "the assertion answers another request (InResponseTo)"
        elif until_s is None or due.now_s >= until_s + due.skew_s or until_s > due.now_s + LIFE_MAX_S:
            reason = "the confirmation of the subject has expired, or never does"
        elif data.get("NotBefore") is not None:
            reason = "the confirmation of the subject has a NotBefore, which it must not"
        else:
            return until_s
    raise SignOnRefused(reason)


def check_conditions(assertion: Element, due: Due) -> float:
    """Until when the assertion holds. Raises SignOnRefused unless it holds now, for us, and on no unknown condition."""
    conditions = only(assertion, "saml:Conditions")
    if conditions is None:
        raise SignOnRefused("the assertion has no conditions")
    starts_s, until_s = moment(conditions.get("NotBefore")), moment(conditions.get("NotOnOrAfter"))
    if conditions.get("NotBefore") is not None and (starts_s is None or due.now_s + due.skew_s < starts_s):
        raise SignOnRefused("the assertion does not hold yet")
    if until_s is None or due.now_s >= until_s + due.skew_s:
        raise SignOnRefused("the assertion has expired")
    restrictions = conditions.findall("saml:AudienceRestriction", dict(NS))
    audiences = [[text(one) for one in each.findall("saml:Audience", dict(NS))] for each in restrictions]
    if not audiences or not all(due.audience in each for each in audiences):
        raise SignOnRefused("the assertion is for another service (Audience)")
    if any(one.tag not in CONDITIONS for one in conditions):
        raise SignOnRefused("the assertion has a condition that is not known")
    return until_s


def check_statement(assertion: Element, due: Due) -> None:
    """That somebody signed on, and not too long ago. Raises SignOnRefused."""
    statements = assertion.findall("saml:AuthnStatement", dict(NS))
    if not statements:
        raise SignOnRefused("the assertion does not say that somebody signed on")
    for statement in statements:
        ends = statement.get("SessionNotOnOrAfter")
        if ends is not None and ((ends_s := moment(ends)) is None or due.now_s >= ends_s + due.skew_s):
            raise SignOnRefused("the session at the provider has ended")
        if due.max_age_s is not None:
            at_s = moment(statement.get("AuthnInstant"))
            if at_s is None or at_s < due.now_s - due.max_age_s - due.skew_s:
                raise SignOnRefused("the user signed on at the provider too long ago")


def identity(assertion: Element) -> Identity:
    """Whom the assertion is about. Raises SignOnRefused."""
    name_id = only(assertion, "saml:Subject/saml:NameID")
    subject = text(name_id)
    if name_id is None or not subject:
        raise SignOnRefused("the assertion names nobody (NameID)")
    told = attributes(assertion)
    emails = {value.lower() for name, values in told.items() if name in EMAIL_NAMES for value in values}
    if name_id.get("Format") == EMAIL_FORMAT:
        emails.add(subject.lower())
        subject = subject.lower()
    if len(emails) != 1:
        raise SignOnRefused("the provider tells no e-mail address, or several")
    (email,) = emails
    if name_id.get("Format") not in (EMAIL_FORMAT, PERSISTENT):
        subject = email  # another one every time, or nothing that is said to last
    name = next((told[one][0] for one in NAME_NAMES if told.get(one)), None)
    return Identity(subject, email, name)


def attributes(assertion: Element) -> dict[str, list[str]]:
    """The values of each attribute, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for one in assertion.findall("saml:AttributeStatement/saml:Attribute", dict(NS)):
        values = [text(value) for value in one.findall("saml:AttributeValue", dict(NS))]
        found.setdefault(one.get("Name", "").lower(), []).extend(value for value in values if value)
    return found
