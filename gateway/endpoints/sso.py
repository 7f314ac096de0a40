"""Single sign-on: the identity providers of an organisation, the way to them and back, and whose each domain is.

Source: api-reference#teams-rbac-sso; what it does not say: docs/decisions.md#sign-on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import body, origins
from gateway.endpoints import account_fields as fields
from gateway.endpoints.admin import Admin
from gateway.endpoints.usage import NO_STORE, reply
from gateway.errors import BodyTooLarge, GatewayError, InvalidRequest, NoAccess, WrongMethod
from gateway.orgs.orgs import Access
from gateway.people import door, emails
from gateway.sign_on import attempts, settings
from gateway.sign_on.attempts import Attempt
from gateway.sign_on.identity import Identity, admit
from gateway.sign_on.providers import OIDC, SAML, Provider, no_provider
from gateway.sign_on.refusals import SignOnRefused
from gateway.usage import iso_utc

if TYPE_CHECKING:
    from gateway.services import Services

ROOT: Final = "/api/auth/sso"
BODY_MAX: Final = 1024 * 1024
FIELDS_MAX: Final = 20
PAGE: Final = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Sign-on failed</title></head>\n'
    '<body><main><h1>You are not signed in</h1><p>{message}</p><p><a href="/">Back</a></p></main></body></html>\n'
)
PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    **NO_STORE,
}

Handler = Callable[[Request], Awaitable[Response]]


class ProviderId(StringConvertor):
    """The id of a provider in a path: nothing else below ROOT is one."""

    regex = "sso_[0-9A-Za-z]{22}"


register_url_convertor("sso_provider", ProviderId())


class ProviderApi:
    """The providers of one organisation."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sign_on = services.sign_on
        self._providers = services.sign_on.providers

    async def create(self, request: Request, access: Access) -> Response:
        """POST: reads, looks at and keeps a provider."""
        told = body.parse(await read_body(request))
        made = settings.created(self._services, self._sign_on.sealer, access.org.id, told)
        made = await settings.looked_at(self._services, self._sign_on.issuers, made)
        trusted = self._services.config.sso_trust_domains
        kept = await self._providers.create(access, made, trusted=trusted)
        return reply(self._view(request, kept), 201)

    async def index(self, request: Request, access: Access) -> Response:
        """GET: all of them."""
        found = await self._providers.of_org(access.org.id)
        return reply({"providers": [self._view(request, provider) for provider in found]})

    async def read(self, request: Request, access: Access) -> Response:
        """GET: one."""
        return reply(self._view(request, await self._of(request, access)))

    async def change(self, request: Request, access: Access) -> Response:
        """PATCH: changes what is named, and looks again."""
        before = await self._of(request, access)
        told = body.parse(await read_body(request))
        after = settings.changed(self._services, self._sign_on.sealer, before, told)
        after = await settings.looked_at(self._services, self._sign_on.issuers, after)
        trusted = self._services.config.sso_trust_domains
        kept = await self._providers.change(access, before, after, trusted=trusted)
        return reply(self._view(request, kept))

    async def delete(self, request: Request, access: Access) -> Response:
        """DELETE."""
        await self._providers.delete(access, await self._of(request, access))
        return Response(status_code=204)

    def member(self, action: str, handler: Callable[[Request, Access], Awaitable[Response]]) -> Handler:
        """The handler behind the one check: a session, a membership, and a role that allows the action."""

        async def guarded(request: Request) -> Response:
            caller = await door.signed_in(self._services, request)
            access = await self._services.orgs.access(caller.actor, request.path_params["org_id"], action)
            return await handler(request, access)

        return guarded

    async def _of(self, request: Request, access: Access) -> Provider:
        """The provider of the path, which must be the organisation's. Raises NotFound."""
        found = await self._providers.find(request.path_params["provider_id"])
        if found is None or found.org_id != access.org.id:
            raise no_provider(request.path_params["provider_id"])
        return found

    def _view(self, request: Request, provider: Provider) -> dict[str, Any]:
        return view(provider, base_url(self._services, request))


