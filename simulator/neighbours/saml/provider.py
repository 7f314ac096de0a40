"""The SAML identity provider: an entity for each tenant, `/__saml/{tenant}`, and each case, `/__saml/{tenant}~{case}`.

Source: SAML 2.0 Profiles sections 4.1 (web browser SSO) and 4.4 (single logout), Metadata section 2.
"""

from __future__ import annotations

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from simulator import draws
from simulator.neighbours import pages
from simulator.neighbours.accounts import Account, Directory
from simulator.neighbours.asked import Answer, Asked, json_answer, page, redirect
from simulator.neighbours.faults import Faults
from simulator.neighbours.keys import USUAL, certificate, rsa_key
from simulator.neighbours.records import Records
from simulator.neighbours.saml import requests, responses
from simulator.neighbours.saml.issue import Issuer
from simulator.neighbours.saml.metadata import metadata
from simulator.neighbours.saml.requests import Request
from simulator.neighbours.saml.signing import bare, signed_query
from simulator.neighbours.saml.xml import Unreadable, is_xml
from simulator.neighbours.sessions import Session, Sessions
from simulator.neighbours.sign_ons import Step, short
from simulator.neighbours.visits import Visit

PREFIX: Final = "/__saml"
REMEMBERED: Final = 1000  # last responses, by case and service provider
RESPONSE_BYTES_MAX: Final = 256 << 10  # of a response that is remembered
SETTINGS: Final[dict[str, Any]] = {"auto": None, "sign": "both", "service_providers": []}
TEXT: Final = {"type": "string", "pattern": "^[!-~]+$", "maxLength": 1000}
SETTINGS_SCHEMA: Final = {
    "auto": {
        "description": "Sign this account on without the form.",
        "anyOf": [{"type": "null"}, {"type": "string", "minLength": 1, "maxLength": 200}],
    },
    "sign": {"description": "What of a response is signed.", "enum": ["response", "assertion", "both"]},
    "service_providers": {
        "description": "What metadata would tell of them: where responses go by default, and answers to a logout.",
        "type": "array",
        "maxItems": 100,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["entity_id"],
            "properties": {"entity_id": TEXT, "acs_url": TEXT, "slo_url": TEXT},
        },
    },
}

Handler = Callable[[Visit], Answer]


