"""XML of SAML: namespaces, reading what a stranger sent, writing what leaves.

Source: SAML 2.0 Core and Bindings (OASIS, 2005), sections 3.4 (HTTP Redirect) and 3.5 (HTTP POST).
"""

from __future__ import annotations

import re
import zlib
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

SAML: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP: Final = "urn:oasis:names:tc:SAML:2.0:protocol"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
NS: Final[Mapping[str, str]] = {"saml": SAML, "samlp": SAMLP, "ds": DS}
STATUS: Final = "urn:oasis:names:tc:SAML:2.0:status:"
BINDINGS: Final = "urn:oasis:names:tc:SAML:2.0:bindings:"
EMAIL: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
MESSAGE_BYTES_MAX: Final = 256 << 10

NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Element = etree._Element
text, attribute = escape, quoteattr


class Unreadable(ValueError):
    """A message that is not one."""


def decoded(raw: str, *, deflated: bool) -> Element:
    """The message in a parameter of the redirect or the POST binding. Raises Unreadable."""
    try:
        data = b64decode(raw, validate=not any(mark in raw for mark in "\r\n "))
    except (Error, ValueError):
        raise Unreadable("the message is not base64") from None
    if deflated:
        unpack = zlib.decompressobj(-15)
        try:
            data = unpack.decompress(data, MESSAGE_BYTES_MAX)
        except zlib.error:
            raise Unreadable("the message is not deflated") from None
        if unpack.unconsumed_tail:
            raise Unreadable(f"the message is larger than {MESSAGE_BYTES_MAX} bytes")
    return parsed(data)


def parsed(data: bytes) -> Element:
    """XML of a stranger: no DTD, no entities, no network. Raises Unreadable."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(f"the message is not XML: {error}") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]  # the stubs allow for trees without a root
        raise Unreadable("the message has a DTD")
    return root


def deflated(data: bytes) -> str:
    """A message for the redirect binding, before it is URL-encoded."""
    pack = zlib.compressobj(wbits=-15)
    return b64encode(pack.compress(data) + pack.flush()).decode()


def is_xml(value: str) -> bool:
    """Whether a text holds only characters that XML can."""
    return NOT_XML.search(value) is None


def moment(seconds: int) -> str:
    """A time as `2026-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def found(root: Element, path: str) -> Element | None:
    """The first element of a path with the usual prefixes."""
    return root.find(path, dict(NS))


def word(root: Element, path: str) -> str | None:
    """Its text, without spaces around it."""
    one = found(root, path)
    return None if one is None or one.text is None else one.text.strip()
