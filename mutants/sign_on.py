"""Single sign-on that lets in whom it must not: other domains, other organisations, other browsers, other roles."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

from sqlalchemy import delete, false

from gateway.endpoints import sso
from gateway.endpoints.sso import ProviderApi, SignOnApi
from gateway.orgs import members
from gateway.orgs.members import Members
from gateway.orgs.orgs import Orgs
from gateway.people import emails
from gateway.people.people import People
from gateway.sign_on import attempts, identity, providers, settings
from gateway.sign_on.attempts import Attempt
from gateway.sign_on.identity import Identity
from gateway.sign_on.providers import Provider, Providers
from gateway.storage.tables import sessions, sso_domains, sso_providers
from mutants._patch import around, replace
from mutants.registry import mutant


@mutant()
def sso_any_browser() -> None:
    """The answer to a sign-on counts in whichever browser brings it."""
    begun: dict[str, Attempt] = {}

    @around(attempts, "begin")
    def begin(old: Any, *args: Any) -> Attempt:
        attempt: Attempt = old(*args)
        begun[attempt.id] = attempt
        return attempt

    replace(attempts, "find", lambda _sealer, _cookies, attempt_id, *_rest: begun.get(attempt_id))


@mutant("GD-182")
def sso_any_domain() -> None:
    """A provider vouches for every address."""

    @around(identity, "checked")
    def checked(old: Any, provider: Provider, told: Identity) -> Identity:
        email = emails.normal(told.email)
        found: Identity = old(changed(provider, domain=emails.domain_of(email)) if email else provider, told)
        return found


def route(*conditions: Any) -> None:
    """The provider of a domain is the first one for which these hold."""

    async def of_domain(self: Providers, domain: str) -> Provider | None:
        query = providers._query().where(sso_providers.c.domain == domain, *conditions)
        row = await self._store.read(lambda c: c.execute(query).first())
        return None if row is None else providers._provider(row)

    replace(Providers, "of_domain", of_domain)


@mutant()
def sso_unverified_domain_routed() -> None:
    """Whoever claims a domain is led its addresses."""
    route(sso_providers.c.enabled)


@mutant()
def sso_switched_off_and_routed() -> None:
    """Addresses are led to providers that are switched off."""
    route(sso_domains.c.org_id.is_not(None))


@mutant()
def sso_domain_by_ending() -> None:
    """A domain's provider is that of every domain below it."""

    @around(Providers, "of_domain")
    async def of_domain(old: Any, self: Providers, domain: str) -> Provider | None:
        found: Provider | None = await old(self, domain)
        return found or await old(self, domain.partition(".")[2])


@mutant()
def sso_domain_claimed_twice() -> None:
    """A domain can be claimed that another organisation holds."""
    replace(Providers, "_check_domain", lambda *_args, **_options: None)


@mutant()
def sso_unverified_domain_signs_on() -> None:
    """A provider signs people on before anybody verified its domain."""

    @around(SignOnApi, "_found")
    async def found(old: Any, self: SignOnApi, request: Any) -> Provider:
        provider: Provider = await old(self, request)
        return changed(provider, is_verified=True)


@mutant()
def sso_managed_by_everybody() -> None:
    """Every member manages identity providers."""

    @around(Orgs, "access")
    async def access(old: Any, self: Orgs, actor: Any, org_id: str, action: str) -> Any:
        return await old(self, actor, org_id, "org.read" if action.startswith("sso.") else action)


@mutant()
def sso_shown_to_outsiders() -> None:
    """Who knows the id of a provider reaches it by way of an organisation of their own."""

    @around(ProviderApi, "_of")
    async def of(_old: Any, self: ProviderApi, request: Any, _access: Any) -> Any:
        found = await self._providers.find(request.path_params["provider_id"])
        if found is None:
            raise providers.no_provider(request.path_params["provider_id"])
        return found


@mutant()
def sso_default_role_ignored() -> None:
    """Whoever signs on first is a viewer."""

    @around(Members, "join")
    async def join(old: Any, self: Members, org_id: str, user_id: str, _role: str, actor: Any) -> None:
        await old(self, org_id, user_id, "viewer", actor)


@mutant()
def sso_owner_by_default() -> None:
    """The default role may be the owner's."""

    @around(settings, "role")
    def role(old: Any, value: Any) -> str:
        return "owner" if value == "owner" else str(old(value))


@mutant()
def sso_role_reset() -> None:
    """Every sign-on gives the default role anew."""

    @around(Members, "join")
    async def join(old: Any, self: Members, org_id: str, user_id: str, role: str, actor: Any) -> None:
        await old(self, org_id, user_id, role, actor)
        await self._store.write(lambda connection: members._set_role(connection, org_id, user_id, role))


@mutant("GD-145")
def sso_secret_shown() -> None:
    """The client's secret is shown to whoever may see its provider."""

    @around(ProviderApi, "_view")
    def view(old: Any, self: ProviderApi, request: Any, provider: Provider) -> dict[str, Any]:
        sealed, told = provider.secret, old(self, request, provider)
        secret = None if sealed is None else self._sign_on.sealer.open(provider.secret_purpose, sealed)
        return {**told, "clientSecret": secret}


@mutant("GD-145")
def sso_secret_lost_on_edit() -> None:
    """A change that does not name the client's secret takes it away."""

    @around(settings, "changed")
    def edited(old: Any, services: Any, sealer: Any, provider: Provider, fields: Any) -> Provider:
        after: Provider = old(services, sealer, provider, fields)
        return after if "clientSecret" in fields else changed(after, secret=None)


@mutant()
def sso_sessions_outlive_provider() -> None:
    """Sessions go on when their provider is switched off or deleted."""

    def spared(table: Any) -> Any:
        return delete(table).where(false()) if table is sessions else delete(table)

    replace(providers, "delete", spared)


@mutant()
def sso_returns_anywhere() -> None:
    """After a sign-on the browser goes wherever it was told to."""
    replace(attempts, "own_path", lambda text: text if text.isascii() and text.isprintable() else "/")


@mutant()
def sso_certificate_untold() -> None:
    """Which certificates a provider has is not told."""

    @around(ProviderApi, "_view")
    def view(old: Any, self: ProviderApi, request: Any, provider: Provider) -> dict[str, Any]:
        return {name: value for name, value in old(self, request, provider).items() if name != "certificates"}


@mutant()
def sso_way_is_a_whole_url() -> None:
    """The way to a provider is told with the gateway's own host."""

    @around(sso, "reply")
    def reply(old: Any, content: Any, *rest: Any) -> Any:
        way = content.get("url")
        return old({**content, "url": f"http://localhost{way}"} if way else content, *rest)


@mutant()
def sso_squatter_stays() -> None:
    """Who signed up with an address before it was vouched for keeps password, sessions and keys."""

    @around(People, "vouched")
    async def vouched(old: Any, self: People, email: str, name: str | None) -> Any:
        stored = await self.find(str(emails.normal(email)))
        return await old(self, email, name) if stored is None else await self._user(stored.user_id)


@mutant()
def sso_squatter_doubled() -> None:
    """Who signs on is a new user, though the address is somebody's already."""

    @around(People, "vouched")
    async def vouched(_old: Any, self: People, email: str, name: str | None) -> Any:
        return await self._accounts.create_user(name, email, login=f"{email}.sso", verified=True)
