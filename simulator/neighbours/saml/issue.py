"""Responses that leave: told, signed, and as wrong as the faults in force want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from lxml import etree

from simulator import draws
from simulator.neighbours.edits import edited, filled
from simulator.neighbours.keys import USUAL, certificate, rsa_key
from simulator.neighbours.saml import attacks, responses
from simulator.neighbours.saml.requests import Request
from simulator.neighbours.saml.responses import BEFORE_S, LIFE_S, Told
from simulator.neighbours.saml.signing import sign
from simulator.neighbours.sessions import Session
from simulator.neighbours.visits import Visit


class Issuer:
    """Makes them, each with ids of its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def _id(self) -> str:
        self._count += 1
        return f"_{draws.digest(self._seed, 'saml', self._count).hex()}"

    def failure(self, visit: Visit, wanted: Request, acs_url: str, codes: Sequence[str]) -> bytes:
        """A signed response with no assertion."""
        issuer, now_s = f"{visit.root}/metadata", visit.asked.now_s
        root = responses.failure(self._id(), issuer, acs_url, wanted.id or None, now_s, codes)
        cert = certificate(self._seed, USUAL, f"{visit.tenant.name}.example")
        return bytes(etree.tostring(sign(root, "response", rsa_key(self._seed, USUAL), cert)))

    def response(self, visit: Visit, wanted: Request, acs_url: str, session: Session, what: str) -> bytes:
        """A response that signs the user on; `what` of it is signed unless a fault has it otherwise."""
        told = self._told(visit, wanted, acs_url, session)
        key = next((str(one.does["key"]) for one in visit.at("keys")), USUAL)
        for fault in visit.at("sign"):
            key, what = fault.does.get("key", key), fault.does.get("sign", what)
        expired = bool(visit.at("certificate"))
        cert = certificate(self._seed, key, f"{visit.tenant.name}.example", expired=expired)
        root = sign(responses.response(told), what, rsa_key(self._seed, key), cert)
        return self._after(visit, root, what)

    def _told(self, visit: Visit, wanted: Request, acs_url: str, session: Session) -> Told:
        account, now_s = session.account, visit.asked.now_s
        attributes = {
            "email": [account.login],
            "displayName": [account.name],
            "givenName": [account.given_name],
            "sn": [account.family_name],
            "groups": list(account.groups),
            "uid": [account.subject(visit.tenant.name)],
        }
        fields = asdict(
            Told(
                response_id=self._id(),
                assertion_id=self._id(),
                issuer=f"{visit.root}/metadata",
                destination=acs_url,
                recipient=acs_url,
                audience=wanted.issuer,
                in_response_to=wanted.id or None,
                name_id=account.login,
                session=session.id,
                attributes={name: values for name, values in attributes.items() if values},
                issued_s=now_s,
                not_before_s=now_s - BEFORE_S,
                until_s=now_s + LIFE_S,
                confirmed_until_s=now_s + LIFE_S,
                signed_on_s=session.signed_on_s,
            )
        )
        for fault in visit.at("told"):
            fields = edited(fields, fault, {})
            for name in fault.does.get("forget", ()):
                fields["attributes"] = {k: v for k, v in fields["attributes"].items() if k != name}
        return Told(**fields)

    @staticmethod
    def _after(visit: Visit, root: etree._Element, what: str) -> bytes:
        """What is done to a signed document, and the document as bytes: a DTD comes last."""
        form, wrapped = "", False
        for fault in visit.at("after"):
            does = fault.does
            if "tamper" in does:
                root = attacks.tampered(root, does["tamper"])
            if "wrap" in does and does["sign"] == what and not wrapped:
                root, wrapped = attacks.wrapped(root, does["wrap"], fault["victim"]), True
            if "comment" in does:
                root = attacks.commented(root, fault["victim"])
            form = does.get("dtd", form)
        data = bytes(etree.tostring(root))
        if not form:
            return data
        probe_url = filled(
            "{site}/__hooks/{case}/external-entity", {"site": visit.asked.site, "case": visit.case or "saml"}
        )
        return attacks.with_dtd(data, form, probe_url)