class SignOnApi:
    """The way to a provider and back: reached without a session."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sign_on = services.sign_on
        self._providers = services.sign_on.providers

    async def start(self, request: Request) -> Response:
        """POST: where somebody with this e-mail address signs in."""
        door.check_origin(self._services, request)
        told = await fields.read(request, "email", "returnTo")
        email = emails.normal(fields.text(told, "email"))
        if email is None:
            raise InvalidRequest("`email` is no e-mail address.")
        asked = {"login_hint": email}
        if told.get("returnTo") is not None:
            asked["return_to"] = attempts.own_path(fields.text(told, "returnTo", attempts.RETURN_MAX))
        provider = await self._providers.of_domain(emails.domain_of(email))
        if provider is None:
            return reply({"type": "password", "providerId": None, "url": None})
        url = f"{ROOT}/{provider.id}/login?{urlencode(asked)}"
        return reply({"type": provider.type, "providerId": provider.id, "url": url})

    async def login(self, request: Request) -> Response:
        """GET: sends the browser to the provider."""
        provider = await self._usable(request)
        told = single(request.query_params.multi_items())
        here = f"{base_url(self._services, request)}{ROOT}/{provider.id}"
        attempt = attempts.begin(provider.id, self._services.clock.now_s(), here, told.get("return_to", "/"))
        hint = emails.normal(told.get("login_hint", ""))
        if provider.type == OIDC:
            from gateway.sign_on import oidc

            url = await oidc.way_there(self._services, self._sign_on.issuers, provider, attempt, hint)
        else:
            from gateway.sign_on import saml

            url = await saml.way_there(self._services, self._providers, provider, attempt, entity_id(here))
        response = Response(status_code=303, headers={"location": url, **PAGE_HEADERS})
        cross_site = provider.type == SAML
        response.headers.append(
            "set-cookie", attempts.cookie(self._sign_on.sealer, attempt, cookie_path(provider), cross_site=cross_site)
        )
        return response

    async def callback(self, request: Request) -> Response:
        """GET: back from an OpenID provider."""
        provider = await self._usable(request)
        if provider.type != OIDC:
            raise wrong_method("POST")
        told = single(request.query_params.multi_items())
        attempt = self._attempt(request, provider, told.get("state", ""))
        if attempt is None:
            raise SignOnRefused("this browser did not begin it, or too long ago (state)")
        if not await self._providers.use((attempt.begun_s + attempts.LIFE_S + 1) * 1000, f"attempt:{attempt.id}"):
            raise SignOnRefused("it has ended already (state)")
        from gateway.sign_on import oidc

        secret = None
        if provider.secret is not None:
            secret = self._sign_on.sealer.open(provider.secret_purpose, provider.secret)
            if secret is None:
                raise NoAccess("The client's secret cannot be opened: `secret_key` was changed. Set it anew.")
        found = await oidc.way_back(self._services, self._sign_on.issuers, provider, attempt, told, secret)
        return await self._begun(request, provider, found, attempt)

    async def consume(self, request: Request) -> Response:
        """POST: back from a SAML provider."""
        provider = await self._usable(request)
        if provider.type != SAML:
            raise wrong_method("GET")
        told = single(form_of(request, await read_body(request)))
        attempt = self._attempt(request, provider, told.get("RelayState", ""))
        if attempt is None and not provider.settings.get("provider_may_begin"):
            raise SignOnRefused("this browser did not begin it, or too long ago (RelayState)")
        from gateway.sign_on import saml
        from gateway.sign_on.saml_response import Due

        services = self._services
        now_s = services.clock.now_s()
        here = attempt.here if attempt else f"{base_url(services, request)}{ROOT}/{provider.id}"
        request_id = attempt.request_id if attempt else None
        max_age_s = provider.settings.get("max_age_s")
        due = Due(entity_id(here), here, request_id, now_s, services.config.sso_skew_s, max_age_s)
        sent = told.get("SAMLResponse", "")
        assertion = await saml.way_back(services, self._providers, self._sign_on.refreshes, provider, sent, due)
        names = [f"assertion:{provider.id}:{assertion.id}", *([f"attempt:{attempt.id}"] if attempt else [])]
        until_s = max(assertion.until_s, now_s + attempts.LIFE_S) + 1
        if not await self._providers.use(round(until_s * 1000), *names):
            raise SignOnRefused("the assertion was used before")
        return await self._begun(request, provider, assertion.identity, attempt)

    async def metadata(self, request: Request) -> Response:
        """GET: ours as a service provider, to be given to the identity provider."""
        provider = await self._found(request)
        if provider.type != SAML:
            raise no_provider(provider.id)
        from gateway.sign_on import saml_metadata

        here = f"{base_url(self._services, request)}{ROOT}/{provider.id}"
        return Response(saml_metadata.ours(entity_id(here), here), media_type="application/samlmetadata+xml")

    def shown(self, handler: Handler) -> Handler:
        """The handler, whose refusals go to the log, and to a browser as a page."""

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except GatewayError as error:
                provider_id = request.path_params["provider_id"]
                request_id = request.scope.get("windtunnel.request_id")
                self._services.log.write(
                    "warning", "sign_on_refused", provider=provider_id, reason=error.message, request_id=request_id
                )
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                page = PAGE.format(message=escape(error.message))
                headers = {**PAGE_HEADERS, **{name.decode(): value.decode() for name, value in error.headers}}
                return Response(page, error.status, headers, "text/html")

        return answered

    async def _found(self, request: Request) -> Provider:
        provider = await self._providers.find(request.path_params["provider_id"])
        if provider is None:
            raise no_provider(request.path_params["provider_id"])
        return provider

    async def _usable(self, request: Request) -> Provider:
        """The provider of the path, which may sign people on. Raises NotFound, NoAccess."""
        provider = await self._found(request)
        if not provider.enabled:
            raise NoAccess("This identity provider is switched off.")
        if not provider.is_verified:
            raise NoAccess(f"Nobody has verified yet that {provider.domain} belongs to the organisation.")
        return provider

    def _attempt(self, request: Request, provider: Provider, attempt_id: str) -> Attempt | None:
        header = "; ".join(request.headers.getlist("cookie"))
        now_s = self._services.clock.now_s()
        return attempts.find(self._sign_on.sealer, header, attempt_id, provider.id, now_s)

    async def _begun(
        self, request: Request, provider: Provider, identity: Identity, attempt: Attempt | None
    ) -> Response:
        """A session in place of the browser's last one, and on to where it wanted to go. Raises SignOnRefused."""
        sessions = self._services.sessions
        actor = door.actor_of(self._services, request, "")
        _, session = await admit(self._services, provider, identity, actor)
        old = sessions.token_of("; ".join(request.headers.getlist("cookie")))
        if old is not None:
            await sessions.end(old)
        location = attempt.return_to if attempt else "/"
        response = Response(status_code=303, headers={"location": location, **PAGE_HEADERS})
        response.headers.append("set-cookie", sessions.cookie(session))
        if attempt is not None:
            response.headers.append("set-cookie", attempts.no_cookie(attempt, cookie_path(provider)))
        return response


