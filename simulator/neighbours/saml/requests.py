"""What service providers ask: to sign a user on, or off.

Source: SAML 2.0 Core sections 3.2.1, 3.4.1 and 3.7.1; Profiles section 4.1.4.1. Signatures of requests are noted, not
verified: the provider knows no service provider's key.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.neighbours.asked import Asked
from simulator.neighbours.saml.xml import BINDINGS, DS, SAMLP, Unreadable, decoded, found, word

TEXT_MAX = 1024
TRUE = ("true", "1")


@dataclass(frozen=True, slots=True)
class Request:
    """One of them."""

    id: str
    issuer: str
    destination: str | None
    relay_state: str | None
    is_signed: bool
    acs_url: str | None = None  # where the response is wanted
    binding: str | None = None
    force: bool = False
    passive: bool = False
    name_id: str | None = None  # of a logout
    session: str | None = None


def read(asked: Asked, kind: str, told: dict[str, str] | None = None) -> Request:
    """The AuthnRequest or LogoutRequest that came by either binding. Raises Unreadable."""
    fields = dict(asked.told) if told is None else told
    raw = fields.get("SAMLRequest")
    if raw is None:
        raise Unreadable("there is no SAMLRequest")
    root = decoded(raw, deflated=fields.get("binding", asked.method) != "POST")
    if root.tag != f"{{{SAMLP}}}{kind}":
        raise Unreadable(f"the message is {root.tag!r:.80}; due a samlp:{kind}")
    request_id, issuer = root.get("ID"), word(root, "saml:Issuer")
    if root.get("Version") != "2.0" or not request_id or not issuer:
        raise Unreadable("Version must be 2.0, and ID and Issuer must be there")
    told_texts = (request_id, issuer, root.get("AssertionConsumerServiceURL") or "", root.get("Destination") or "")
    if any(len(one) > TEXT_MAX for one in told_texts):
        raise Unreadable(f"an attribute is longer than {TEXT_MAX} characters")
    return Request(
        request_id,
        issuer,
        root.get("Destination"),
        fields.get("RelayState"),
        "Signature" in fields or found(root, f"{{{DS}}}Signature") is not None,
        root.get("AssertionConsumerServiceURL"),
        (root.get("ProtocolBinding") or "").removeprefix(BINDINGS) or None,
        root.get("ForceAuthn") in TRUE,
        root.get("IsPassive") in TRUE,
        word(root, "saml:NameID"),
        word(root, "samlp:SessionIndex"),
    )
