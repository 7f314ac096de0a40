"""The authorization endpoint and the sign-on form: who is it, and may the client know.

Source: OpenID Connect Core 1.0 section 3.1.2, RFC 6749 section 4.1, RFC 7636 (PKCE), RFC 9207 (`iss`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from simulator import draws
from simulator.neighbours import pages
from simulator.neighbours.accounts import Account, Client, Directory
from simulator.neighbours.asked import Answer, page, pairs, redirect
from simulator.neighbours.edits import filled
from simulator.neighbours.oidc.grants import SCOPES, Grant, Grants
from simulator.neighbours.sessions import Session, Sessions
from simulator.neighbours.sign_ons import short
from simulator.neighbours.visits import Visit

CHALLENGE: Final = re.compile(r"^[A-Za-z0-9_-]{43}$")
MODES: Final = ("query", "form_post", "fragment")
REMEMBERED: Final = 1000  # last codes, by case and client
NOT_TAKEN: Final = {"request": "request_not_supported", "request_uri": "request_uri_not_supported"}

Auto = Callable[[Visit, str], Account | None]


class Authorize:
    """These two endpoints."""

    def __init__(self, directory: Directory, sessions: Sessions, grants: Grants, auto: Auto) -> None:
        """`auto` gives who is signed on without the form, from the visit and the login hint."""
        self._directory = directory
        self._sessions = sessions
        self._grants = grants
        self._auto = auto
        self._last: OrderedDict[tuple[str | None, str, str], str] = OrderedDict()

    def authorize(self, visit: Visit) -> Answer:
        """GET or POST of a request for a code."""
        params = visit.asked.told
        client, refusal = self._client(visit, params)
        if client is None:
            return refusal
        problem = _problem(params, client)
        if problem is not None:
            return self._failed(visit, params, *problem)
        prompts = set(params.get("prompt", "").split())
        session = self._sessions.of(visit)
        if session is not None and (prompts & {"login", "select_account"} or _too_old(visit, session, params)):
            session = None
        if session is not None:
            return self._granted(visit, client, params, session)
        account = self._auto(visit, params.get("login_hint", ""))
        if account is not None:
            session, cookie = self._sessions.begin(visit, account)
            return self._granted(visit, client, params, session, cookie)
        if "none" in prompts:
            return self._failed(visit, params, "login_required", "Nobody is signed on")
        visit.ended("form")
        return page(self._form(visit, params, params.get("login_hint", "")))

    def login(self, visit: Visit) -> Answer:
        """POST of the form."""
        form = visit.asked.form
        params = pairs(form.get("request", ""))
        client, refusal = self._client(visit, params)
        if client is None:
            return refusal
        problem = _problem(params, client)
        if problem is not None:
            return self._failed(visit, params, *problem)
        login = form.get("username", "")
        account = self._sessions.account(visit, login, form.get("password", ""))
        if account is None:
            visit.of(visit.tenant.account(login))
            visit.ended("wrong_password")
            return page(self._form(visit, params, login, "There is no such account, or its password is another."), 401)
        session, cookie = self._sessions.begin(visit, account)
        return self._granted(visit, client, params, session, cookie)

    def _client(self, visit: Visit, params: Mapping[str, str]) -> tuple[Client | None, Answer]:
        """The client, if it may be answered at all: an unsound redirect_uri is never followed."""
        client = self._directory.clients.get(params.get("client_id", ""))
        uri = params.get("redirect_uri", "")
        visit.detail |= {
            "client_id": short(params.get("client_id")),
            "redirect_uri": short(uri),
            "scope": short(params.get("scope")),
            "prompt": short(params.get("prompt")),
            "state": short(params.get("state")),
            "nonce": short(params.get("nonce")),
            "pkce": "code_challenge" in params,
        }
        if client is not None and client.redirects_to(uri):
            return client, Answer(None)
        visit.ended("unknown_client" if client is None else "redirect_uri_mismatch")
        text = "No client has this client_id." if client is None else "The redirect_uri is not one of the client's."
        return None, page(pages.word("This request cannot be answered", text), 400)

    def _form(self, visit: Visit, params: Mapping[str, str], hint: str, wrong: str = "") -> str:
        action = f"{visit.root.removeprefix(visit.asked.site)}/login"
        return pages.login(visit.tenant, action, {"request": urlencode(params)}, hint, wrong)

    def _granted(
        self, visit: Visit, client: Client, params: Mapping[str, str], session: Session, *headers: tuple[str, str]
    ) -> Answer:
        visit.of(session.account)
        asked = params.get("scope", "").split()
        grant = Grant(
            client,
            session.account,
            visit.tenant.segment,
            visit.case,
            params["redirect_uri"],
            tuple(scope for scope in SCOPES if scope in asked),
            params.get("nonce"),
            params.get("code_challenge"),
            session.signed_on_s,
            session.id,
        )
        key = (visit.case, visit.tenant.name, client.id)
        code = self._last.get(key)
        if code is None or not visit.at("replay"):
            code = self._last[key] = self._grants.codes.put(grant, visit.asked.now_s)
            self._last.move_to_end(key)
            if len(self._last) > REMEMBERED:
                self._last.popitem(last=False)
        return self._back(visit, params, {"code": code}, "ok", headers)

    def _failed(self, visit: Visit, params: Mapping[str, str], error: str, text: str) -> Answer:
        return self._back(visit, params, {"error": error, "error_description": text}, error, ())

    def _back(
        self,
        visit: Visit,
        params: Mapping[str, str],
        told: Mapping[str, str],
        outcome: str,
        headers: tuple[tuple[str, str], ...],
    ) -> Answer:
        """To the client's callback, with what is told, its state and the issuer."""
        fields: dict[str, str | None] = {**told, "state": params.get("state"), "iss": visit.root}
        for fault in visit.at("callback"):
            does = fault.does
            if "refuse" in does:
                outcome = str(fault["error"])
                fields = {k: v for k, v in fields.items() if k != "code"}
                fields = {"error": outcome, "error_description": fault["text"], **fields}
            if does.get("state"):
                fields["state"] = None if does["state"] == "none" else draws.word(24, "state", params.get("state"))
            if "code" in does and "code" in fields:
                fields["code"] = f"code_{draws.word(43, 'invalid', fields['code'])}"
            if "iss" in does:
                fields["iss"] = filled(does["iss"], {})
        visit.ended(outcome)
        told = {name: value for name, value in fields.items() if value is not None}
        uri, mode = params["redirect_uri"], params.get("response_mode", "query")
        if mode == "form_post":
            return page(pages.submitted(uri, told), 200, *headers)
        mark = "#" if mode == "fragment" else "&" if "?" in uri else "?"
        return redirect(f"{uri}{mark}{urlencode(told)}", *headers)

    def clear(self) -> None:
        """Forget the last codes."""
        self._last.clear()