class DomainApi:
    """Whose each domain is, for the operator."""

    def __init__(self, services: Services) -> None:
        self._providers = services.sign_on.providers

    async def index(self, _request: Request) -> Response:
        """GET: all of them."""
        return reply({"domains": await self._providers.domains()})

    async def verify(self, request: Request) -> Response:
        """PUT: a domain is an organisation's."""
        told = await fields.read(request, "org_id")
        domain = settings.domain(request.path_params["domain"])
        return reply(await self._providers.verify(domain, fields.text(told, "org_id")))

    async def release(self, request: Request) -> Response:
        """DELETE: a domain is nobody's."""
        await self._providers.release(request.path_params["domain"].lower())
        return Response(status_code=204)


def view(provider: Provider, base: str) -> dict[str, Any]:
    """A provider as its organisation sees it: without its secret."""
    here = f"{base}{ROOT}/{provider.id}"
    set_ = provider.settings
    told: dict[str, Any] = {
        "id": provider.id,
        "type": provider.type,
        "domain": provider.domain,
        "domainVerified": provider.is_verified,
        "enabled": provider.enabled,
        "defaultRole": provider.default_role,
        "maxAge": set_.get("max_age_s"),
        "reachable": provider.reachable,
        "problem": provider.problem,
        "checkedAt": None if provider.checked_at_ms is None else iso_utc(provider.checked_at_ms),
        "createdAt": iso_utc(provider.created_at_ms),
        "loginUrl": f"{here}/login",
    }
    if provider.type == OIDC:
        return told | {
            "issuer": set_["issuer"],
            "clientId": set_["client_id"],
            "hasClientSecret": provider.secret is not None,
            "redirectUri": here,
        }
    from gateway.sign_on import saml_metadata

    xml, url = set_.get("metadata_xml"), set_.get("metadata_url")
    certificates = (
        [] if xml is None else [saml_metadata.shown(c) for c in saml_metadata.read(xml.encode()).certificates]
    )
    return told | {
        "entityId": set_.get("entity_id"),
        "metadataUrl": url,
        "metadataXml": xml if url is None else None,
        "certificates": certificates,
        "allowIdpInitiated": bool(set_.get("provider_may_begin")),
        "acsUrl": here,
        "spEntityId": entity_id(here),
        "spMetadataUrl": entity_id(here),
    }


