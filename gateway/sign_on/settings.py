"""What an organisation says of its identity provider, read and looked at.

`settings` of a Provider: oidc {issuer, client_id, max_age_s?}; saml {metadata_xml?, metadata_url?, entity_id?,
max_age_s?, provider_may_begin?}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gateway import body, edge, guard
from gateway.errors import InvalidRequest, shown
from gateway.orgs import permissions
from gateway.people import emails
from gateway.sealing import Sealer
from gateway.sign_on import discovery
from gateway.sign_on.discovery import Issuers
from gateway.sign_on.providers import OIDC, SAML, Provider
from gateway.sign_on.refusals import ProviderFailed

if TYPE_CHECKING:
    from gateway.services import Services

COMMON: Final = ("type", "domain", "defaultRole", "enabled", "maxAge")
OF_TYPE: Final = {
    OIDC: (*COMMON, "issuer", "clientId", "clientSecret"),
    SAML: (*COMMON, "metadataXml", "metadataUrl", "allowIdpInitiated"),
}
SHOWN_ONLY: Final = (  # in answers; an answer that is sent back as it is changes nothing
    *("id", "domainVerified", "reachable", "problem", "checkedAt", "createdAt", "loginUrl", "redirectUri"),
    *("entityId", "spEntityId", "acsUrl", "spMetadataUrl", "certificates", "hasClientSecret"),
)
ROLE: Final = "viewer"
TEXT_MAX: Final = 1000
SECRET_MAX: Final = 4000
AGE_MAX_S: Final = 365 * 86_400


def created(services: Services, sealer: Sealer, org_id: str, fields: Mapping[str, Any]) -> Provider:
    """The provider that a body describes, not yet looked at. Raises InvalidRequest."""
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in OF_TYPE:
        raise InvalidRequest(f"`type` is {shown(kind)!r}; one of {', '.join(OF_TYPE)} was due.")
    if "domain" not in fields:
        raise InvalidRequest("`domain` is missing; the domain of the e-mail addresses was due.")
    blank = Provider(edge.new_id("sso"), org_id, kind, "", True, ROLE, {}, None, None, None, services.clock.now_ms())
    made = changed(services, sealer, blank, fields)
    missing = {
        OIDC: [name for name, key in (("issuer", "issuer"), ("clientId", "client_id")) if key not in made.settings],
        SAML: [] if {"metadata_xml", "metadata_url"} & set(made.settings) else ["metadataXml` or `metadataUrl"],
    }[kind]
    if missing:
        raise InvalidRequest(f"`{missing[0]}` is missing.")
    return made


def changed(services: Services, sealer: Sealer, provider: Provider, fields: Mapping[str, Any]) -> Provider:
    """The provider with what a body changes. Raises InvalidRequest."""
    for name in fields:
        if name not in OF_TYPE[provider.type] and name not in SHOWN_ONLY:
            due = ", ".join(OF_TYPE[provider.type])
            raise InvalidRequest(f"{shown(name)!r} means nothing for {provider.type}; any of {due} was due.")
    if fields.get("type", provider.type) != provider.type:
        raise InvalidRequest("`type` cannot be changed; make another provider.")
    if "domain" in fields:
        provider = replace(provider, domain=domain(fields["domain"]))
    if fields.get("enabled") is not None:
        provider = replace(provider, enabled=body.flag(fields, "enabled"))
    if "defaultRole" in fields:
        provider = replace(provider, default_role=role(fields["defaultRole"]))
    settings = dict(provider.settings)
    if "maxAge" in fields:
        settings["max_age_s"] = body.whole_number(fields, "maxAge", 0, AGE_MAX_S)
    read = _read_oidc if provider.type == OIDC else _read_saml
    read(services, settings, fields)
    settings = {name: value for name, value in settings.items() if value is not None}
    if "clientSecret" in fields:
        secret = text(fields, "clientSecret", SECRET_MAX)
        sealed = None if secret is None else sealer.seal(provider.secret_purpose, secret)
        provider = replace(provider, secret=sealed)
    return replace(provider, settings=settings)


def _read_oidc(services: Services, settings: dict[str, Any], fields: Mapping[str, Any]) -> None:
    if "issuer" in fields:
        issuer = text(fields, "issuer", TEXT_MAX)
        if issuer is None or "?" in issuer or "#" in issuer:
            raise InvalidRequest("`issuer` is no issuer; an https:// URL without a query was due.")
        guard.checked(issuer, services.config, https=True)
        settings["issuer"] = issuer.removesuffix(discovery.WELL_KNOWN)
    if "clientId" in fields:
        settings["client_id"] = text(fields, "clientId", TEXT_MAX)


def _read_saml(services: Services, settings: dict[str, Any], fields: Mapping[str, Any]) -> None:
    from gateway.sign_on import saml, saml_metadata
    from gateway.sign_on.xml import Unreadable

    if "metadataUrl" in fields and (url := text(fields, "metadataUrl", TEXT_MAX)) != settings.get("metadata_url"):
        settings["metadata_url"] = None if url is None else guard.checked(url, services.config, https=True)
        if url is not None:
            settings |= {"metadata_xml": None, "entity_id": None}
    if "metadataXml" in fields and (xml := text(fields, "metadataXml", saml_metadata.BYTES_MAX)) is not None:
        if fields.get("metadataUrl") is not None:
            raise InvalidRequest("`metadataXml` and `metadataUrl` are both there; one of them was due.")
        try:
            settings |= saml.read_settings(xml.encode("utf-8", "surrogatepass"))
        except Unreadable as error:
            raise InvalidRequest(f"`metadataXml` cannot be used: {error}.") from None
        settings["metadata_url"] = None
    if "allowIdpInitiated" in fields:
        settings["provider_may_begin"] = body.flag(fields, "allowIdpInitiated") or None


async def looked_at(services: Services, issuers: Issuers, provider: Provider) -> Provider:
    """The provider as it is found when it is looked at now: the green check, or why not."""
    settings, problem = dict(provider.settings), None
    try:
        if provider.type == OIDC:
            document = await issuers.document(services, settings["issuer"], fresh=True)
            await issuers.keys(services, settings["issuer"], fresh=True)
            settings["issuer"] = document.issuer
        else:
            from gateway.sign_on import saml

            if "metadata_url" in settings:
                settings |= await saml.fetched(services, settings["metadata_url"])
            saml.check_lasting(settings["metadata_xml"], services.clock.now_s())
    except ProviderFailed as error:
        problem = error.reason
    return replace(provider, settings=settings, problem=problem, checked_at_ms=services.clock.now_ms())


def domain(value: Any) -> str:
    """A domain of e-mail addresses. Raises InvalidRequest."""
    name = value.strip().lower().removeprefix("@") if isinstance(value, str) else ""
    if len(name) > 253 or emails.DOMAIN.fullmatch(name) is None:
        raise InvalidRequest(f"`domain` is {shown(value)!r}; a domain as acme.com was due.")
    return name


def role(value: Any) -> str:
    """The role of whoever signs on first: any but the owner's. Raises InvalidRequest."""
    roles = [one for one in permissions.table().roles if one != permissions.OWNER]
    if value not in roles:
        raise InvalidRequest(f"`defaultRole` is {shown(value)!r}; one of {', '.join(roles)} was due.")
    return str(value)


def text(fields: Mapping[str, Any], name: str, most: int) -> str | None:
    """A text that may be null. Raises InvalidRequest."""
    value = fields[name]
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"`{name}` is {body.json_type(value)}; a string was due.")
    found = value.strip()
    if not 1 <= len(found) <= most or "\0" in found:
        raise InvalidRequest(f"`{name}` has {len(found)} characters; 1 to {most}, none of them NUL, were due.")
    return found
