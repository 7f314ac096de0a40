"""The token endpoint, and what tokens are good for: userinfo and revocation.

Source: RFC 6749 sections 2.3, 4.1.3, 5 and 6; RFC 7636 section 4.6; RFC 6750; RFC 7009; OpenID Connect Core 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final

from simulator.neighbours import pages
from simulator.neighbours.accounts import Client, Directory
from simulator.neighbours.asked import NO_STORE, Answer, json_answer, page
from simulator.neighbours.edits import edited
from simulator.neighbours.keys import USUAL, b64url
from simulator.neighbours.oidc.grants import ACCESS_S, Grant, Grants, Refresh, about
from simulator.neighbours.oidc.tokens import half_hash, id_token
from simulator.neighbours.sign_ons import short
from simulator.neighbours.visits import Visit
from simulator.script import Ending

VERIFIER: Final = re.compile(r"^[A-Za-z0-9._~-]{43,128}$")
ID_TOKEN_S: Final = 3600


class Refused(Exception):
    """A token request that fails."""

    def __init__(self, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.error = error
        self.status = status

    def answer(self, visit: Visit) -> Answer:
        """The error as RFC 6749 section 5.2 has it."""
        visit.ended(self.error)
        headers = [NO_STORE]
        if self.status == 401:
            headers.append(("www-authenticate", f'Basic realm="{visit.tenant.segment}"'))
        return json_answer({"error": self.error, "error_description": str(self)}, self.status, *headers)


class Exchange:
    """These endpoints."""

    def __init__(self, seed: int, directory: Directory, grants: Grants) -> None:
        self._seed = seed
        self._directory = directory
        self._grants = grants

    def token(self, visit: Visit) -> Answer:
        """POST of a code or a refresh token."""
        try:
            client = self._client(visit)
            form = visit.asked.form
            match form.get("grant_type"):
                case "authorization_code":
                    grant = self._by_code(visit, client, form)
                    nonce = grant.nonce
                case "refresh_token":
                    visit.step = "refresh"
                    grant = self._by_refresh(visit, client, form)
                    nonce = None
                case _:
                    raise Refused("unsupported_grant_type", "grant_type is authorization_code or refresh_token")
        except Refused as refused:
            return refused.answer(visit)
        return self._given(visit, grant, nonce)

    def _client(self, visit: Visit) -> Client:
        """Who asks, by HTTP Basic, by the form, or by name alone. Raises Refused."""
        form, basic = visit.asked.form, visit.asked.basic
        name, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
        method = "client_secret_basic" if basic else "none" if secret is None else "client_secret_post"
        visit.detail |= {
            "client_id": short(name),
            "client_auth": method,
            "grant_type": short(form.get("grant_type")),
            "pkce": "code_verifier" in form,
        }
        if basic is not None and "client_secret" in form:
            raise Refused("invalid_request", "A client proves itself in one way, not in two")
        client = self._directory.clients.get(name)
        if client is None or not client.proves(secret):
            raise Refused("invalid_client", "No such client, or its secret is another", 401)
        return client

    def _by_code(self, visit: Visit, client: Client, form: Mapping[str, str]) -> Grant:
        grant = self._grants.codes.get(form.get("code"), visit.asked.now_s)
        if grant is None or grant.tenant != visit.tenant.segment:
            raise Refused("invalid_grant", "The code is unknown or has expired")
        self._belongs(visit, grant)
        if grant.redeemed:
            grant.revoked = True
            raise Refused("invalid_grant", "The code was redeemed before; its tokens are revoked")
        if grant.client.id != client.id:
            raise Refused("invalid_grant", "The code was given to another client")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise Refused("invalid_grant", "The redirect_uri is not the one of the authorization request")
        verifier = form.get("code_verifier")
        if (verifier is None) != (grant.challenge is None):
            raise Refused("invalid_grant", "code_verifier and code_challenge come together or not at all")
        if verifier is not None and grant.challenge is not None and not _proves(verifier, grant.challenge):
            raise Refused("invalid_grant", "The code_verifier does not match the code_challenge")
        grant.redeemed = True
        return grant

    def _by_refresh(self, visit: Visit, client: Client, form: Mapping[str, str]) -> Grant:
        found = self._grants.refresh.get(form.get("refresh_token"), visit.asked.now_s)
        if found is None or found.grant.tenant != visit.tenant.segment or found.grant.client.id != client.id:
            raise Refused("invalid_grant", "The refresh token is unknown or has expired")
        grant = found.grant
        self._belongs(visit, grant)
        if found.spent:
            grant.revoked = True
        if grant.revoked:
            raise Refused("invalid_grant", "The refresh token was used before, or revoked")
        if not set(form.get("scope", "").split()) <= set(grant.scopes):
            raise Refused("invalid_scope", "scope goes beyond what the user allowed")
        found.spent = True
        return grant

    @staticmethod
    def _belongs(visit: Visit, grant: Grant) -> None:
        visit.case = grant.case
        visit.of(grant.account)

    def _given(self, visit: Visit, grant: Grant, nonce: str | None) -> Answer:
        """Tokens for a grant, unless a fault has it otherwise."""
        delay_ms, dropped = 0.0, set()
        for fault in visit.at("token"):
            does = fault.does
            if "hang" in does:
                visit.ended("hang")
                return Answer(None, ending=Ending.STALL)
            if "html" in does:
                visit.ended("html")
                return page(pages.word("Welcome", "You are signed on."))
            if "status" in fault.options:
                error = fault.options.get("error", "server_error")
                return Refused(error, "The provider refuses on purpose", fault["status"]).answer(visit)
            delay_ms += fault.options.get("delay_ms", 0)
            dropped |= set(does.get("drop", ()))
        now_s = visit.asked.now_s
        told: dict[str, Any] = {
            "access_token": self._grants.access.put(grant, now_s),
            "token_type": "Bearer",
            "expires_in": ACCESS_S,
            "scope": " ".join(grant.scopes),
        }
        if "offline_access" in grant.scopes:
            told["refresh_token"] = self._grants.refresh.put(Refresh(grant), now_s)
        told["id_token"] = self._id_token(visit, grant, nonce, told["access_token"])
        visit.detail["id_token"] = told["id_token"]
        visit.ended("ok")
        told = {name: value for name, value in told.items() if name not in dropped}
        return json_answer(told, 200, NO_STORE).later(delay_ms)

    def _id_token(self, visit: Visit, grant: Grant, nonce: str | None, access_token: str) -> str:
        now_s, client = visit.asked.now_s, grant.client
        claims = {
            "iss": visit.root,
            "aud": client.id,
            "iat": now_s,
            "exp": now_s + ID_TOKEN_S,
            "auth_time": grant.signed_on_s,
            "at_hash": half_hash(access_token),
            "sid": grant.session,
            **about(grant),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        key = next((str(one.does["key"]) for one in visit.at("keys")), USUAL)
        names = {"issuer": visit.root, "client": client.id, "site": visit.asked.site, "case": visit.case or "oidc"}
        return id_token(self._seed, key, client.id_token_alg, claims, visit.at("id_token"), names)

    def userinfo(self, visit: Visit) -> Answer:
        """GET or POST with a bearer token."""
        asked = visit.asked
        grant = self._grants.access.get(asked.bearer or asked.form.get("access_token"), asked.now_s)
        if grant is None or grant.revoked or grant.tenant != visit.tenant.segment:
            visit.ended("invalid_token")
            challenge = 'Bearer error="invalid_token", error_description="The access token is unknown or has expired"'
            return json_answer({"error": "invalid_token"}, 401, ("www-authenticate", challenge))
        self._belongs(visit, grant)
        claims = about(grant)
        for fault in visit.at("userinfo"):
            if "status" in fault.options:
                visit.ended("error")
                return json_answer({"error": "server_error"}, fault["status"])
            claims = edited(claims, fault, {})
        visit.ended("ok")
        return json_answer(claims, 200, NO_STORE)

    def revoke(self, visit: Visit) -> Answer:
        """POST of a token: it and all that come of the same sign-on end. An unknown one is no error (RFC 7009)."""
        try:
            client = self._client(visit)
        except Refused as refused:
            return refused.answer(visit)
        token, now_s = visit.asked.form.get("token"), visit.asked.now_s
        refresh = self._grants.refresh.get(token, now_s)
        grant = refresh.grant if refresh is not None else self._grants.access.get(token, now_s)
        if grant is not None and grant.client.id == client.id:
            self._belongs(visit, grant)
            grant.revoked = True
        visit.ended("ok")
        return Answer(200, (NO_STORE,))


def _proves(verifier: str, challenge: str) -> bool:
    """RFC 7636 section 4.6, S256."""
    made = b64url(sha256(verifier.encode()).digest())
    return bool(VERIFIER.match(verifier)) and compare_digest(made, challenge)