def _problem(params: Mapping[str, str], client: Client) -> tuple[str, str] | None:
    """What is wrong with a request: the error and a sentence."""
    for name, error in NOT_TAKEN.items():
        if name in params:
            return error, f"{name} is not taken"
    if params.get("response_type") != "code":
        return "unsupported_response_type", "response_type must be code"
    if params.get("response_mode", "query") not in MODES:
        return "invalid_request", f"response_mode must be one of {', '.join(MODES)}"
    if "openid" not in params.get("scope", "").split():
        return "invalid_scope", "scope must hold openid"
    challenge = params.get("code_challenge")
    if challenge is not None and params.get("code_challenge_method") != "S256":
        return "invalid_request", "code_challenge_method must be S256"
    if challenge is not None and not CHALLENGE.match(challenge):
        return "invalid_request", "code_challenge must be 43 characters of base64url"
    if challenge is None and client.secret is None:
        return "invalid_request", "a public client must use PKCE"
    prompts = params.get("prompt", "").split()
    if "none" in prompts and len(prompts) > 1:
        return "invalid_request", "prompt none stands alone"
    if not params.get("max_age", "0").isdecimal():
        return "invalid_request", "max_age must be a whole number of seconds"
    return None


def _too_old(visit: Visit, session: Session, params: Mapping[str, str]) -> bool:
    age_s = visit.asked.now_s - session.signed_on_s
    return "max_age" in params and age_s > int(params["max_age"][:12])
