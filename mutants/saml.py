"""SAML with a check left out."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace as changed
from typing import Any

from cryptography import x509
from lxml import etree

from gateway.endpoints.sso import SignOnApi
from gateway.errors import InvalidRequest
from gateway.sign_on import saml_metadata, saml_response, settings
from gateway.sign_on.providers import Provider, Providers
from gateway.sign_on.refusals import SignOnRefused
from gateway.sign_on.saml_metadata import Entity
from gateway.sign_on.saml_response import Due
from gateway.sign_on.xml import DS, SAML, Element, moment, only, parser, text
from mutants._patch import around, replace
from mutants.registry import mutant

CONFIRMED = "saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData"


def edit_due(step: str, edit: Callable[[Element, Due], Due]) -> None:
    """What is due of the element that a step judges is what `edit(element, due)` makes of it."""

    @around(saml_response, step)
    def judge(old: Any, element: Element, *rest: Any) -> Any:
        *between, due = rest
        return old(element, *between, edit(element, due))


def of_subject(assertion: Element, name: str) -> str | None:
    """An attribute of the subject's confirmation."""
    data = only(assertion, CONFIRMED)
    return None if data is None else data.get(name)


@mutant()
def saml_pasted_metadata_refused() -> None:
    """Metadata must be at a URL."""

    @around(settings, "_read_saml")
    def read_saml(old: Any, services: Any, found: Any, fields: Any) -> None:
        if fields.get("metadataXml") is not None:
            raise InvalidRequest("`metadataUrl` was due.")
        old(services, found, fields)


@mutant()
def saml_acs_untold() -> None:
    """Our metadata tell another address than ours."""

    @around(saml_metadata, "ours")
    def ours(old: Any, entity_id: str, acs_url: str) -> str:
        told: str = old(entity_id, f"{acs_url}/acs")
        return told


@mutant("GD-180")
def saml_unsigned_accepted() -> None:
    """A response without a signature is taken as it is."""

    @around(saml_response, "signed_assertion")
    def signed_assertion(old: Any, data: bytes, root: Element, *rest: Any) -> Any:
        return (
            old(data, root, *rest) if root.find(f".//{{{DS}}}Signature") is not None else only(root, "saml:Assertion")
        )


@mutant()
def saml_certificate_of_the_message() -> None:
    """The certificate that comes along verifies the signature."""

    @around(saml_response, "read")
    def read(old: Any, data: bytes, entity: Entity, due: Due) -> Any:
        found = etree.fromstring(data).iter(f"{{{DS}}}X509Certificate")
        brought = [x509.load_der_x509_certificate(b64decode("".join((one.text or "").split()))) for one in found]
        return old(data, changed(entity, certificates=(*entity.certificates, *brought)), due)


@mutant()
def saml_expired_certificate_used() -> None:
    """Certificates are good for ever."""
    replace(saml_response, "usable_certificates", lambda entity, _now_s: list(entity.certificates))


@mutant()
def saml_signature_unchecked() -> None:
    """That there is a signature is enough."""
    replace(saml_response, "verified", lambda _data, parent, *_rest: parent)


@mutant("GD-181")
def saml_first_assertion_read() -> None:
    """Of several assertions the first is read, whichever was signed."""

    @around(saml_response, "signed_assertion")
    def signed_assertion(old: Any, data: bytes, root: Element, *rest: Any) -> Any:
        try:
            return old(data, root, *rest)
        except SignOnRefused as refused:
            if "exactly one assertion" not in refused.reason:
                raise
            return next(root.iter(f"{{{SAML}}}Assertion"))


@mutant("GD-181")
def saml_comments_read_around() -> None:
    """A text ends where a comment begins, and the name is the address."""

    @around(saml_response, "signed_assertion")
    def signed_assertion(old: Any, data: bytes, root: Element, *rest: Any) -> Any:
        old(data, root, *rest)
        return only(root, "saml:Assertion")

    replace(saml_response, "parsed", lambda data: etree.fromstring(data, parser()))
    replace(saml_response, "text", lambda element: "" if element is None else (element.text or "").strip())
    replace(saml_response, "attributes", lambda _assertion: {})