def entity_id(here: str) -> str:
    """What we are called as a service provider: where our metadata are."""
    return f"{here}/metadata"


def cookie_path(provider: Provider) -> str:
    """Where the cookies of its sign-ons are sent."""
    return f"{ROOT}/{provider.id}"


def base_url(services: Services, request: Request) -> str:
    """How browsers reach this gateway. Raises InvalidRequest."""
    if services.config.public_url:
        return services.config.public_url.rstrip("/")
    found = origins.origin(f"{request.url.scheme}://{request.headers.get('host', '')}")
    if found is None:
        raise InvalidRequest("The request has no sound Host header.")
    return found


def single(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Parameters, each at most once: of two, one reader takes the first and another the last. Raises InvalidRequest."""
    told = dict(pairs)
    if len(told) != len(pairs):
        raise InvalidRequest("A parameter is there twice.")
    return told


def form_of(request: Request, raw: bytes) -> list[tuple[str, str]]:
    """The fields of a form. Raises InvalidRequest."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidRequest("A form (application/x-www-form-urlencoded) was due.")
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None


async def read_body(request: Request) -> bytes:
    """The body. Raises BodyTooLarge."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > BODY_MAX:
            raise BodyTooLarge(f"The request body is over {BODY_MAX} bytes.")
    return bytes(raw)


def wrong_method(due: str) -> WrongMethod:
    """What a provider of the other type is told."""
    return WrongMethod(f"{due} was due for this identity provider.", [(b"allow", due.encode())])


def routes(services: Services) -> list[Route]:
    """All of them."""
    of_org, way, domains = ProviderApi(services), SignOnApi(services), DomainApi(services)
    guarded = Admin(services).guarded
    org, one, provider, domain = (
        *("/api/orgs/{org_id}/sso", "/api/orgs/{org_id}/sso/{provider_id}"),
        *(f"{ROOT}/{{provider_id:sso_provider}}", "/admin/sso/domains/{domain}"),
    )
    return [
        Route(org, of_org.member("sso.read", of_org.index), methods=["GET"]),
        Route(org, of_org.member("sso.manage", of_org.create), methods=["POST"]),
        Route(one, of_org.member("sso.read", of_org.read), methods=["GET"]),
        Route(one, of_org.member("sso.manage", of_org.change), methods=["PATCH"]),
        Route(one, of_org.member("sso.manage", of_org.delete), methods=["DELETE"]),
        Route(f"{ROOT}/start", way.start, methods=["POST"]),
        Route(f"{provider}/login", way.shown(way.login), methods=["GET"]),
        Route(f"{provider}/metadata", way.shown(way.metadata), methods=["GET"]),
        Route(provider, way.shown(way.callback), methods=["GET"]),
        Route(provider, way.shown(way.consume), methods=["POST"]),
        Route("/admin/sso/domains", guarded(domains.index), methods=["GET"]),
        Route(domain, guarded(domains.verify), methods=["PUT"]),
        Route(domain, guarded(domains.release), methods=["DELETE"]),
    ]
