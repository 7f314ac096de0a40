"""The OpenID Connect provider: an issuer for each tenant, `/__oidc/{tenant}`, and each case, `/__oidc/{tenant}~{case}`.

Source: OpenID Connect Discovery 1.0 section 3, RP-Initiated Logout 1.0 section 2.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from simulator.neighbours import pages
from simulator.neighbours.accounts import Account, Directory
from simulator.neighbours.asked import Answer, Asked, json_answer, page, redirect
from simulator.neighbours.edits import edited
from simulator.neighbours.faults import Faults
from simulator.neighbours.keys import USUAL
from simulator.neighbours.oidc.authorize import Authorize
from simulator.neighbours.oidc.exchange import Exchange
from simulator.neighbours.oidc.grants import SCOPES, Grants
from simulator.neighbours.oidc.tokens import ALGS, jwks
from simulator.neighbours.records import Records
from simulator.neighbours.sessions import Sessions
from simulator.neighbours.sign_ons import Step, short
from simulator.neighbours.visits import Visit

PREFIX: Final = "/__oidc"
WELL_KNOWN: Final = "/.well-known/openid-configuration"
SETTINGS: Final = {"auto": None}
SETTINGS_SCHEMA: Final = {
    "auto": {
        "description": 'Sign this account on without the form; "*": whom login_hint names, else the tenant\'s first.',
        "anyOf": [{"type": "null"}, {"type": "string", "minLength": 1, "maxLength": 200}],
    }
}

Handler = Callable[[Visit], Answer]


class OidcProvider:
    """All tenants of it."""

    def __init__(self, seed: int, directory: Directory, records: Records[Step]) -> None:
        self.faults = Faults("oidc")
        self.settings: dict[str, Any] = dict(SETTINGS)
        self._seed = seed
        self._directory = directory
        self._records = records
        self._sessions = Sessions(seed, "oidcsession", directory)
        self._grants = Grants(seed)
        self._authorize = Authorize(directory, self._sessions, self._grants, self._auto)
        self._exchange = Exchange(seed, directory, self._grants)
        self._routes: dict[str, tuple[str, tuple[str, ...], Handler]] = {
            WELL_KNOWN: ("discovery", ("GET",), self._discovery),
            "/jwks": ("jwks", ("GET",), self._jwks),
            "/authorize": ("authorize", ("GET", "POST"), self._authorize.authorize),
            "/login": ("login", ("POST",), self._authorize.login),
            "/token": ("token", ("POST",), self._exchange.token),
            "/userinfo": ("userinfo", ("GET", "POST"), self._exchange.userinfo),
            "/revoke": ("revoke", ("POST",), self._exchange.revoke),
            "/logout": ("logout", ("GET", "POST"), self._logout),
        }

    def answer(self, asked: Asked) -> Answer:
        """The answer to a request below the prefix."""
        segment, _, rest = asked.path.removeprefix(PREFIX).lstrip("/").partition("/")
        tenant = self._directory.tenant(segment)
        if tenant is None:
            return json_answer({"error": "not_found", "tenants": list(self._directory.tenants)}, 404)
        step, methods, handler = self._routes.get(f"/{rest}", ("", (), self._discovery))
        if not methods:
            return json_answer({"error": "not_found", "paths": list(self._routes)}, 404)
        if asked.method not in methods and not (asked.method == "HEAD" and "GET" in methods):
            return json_answer({"error": "method_not_allowed"}, 405, ("allow", ", ".join(methods)))
        root = f"{asked.site}{PREFIX}/{tenant.segment}"
        visit = Visit(asked, tenant, root, "oidc", step, self.faults, self._records, case=tenant.case)
        return handler(visit)

    def _auto(self, visit: Visit, hint: str) -> Account | None:
        """Who is signed on without the form."""
        wanted = self.settings["auto"]
        if wanted is None:
            return None
        account = visit.tenant.account(hint if wanted == "*" and hint else wanted)
        if account is None and wanted == "*":
            account = visit.tenant.accounts[0]
        return None if account is None or account.disabled else account

    def _discovery(self, visit: Visit) -> Answer:
        root = visit.root
        told: dict[str, Any] = {
            "issuer": root,
            "authorization_endpoint": f"{root}/authorize",
            "token_endpoint": f"{root}/token",
            "userinfo_endpoint": f"{root}/userinfo",
            "jwks_uri": f"{root}/jwks",
            "revocation_endpoint": f"{root}/revoke",
            "end_session_endpoint": f"{root}/logout",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post", "fragment"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(ALGS),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "claims_supported": ["sub", "name", "given_name", "family_name", "email", "email_verified", "groups"],
            "authorization_response_iss_parameter_supported": True,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
        delay_ms = 0.0
        for fault in visit.at("discovery"):
            if "status" in fault.options:
                visit.ended("error")
                return json_answer({"error": "server_error"}, fault["status"])
            if "html" in fault.does:
                visit.ended("html")
                return page(pages.word("Welcome", "Nothing to see here."))
            delay_ms += fault.options.get("delay_ms", 0)
            told = edited(told, fault, {})
        visit.ended("ok")
        return json_answer(told).later(delay_ms)

    def _jwks(self, visit: Visit) -> Answer:
        key = next((str(one.does["key"]) for one in visit.at("keys")), USUAL)
        faults = visit.at("jwks")
        for fault in faults:
            if "status" in fault.options:
                visit.ended("error")
                return json_answer({"error": "server_error"}, fault["status"])
        visit.ended("ok")
        delay_ms = sum(fault.options.get("delay_ms", 0) for fault in faults)
        return json_answer(jwks(self._seed, key, faults)).later(delay_ms)

    def _logout(self, visit: Visit) -> Answer:
        """End the session; back to the client if it may be."""
        asked = visit.asked
        params = asked.told
        session = self._sessions.of(visit)
        visit.of(None if session is None else session.account)
        cookie = self._sessions.end(asked)
        uri = params.get("post_logout_redirect_uri")
        client = self._directory.clients.get(params.get("client_id") or _audience(params.get("id_token_hint", "")))
        visit.detail |= {"client_id": None if client is None else client.id, "redirect_uri": short(uri)}
        if uri is None or client is None or not client.redirects_to(uri):
            visit.ended("ok" if uri is None else "redirect_uri_mismatch")
            return page(
                pages.word("You are signed off", "This window may be closed."), 200 if uri is None else 400, cookie
            )
        visit.ended("ok")
        state = f"{'&' if '?' in uri else '?'}{urlencode({'state': params['state']})}" if "state" in params else ""
        return redirect(f"{uri}{state}", cookie)

    def describe(self, url: str) -> dict[str, Any]:
        """Where the issuers are, and which clients and accounts there are."""
        clients = [
            {"client_id": one.id, "client_secret": one.secret, "id_token_alg": one.id_token_alg, "about": one.about}
            for one in self._directory.clients.values()
        ]
        return {"issuers": [f"{url}{PREFIX}/{name}" for name in self._directory.tenants], "clients": clients}

    def reset(self) -> None:
        """As new."""
        self.faults.remove()
        self.settings = dict(SETTINGS)
        self._sessions.clear()
        self._grants.clear()
        self._authorize.clear()


def _audience(token: str) -> str:
    """The client an ID token was for; it is only a hint, and not verified."""
    try:
        part = token.split(".")[1]
        claims = orjson.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return str(claims["aud"])
    except (IndexError, ValueError, KeyError, TypeError):
        return ""