@mutant("GD-180")
def saml_replay_accepted() -> None:
    """An assertion counts as often as it comes."""

    async def use(_self: Providers, _until_ms: int, *_names: str) -> bool:
        return True

    replace(Providers, "use", use)


@mutant("GD-180")
def saml_in_response_to_unchecked() -> None:
    """Which request a response answers is not looked at."""
    edit_due("check_response", lambda root, due: changed(due, request_id=root.get("InResponseTo")))
    edit_due("check_subject", lambda one, due: changed(due, request_id=of_subject(one, "InResponseTo")))


@mutant("GD-180")
def saml_audience_unchecked() -> None:
    """Assertions for other services are taken."""

    def lenient(assertion: Element, due: Due) -> Due:
        found = only(assertion, "saml:Conditions/saml:AudienceRestriction/saml:Audience")
        return due if found is None else changed(due, audience=text(found))

    edit_due("check_conditions", lenient)


@mutant("GD-180")
def saml_recipient_unchecked() -> None:
    """Assertions for other addresses are taken."""
    edit_due("check_subject", lambda one, due: changed(due, acs_url=of_subject(one, "Recipient") or ""))


@mutant()
def saml_destination_unchecked() -> None:
    """Responses that went to another address are taken."""
    edit_due("check_response", lambda root, due: changed(due, acs_url=root.get("Destination", due.acs_url)))


@mutant()
def saml_issuer_unchecked() -> None:
    """Which provider a response comes from is not looked at."""
    for step in ("check_response", "judged"):

        @around(saml_response, step)
        def judge(old: Any, element: Element, entity: Entity, due: Due) -> Any:
            issuer = text(only(element, "saml:Issuer"))
            return old(element, changed(entity, entity_id=issuer or entity.entity_id), due)


@mutant()
def saml_confirmation_unchecked() -> None:
    """A subject that is confirmed in any way will do."""

    @around(saml_response, "check_subject")
    def check_subject(old: Any, assertion: Element, due: Due) -> float:
        for one in assertion.iter(f"{{{SAML}}}SubjectConfirmation"):
            one.set("Method", saml_response.BEARER)
        until_s: float = old(assertion, due)
        return until_s


@mutant("GD-180")
def saml_times_unchecked() -> None:
    """Assertions never expire."""

    def before(told: str | None, due: Due) -> Due:
        until_s = moment(told)
        return due if until_s is None else changed(due, now_s=min(due.now_s, int(until_s) - 1))

    def conditions(assertion: Element, due: Due) -> Due:
        found = only(assertion, "saml:Conditions")
        return due if found is None else before(found.get("NotOnOrAfter"), due)

    edit_due("check_conditions", conditions)
    edit_due("check_subject", lambda one, due: before(of_subject(one, "NotOnOrAfter"), due))


@mutant()
def saml_no_skew_borne() -> None:
    """The clocks of SAML providers must be right to the second."""

    @around(saml_response, "read")
    def read(old: Any, data: bytes, entity: Entity, due: Due) -> Any:
        return old(data, entity, changed(due, skew_s=0))


@mutant()
def saml_dtd_read() -> None:
    """The entities of a response are expanded."""

    def reader() -> etree.XMLParser:
        return etree.XMLParser(resolve_entities=True, load_dtd=True, no_network=False, huge_tree=True)

    @around(saml_response, "read")
    def read(old: Any, data: bytes, entity: Entity, due: Due) -> Any:
        try:
            root = etree.fromstring(data, reader())
        except etree.XMLSyntaxError:
            raise SignOnRefused("the response is no XML") from None
        return old(etree.tostring(root, doctype=""), entity, due)

    replace(saml_response, "parsed", lambda data: etree.fromstring(data, reader()))


@mutant()
def saml_provider_may_always_begin() -> None:
    """A sign-on that nobody asked for counts."""

    @around(SignOnApi, "_usable")
    async def usable(old: Any, self: SignOnApi, request: Any) -> Provider:
        provider: Provider = await old(self, request)
        return changed(provider, settings={**provider.settings, "provider_may_begin": True})
