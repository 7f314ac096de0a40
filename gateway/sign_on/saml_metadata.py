"""Metadata: what an identity provider says of itself, and what we say of ours.

Source: SAML 2.0 Metadata sections 2.3 and 2.4. Certificates count only from here, never from a message.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.sign_on.xml import (
    DS,
    MD,
    NS,
    POST_BINDING,
    REDIRECT_BINDING,
    SAMLP,
    Element,
    Unreadable,
    moment,
    parsed,
    text,
)

BYTES_MAX = 512 * 1024
CERTIFICATES_MAX = 20
RSA_BITS_MIN = 2048
TEXT_MAX = 1024


@dataclass(frozen=True, slots=True)
class Entity:
    """An identity provider."""

    entity_id: str
    sso_url: str  # by HTTP-Redirect; not yet looked at by the guard, because only browsers go there
    certificates: tuple[x509.Certificate, ...]
    valid_until_s: float | None


def read(data: bytes) -> Entity:
    """The one identity provider in a document. Raises Unreadable."""
    if len(data) > BYTES_MAX:
        raise Unreadable(f"it has more than {BYTES_MAX} bytes")
    root = parsed(data)
    if root.tag not in (f"{{{MD}}}EntityDescriptor", f"{{{MD}}}EntitiesDescriptor"):
        raise Unreadable("it is no metadata of SAML 2.0")
    entities = [
        one for one in root.iter(f"{{{MD}}}EntityDescriptor") if one.find("md:IDPSSODescriptor", dict(NS)) is not None
    ]
    if len(entities) != 1:
        raise Unreadable(f"it describes {len(entities)} identity providers; one was due")
    (entity,) = entities
    entity_id = entity.get("entityID", "")
    if not 1 <= len(entity_id) <= TEXT_MAX:
        raise Unreadable("it has no entityID")
    roles = [
        one
        for one in entity.findall("md:IDPSSODescriptor", dict(NS))
        if SAMLP in one.get("protocolSupportEnumeration", "").split()
    ]
    if len(roles) != 1:
        raise Unreadable("it describes no identity provider of SAML 2.0, or several roles of one")
    (role,) = roles
    urls = [
        one.get("Location", "")
        for one in role.findall("md:SingleSignOnService", dict(NS))
        if one.get("Binding") == REDIRECT_BINDING
    ]
    if not urls or len(urls[0]) > TEXT_MAX:
        raise Unreadable("it has no SingleSignOnService with the HTTP-Redirect binding")
    ends = [moment(one.get("validUntil")) for one in (root, entity, role) if one.get("validUntil") is not None]
    if any(end is None for end in ends):
        raise Unreadable("its validUntil is no time in UTC")
    return Entity(entity_id, urls[0], certificates(role), min((end for end in ends if end is not None), default=None))


def certificates(role: Element) -> tuple[x509.Certificate, ...]:
    """The certificates whose keys sign. Raises Unreadable when there are none that can be used."""
    found: list[x509.Certificate] = []
    for descriptor in role.findall("md:KeyDescriptor", dict(NS)):
        if descriptor.get("use", "signing") != "signing":
            continue
        for element in descriptor.iter(f"{{{DS}}}X509Certificate"):
            try:
                certificate = x509.load_der_x509_certificate(b64decode("".join(text(element).split()), validate=True))
                key = certificate.public_key()
            except (NoBase64, ValueError, TypeError):
                raise Unreadable("one of its certificates is none") from None
            strong = isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN
            if not strong and not isinstance(key, ec.EllipticCurvePublicKey):
                raise Unreadable(f"one of its keys is neither RSA of {RSA_BITS_MIN} bits or more nor of a curve")
            found.append(certificate)
    if not 1 <= len(found) <= CERTIFICATES_MAX:
        raise Unreadable(f"it has {len(found)} certificates to sign with; 1 to {CERTIFICATES_MAX} were due")
    return tuple(found)


def shown(certificate: x509.Certificate) -> dict[str, str]:
    """A certificate for people to compare."""
    return {
        "sha256": certificate.fingerprint(SHA256()).hex(":"),
        "notAfter": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def ours(entity_id: str, acs_url: str) -> str:
    """Our metadata as a service provider for one identity provider."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<md:EntityDescriptor xmlns:md="{MD}" entityID={quoteattr(entity_id)}>'
        '<md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" '
        f'protocolSupportEnumeration="{SAMLP}">'
        "<md:NameIDFormat>urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress</md:NameIDFormat>"
        f'<md:AssertionConsumerService Binding="{POST_BINDING}" Location={quoteattr(acs_url)} '
        'index="0" isDefault="true"/>'
        "</md:SPSSODescriptor></md:EntityDescriptor>\n"
    )
