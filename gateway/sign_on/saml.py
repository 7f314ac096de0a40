"""Sign-on by SAML 2.0: our request by HTTP-Redirect, the provider's response by HTTP-POST.

Source: SAML 2.0 Profiles section 4.1, Bindings sections 3.4 and 3.5.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

from gateway import guard
from gateway.sign_on import saml_metadata, saml_response
from gateway.sign_on.attempts import Attempt
from gateway.sign_on.providers import Provider, Providers
from gateway.sign_on.refusals import ProviderFailed, SignOnRefused
from gateway.sign_on.saml_metadata import Entity
from gateway.sign_on.saml_response import Assertion, Due, NoSuchKey
from gateway.sign_on.xml import POST_BINDING, SAML, SAMLP, Unreadable, deflated, written

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.sign_on.state import Refreshes

REFRESH_S: Final = 24 * 3600  # metadata older than this are fetched again


async def way_there(services: Services, providers: Providers, provider: Provider, attempt: Attempt, us: str) -> str:
    """Where the browser is sent to sign on; `us` is our entity. Raises ProviderFailed."""
    entity = await current(services, providers, provider)
    try:
        url = guard.checked(entity.sso_url, services.config, https=True)
    except guard.Refused as refused:
        raise ProviderFailed(f"the address to sign on at cannot be used: {refused.message}") from None
    message = authn_request(attempt, entity.sso_url, us, services.clock.now_s())
    mark = "&" if "?" in url else "?"
    return f"{url}{mark}{urlencode({'SAMLRequest': deflated(message), 'RelayState': attempt.id})}"


def authn_request(attempt: Attempt, destination: str, us: str, now_s: int) -> str:
    """The request for a sign-on."""
    return (
        f'<samlp:AuthnRequest xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="{attempt.request_id}" Version="2.0" '
        f'IssueInstant="{written(now_s)}" Destination={quoteattr(destination)} '
        f'AssertionConsumerServiceURL={quoteattr(attempt.here)} ProtocolBinding="{POST_BINDING}">'
        f'<saml:Issuer>{escape(us)}</saml:Issuer><samlp:NameIDPolicy AllowCreate="true"/></samlp:AuthnRequest>'
    )


async def way_back(
    services: Services, providers: Providers, refreshes: Refreshes, provider: Provider, sent: str, due: Due
) -> Assertion:
    """Whom the provider vouches for, by the form that the browser posted. Raises SignOnRefused, ProviderFailed."""
    data = decoded(sent)
    entity = await current(services, providers, provider)
    try:
        return await asyncio.to_thread(saml_response.read, data, entity, due)
    except NoSuchKey:
        pass
    can_refresh = "metadata_url" in provider.settings and refreshes.take(provider.id, services.clock.monotonic())
    if can_refresh:
        entity = await refreshed(services, providers, provider)
        try:
            return await asyncio.to_thread(saml_response.read, data, entity, due)
        except NoSuchKey:
            pass
    raise SignOnRefused("no key of the provider's made the signature")


def decoded(sent: str) -> bytes:
    """The document in `SAMLResponse`. Raises SignOnRefused."""
    if len(sent) > saml_response.BYTES_MAX * 4 // 3 + 4096:
        raise SignOnRefused("the response is too large")
    try:
        return b64decode("".join(sent.split()), validate=True)
    except (NoBase64, ValueError):
        raise SignOnRefused("the response is not base64") from None


async def current(services: Services, providers: Providers, provider: Provider) -> Entity:
    """What is known of the provider; looked up again now and then. Raises ProviderFailed."""
    kept = provider.settings.get("metadata_xml")
    now_s = services.clock.now_s()
    if kept is not None:
        entity = saml_metadata.read(kept.encode())
        is_over = entity.valid_until_s is not None and now_s >= entity.valid_until_s
        is_old = provider.checked_at_ms is None or now_s - provider.checked_at_ms // 1000 > REFRESH_S
        if "metadata_url" not in provider.settings:
            if is_over:
                raise ProviderFailed("its metadata are valid no longer; put newer ones.")
            return entity
        if not is_over and not is_old:
            return entity
        try:
            return await refreshed(services, providers, provider)
        except ProviderFailed:
            if is_over:
                raise
            return entity
    return await refreshed(services, providers, provider)


async def refreshed(services: Services, providers: Providers, provider: Provider) -> Entity:
    """The provider's metadata as they are now, which are kept. Raises ProviderFailed."""
    settings = dict(provider.settings)
    try:
        settings |= await fetched(services, settings["metadata_url"])
    except ProviderFailed as error:
        await providers.note(provider, provider.settings, error.reason)
        raise
    entity = saml_metadata.read(settings["metadata_xml"].encode())
    if provider.settings.get("entity_id") not in (None, entity.entity_id):
        raise ProviderFailed("its metadata are those of another provider now.")
    await providers.note(provider, settings, None)
    return entity


async def fetched(services: Services, url: str) -> Mapping[str, str]:
    """The settings that metadata at a URL make. Raises ProviderFailed."""
    try:
        data, _ = await guard.fetch(services, url, saml_metadata.BYTES_MAX, services.config.sso_timeout_s, https=True)
    except (guard.Unreachable, guard.Refused) as error:
        raise ProviderFailed(error.message) from None
    try:
        return read_settings(data)
    except Unreadable as error:
        raise ProviderFailed(f"its metadata cannot be used: {error}.") from None


def check_lasting(metadata_xml: str, now_s: int) -> None:
    """Raises ProviderFailed unless the metadata, and a certificate in them, are valid now."""
    entity = saml_metadata.read(metadata_xml.encode())
    if entity.valid_until_s is not None and now_s >= entity.valid_until_s:
        raise ProviderFailed("its metadata are valid no longer.")
    if not saml_response.usable_certificates(entity, now_s):
        raise ProviderFailed("its certificate has expired.")


def read_settings(data: bytes) -> Mapping[str, str]:
    """What is kept of metadata. Raises Unreadable."""
    entity = saml_metadata.read(data)
    try:
        return {"metadata_xml": data.decode(), "entity_id": entity.entity_id}
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
