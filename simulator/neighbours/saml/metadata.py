"""The provider's metadata. Source: SAML 2.0 Metadata sections 2.3 and 2.4."""

from __future__ import annotations

from simulator.neighbours.saml.xml import BINDINGS, DS, EMAIL, SAMLP, text

MD = "urn:oasis:names:tc:SAML:2.0:metadata"


def metadata(root: str, title: str, certificate: str) -> bytes:
    """The entity `{root}/metadata`; the certificate is base64 of DER."""
    services = "".join(
        f'<md:{kind} Binding="{BINDINGS}{binding}" Location="{text(root)}/{path}"/>'
        for kind, path in (("SingleLogoutService", "slo"), ("SingleSignOnService", "sso"))
        for binding in ("HTTP-Redirect", "HTTP-POST")
    ).replace("<md:SingleSignOnService", f"<md:NameIDFormat>{EMAIL}</md:NameIDFormat><md:SingleSignOnService", 1)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<md:EntityDescriptor xmlns:md="{MD}" xmlns:ds="{DS}" entityID="{text(root)}/metadata">'
        f'<md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="{SAMLP}">'
        f'<md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}'
        f"</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>{services}</md:IDPSSODescriptor>"
        f'<md:Organization><md:OrganizationName xml:lang="en">{text(title)}</md:OrganizationName>'
        f'<md:OrganizationDisplayName xml:lang="en">{text(title)}</md:OrganizationDisplayName>'
        f'<md:OrganizationURL xml:lang="en">{text(root)}</md:OrganizationURL></md:Organization></md:EntityDescriptor>\n'
    ).encode()
