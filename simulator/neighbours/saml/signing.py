"""Signatures: RSA-SHA256 over exclusive canonical XML, each right after the issuer of what it signs.

Source: SAML 2.0 Core section 5 (profile of XML Signature).
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from simulator.neighbours.keys import pem
from simulator.neighbours.saml.xml import DS, NS, Element, deflated

PARTS = {"response": (".",), "assertion": ("saml:Assertion",), "both": ("saml:Assertion", "."), "none": ()}


def sign(root: Element, what: str, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> Element:
    """The response with its `response`, `assertion`, `both` or `none` of them signed."""
    for path in PARTS[what]:
        part = root if path == "." else root.find(path, dict(NS))
        if part is None:
            continue
        part.insert(1, etree.Element(f"{{{DS}}}Signature", {"Id": "placeholder"}, {"ds": DS}))
        signer = XMLSigner(
            signature_algorithm=SignatureMethod.RSA_SHA256,
            digest_algorithm=DigestAlgorithm.SHA256,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        signed = signer.sign(part, key=key, cert=[certificate], reference_uri=part.get("ID"))
        if part is root:
            root = signed
        else:
            root.replace(part, signed)
    return root


def signed_query(name: str, message: bytes, relay_state: str | None, key: rsa.RSAPrivateKey) -> str:
    """A message of the redirect binding as a signed query (SAML 2.0 Bindings section 3.4.4.1)."""
    fields = {name: deflated(message)} | ({} if relay_state is None else {"RelayState": relay_state})
    query = urlencode({**fields, "SigAlg": SignatureMethod.RSA_SHA256.value})
    made = key.sign(query.encode(), PKCS1v15(), hashes.SHA256())
    return f"{query}&{urlencode({'Signature': b64encode(made).decode()})}"


def bare(certificate: x509.Certificate) -> str:
    """A certificate as base64 without its frame."""
    return "".join(pem(certificate).split("\n")[1:-2])