class SamlProvider:
    """All tenants of it."""

    def __init__(self, seed: int, directory: Directory, records: Records[Step]) -> None:
        self.faults = Faults("saml")
        self.settings = dict(SETTINGS)
        self._seed = seed
        self._directory = directory
        self._records = records
        self._sessions = Sessions(seed, "samlsession", directory)
        self._issuer = Issuer(seed)
        self._last: OrderedDict[tuple[str | None, str, str], bytes] = OrderedDict()
        self._routes: dict[str, tuple[str, tuple[str, ...], Handler]] = {
            "/metadata": ("metadata", ("GET",), self._metadata),
            "/sso": ("sso", ("GET", "POST"), self._sso),
            "/start": ("start", ("GET",), self._start),
            "/login": ("login", ("POST",), self._login),
            "/slo": ("slo", ("GET", "POST"), self._slo),
        }

    def answer(self, asked: Asked) -> Answer:
        """The answer to a request below the prefix."""
        segment, _, rest = asked.path.removeprefix(PREFIX).lstrip("/").partition("/")
        tenant = self._directory.tenant(segment)
        if tenant is None:
            return json_answer({"error": "not_found", "tenants": list(self._directory.tenants)}, 404)
        step, methods, handler = self._routes.get(f"/{rest}", ("", (), self._metadata))
        if not methods:
            return json_answer({"error": "not_found", "paths": list(self._routes)}, 404)
        if asked.method not in methods and not (asked.method == "HEAD" and "GET" in methods):
            return json_answer({"error": "method_not_allowed"}, 405, ("allow", ", ".join(methods)))
        root = f"{asked.site}{PREFIX}/{tenant.segment}"
        visit = Visit(asked, tenant, root, "saml", step, self.faults, self._records, case=tenant.case)
        return handler(visit)

    def _metadata(self, visit: Visit) -> Answer:
        delay_ms = 0.0
        for fault in visit.at("metadata"):
            if "status" in fault.options:
                visit.ended("error")
                return json_answer({"error": "server_error"}, fault["status"])
            delay_ms += fault.options.get("delay_ms", 0)
        key = next((str(one.does["key"]) for one in visit.at("keys")), USUAL)
        cert = certificate(self._seed, key, f"{visit.tenant.name}.example", expired=bool(visit.at("certificate")))
        visit.ended("ok")
        headers = (("content-type", "application/samlmetadata+xml"),)
        return Answer(200, headers, metadata(visit.root, visit.tenant.title, bare(cert)), delay_ms)

    # --- sign-on ------------------------------------------------------------------------------------------------------

    def _sso(self, visit: Visit) -> Answer:
        """Begun by the service provider."""
        try:
            wanted = requests.read(visit.asked, "AuthnRequest")
        except Unreadable as error:
            return self._unreadable(visit, error)
        return self._wanted(visit, wanted, dict(visit.asked.told) | {"binding": visit.asked.method})

    def _start(self, visit: Visit) -> Answer:
        """Begun by the provider: `sp` is the service provider's entity, `acs` where its response goes."""
        wanted = self._unasked(visit.asked.params)
        return self._wanted(visit, wanted, {**visit.asked.params, "begun": "idp"})

    @staticmethod
    def _unasked(params: Mapping[str, str]) -> Request:
        """What the link to a sign-on says that no service provider asked for."""
        issuer, acs_url = params.get("sp", ""), params.get("acs") or None
        return Request("", issuer if is_xml(issuer) else "", None, params.get("relay_state"), False, acs_url)

    def _wanted(self, visit: Visit, wanted: Request, carried: dict[str, str]) -> Answer:
        """A sign-on that somebody wants: the form, or a response at once when the browser is known."""
        refusal = self._refused(visit, wanted)
        if refusal is not None:
            return refusal
        session = None if wanted.force else self._sessions.of(visit)
        if session is not None:
            return self._respond(visit, wanted, session)
        account = self._auto(visit)
        if account is not None:
            session, cookie = self._sessions.begin(visit, account)
            return self._respond(visit, wanted, session, cookie)
        if wanted.passive:
            made = self._issuer.failure(visit, wanted, self._acs(wanted), ["Responder", "NoPassive"])
            return self._sent(visit, wanted, made, "NoPassive")
        visit.ended("form")
        return page(self._form(visit, carried))

    def _login(self, visit: Visit) -> Answer:
        """POST of the form, which carries along what began it."""
        form = visit.asked.form
        carried = {name: value for name, value in form.items() if name not in ("username", "password")}
        try:
            wanted = (
                self._unasked(carried)
                if carried.get("begun") == "idp"
                else requests.read(visit.asked, "AuthnRequest", carried)
            )
        except Unreadable as error:
            return self._unreadable(visit, error)
        refusal = self._refused(visit, wanted)
        if refusal is not None:
            return refusal
        login = form.get("username", "")
        account = self._sessions.account(visit, login, form.get("password", ""))
        if account is None:
            visit.of(visit.tenant.account(login))
            visit.ended("wrong_password")
            wrong = "There is no such account, or its password is another."
            return page(self._form(visit, carried, login, wrong), 401)
        session, cookie = self._sessions.begin(visit, account)
        return self._respond(visit, wanted, session, cookie)

    def _form(self, visit: Visit, carried: dict[str, str], hint: str = "", wrong: str = "") -> str:
        action = f"{visit.root.removeprefix(visit.asked.site)}/login"
        return pages.login(visit.tenant, action, carried, hint, wrong)

    def _auto(self, visit: Visit) -> Account | None:
        wanted = self.settings["auto"]
        account = visit.tenant.account(wanted) if wanted else None
        return None if account is None or account.disabled else account

    def _acs(self, wanted: Request) -> str:
        """Where the response goes; empty when nobody said."""
        return wanted.acs_url or self._known(wanted, "acs_url") or ""

    def _known(self, wanted: Request, name: str) -> str | None:
        """What the settings tell of a service provider."""
        rows = [row for row in self.settings["service_providers"] if row["entity_id"] == wanted.issuer]
        return rows[0].get(name) if rows else None

    def _refused(self, visit: Visit, wanted: Request) -> Answer | None:
        """A request that must not be answered with a response: a page says why."""
        acs_url = self._acs(wanted)
        visit.detail |= {
            "request_id": wanted.id or None,
            "service_provider": short(wanted.issuer),
            "acs_url": short(acs_url),
            "relay_state": short(wanted.relay_state),
            "request_signed": wanted.is_signed,
        }
        due = f"{visit.root}/sso"
        text = ""
        if not wanted.issuer or not acs_url or not self._directory.takes_responses(acs_url):
            text = "Nobody said which service provider it is for, and where its response may go."
        elif wanted.binding not in (None, "HTTP-POST"):
            text = "A response can only be had by the HTTP-POST binding."
        elif wanted.destination not in (None, due):
            text = f"The request is for {wanted.destination}; this is {due}."
        if not text:
            return None
        visit.ended("refused")
        return page(pages.word("This request cannot be answered", text), 400)

    def _respond(self, visit: Visit, wanted: Request, session: Session, *headers: tuple[str, str]) -> Answer:
        visit.of(session.account)
        acs_url = self._acs(wanted)
        for fault in visit.at("status"):
            codes = fault.does["status"]
            return self._sent(visit, wanted, self._issuer.failure(visit, wanted, acs_url, codes), codes[-1], *headers)
        key = (visit.case, visit.tenant.name, wanted.issuer)
        made = self._last.get(key)
        if made is None or not visit.at("replay"):
            made = self._issuer.response(visit, wanted, acs_url, session, self.settings["sign"])
            if len(made) <= RESPONSE_BYTES_MAX:
                self._last[key] = made
                self._last.move_to_end(key)
            if len(self._last) > REMEMBERED:
                self._last.popitem(last=False)
        return self._sent(visit, wanted, made, "ok", *headers)

    def _sent(self, visit: Visit, wanted: Request, made: bytes, outcome: str, *headers: tuple[str, str]) -> Answer:
        """The form that posts a response to the service provider."""
        coded = b64encode(made).decode()
        visit.detail["response"] = made.decode("utf-8", "replace")
        visit.ended(outcome)
        fields = {"SAMLResponse": coded}
        if wanted.relay_state is not None:
            fields["RelayState"] = wanted.relay_state
        return page(pages.submitted(self._acs(wanted), fields), 200, *headers)

    # --- logout -------------------------------------------------------------------------------------------------------

    def _slo(self, visit: Visit) -> Answer:
        """A LogoutRequest: the session ends; the answer goes to the service provider if it is known where to."""
        try:
            wanted = requests.read(visit.asked, "LogoutRequest")
        except Unreadable as error:
            return self._unreadable(visit, error)
        session = self._sessions.of(visit)
        account = visit.tenant.account(wanted.name_id or "") or (None if session is None else session.account)
        visit.of(account)
        cookie = self._sessions.end(visit.asked)
        if account is not None:
            self._sessions.end_of(account, wanted.session)
        slo_url = self._known(wanted, "slo_url")
        visit.detail |= {"request_id": wanted.id, "service_provider": short(wanted.issuer), "slo_url": slo_url}
        visit.ended("ok")
        if slo_url is None:
            return page(pages.word("You are signed off", "This window may be closed."), 200, cookie)
        response_id = f"_{draws.digest(self._seed, 'slo', wanted.id, visit.asked.now_ms).hex()}"
        issuer = f"{visit.root}/metadata"
        made = responses.logout_response(response_id, issuer, slo_url, wanted.id, visit.asked.now_s)
        query = signed_query("SAMLResponse", made, wanted.relay_state, rsa_key(self._seed, USUAL))
        return redirect(f"{slo_url}{'&' if '?' in slo_url else '?'}{query}", cookie)

    @staticmethod
    def _unreadable(visit: Visit, error: Unreadable) -> Answer:
        visit.ended("unreadable")
        text = f"{str(error)[:300].capitalize()}."
        return page(pages.word("This request cannot be answered", text), 400)

    def describe(self, url: str) -> dict[str, Any]:
        """Where the metadata are."""
        return {"metadata": [f"{url}{PREFIX}/{name}/metadata" for name in self._directory.tenants]}

    def reset(self) -> None:
        """As new."""
        self.faults.remove()
        self.settings = dict(SETTINGS)
        self._sessions.clear()
        self._last.clear()
