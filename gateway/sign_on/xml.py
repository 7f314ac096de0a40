"""XML of strangers: no DTD, no entities, no network, no comments, and bounded; and what SAML writes of its own.

Source: SAML 2.0 Core, Bindings section 3.4 (HTTP Redirect) and 3.5 (HTTP POST); OWASP, XML External Entity Prevention.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from lxml import etree

SAML: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP: Final = "urn:oasis:names:tc:SAML:2.0:protocol"
MD: Final = "urn:oasis:names:tc:SAML:2.0:metadata"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
NS: Final[Mapping[str, str]] = {"saml": SAML, "samlp": SAMLP, "md": MD, "ds": DS}
POST_BINDING: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
REDIRECT_BINDING: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|\+00:00)")
ELEMENTS_MAX: Final = 20_000
DEPTH_MAX: Final = 64

Element = etree._Element


class Unreadable(ValueError):
    """What was to be XML is none, or none that is taken."""


def parser() -> etree.XMLParser:
    """A parser that fetches and expands nothing."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def parsed(data: bytes) -> Element:
    """The root of a document. Raises Unreadable."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise Unreadable("it has a DTD")
    try:
        root = etree.fromstring(data, parser())
    except (etree.XMLSyntaxError, ValueError):
        raise Unreadable("it is no XML") from None
    info = etree.ElementTree(root).docinfo
    if info.internalDTD is not None or info.externalDTD is not None:  # in an encoding that hides the text
        raise Unreadable("it has a DTD")
    for number, node in enumerate(root.iter()):
        if number > ELEMENTS_MAX or sum(1 for _ in node.iterancestors()) > DEPTH_MAX:
            raise Unreadable("it is too large")
        if not isinstance(node.tag, str):
            raise Unreadable("it has comments, processing instructions or entities")
    return root


def only(root: Element, path: str) -> Element | None:
    """The element at a path; None unless there is exactly one."""
    found = root.findall(path, dict(NS))
    return found[0] if len(found) == 1 else None


def text(element: Element | None) -> str:
    """The whole text of an element that has no other inside, without blanks around it."""
    if element is None or len(element):
        return ""
    return (element.text or "").strip()


def moment(value: str | None) -> float | None:
    """A time in UTC as Unix seconds, None where there is none."""
    if value is None or MOMENT.fullmatch(value) is None:
        return None
    whole, _, fraction = value.removesuffix("Z").removesuffix("+00:00").partition(".")
    try:
        seconds = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return seconds + (float(f"0.{fraction}") if fraction else 0.0)


def written(now_s: int) -> str:
    """A time as SAML writes it."""
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def deflated(message: str) -> str:
    """A message for the redirect binding, before it is URL-encoded."""
    packer = zlib.compressobj(wbits=-15)
    return b64encode(packer.compress(message.encode()) + packer.flush()).decode()
