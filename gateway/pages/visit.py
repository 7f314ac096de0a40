"""One visit to a page: who is there, whether their form is theirs, and the answer in its frame.

Every form bears a CSRF token: that of the session or, before there is one, that of a cookie of its own. What is told
after a redirect, a new key's secret above all, is kept by the browser for one look, sealed with its own cookie's value.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from hmac import compare_digest, new
from http.cookies import Morsel
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from gateway import edge
from gateway.endpoints import sso
from gateway.errors import NoAccess, Unauthenticated
from gateway.orgs import permissions
from gateway.orgs.orgs import Org
from gateway.pages import figures, forms
from gateway.pages.forms import Problem
from gateway.people import door
from gateway.people.door import Caller
from gateway.sealing import Sealer
from gateway.sign_on.attempts import own_path

if TYPE_CHECKING:
    from gateway.services import Services

HERE: Final = Path(__file__).parent
STATIC: Final = {"style.css": "text/css", "script.js": "text/javascript", "mark.svg": "image/svg+xml"}
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",  # with no-referrer browsers post forms with `Origin: null`
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
BROWSER: Final = "windtunnel_browser"
NOTE: Final = "windtunnel_note"
NOTE_LIFE_S: Final = 300
NOTE_PURPOSE: Final = "note"
NOTE_MAX: Final = 3000  # characters of its cookie
TOKEN_LENGTH: Final = 43
HOME: Final = "/usage"


class Visit:
    """A request to a page, and what its answer is made of."""

    def __init__(self, services: Services, request: Request, caller: Caller | None) -> None:
        self.services = services
        self.request = request
        self.caller = caller
        self._cookies: list[str] = []
        known = self._cookie_of(BROWSER)
        self._browser = known or edge.token(TOKEN_LENGTH)
        if caller is None and known is None:
            self._set_cookie(BROWSER, self._browser, None)

    @classmethod
    async def of(cls, services: Services, request: Request) -> Visit:
        """The visit that a request is."""
        return cls(services, request, await door.session_of(services, request))

    @property
    def me(self) -> Caller:
        """Who is signed in. Raises Unauthenticated."""
        if self.caller is None:
            raise Unauthenticated("Sign in first.")
        return self.caller

    @property
    def csrf(self) -> str:
        """The token of this visit's forms."""
        if self.caller is not None:
            return self.caller.session.csrf_token
        made = new(self._browser.encode(), b"windtunnel form", sha256).digest()
        return urlsafe_b64encode(made).decode().rstrip("=")

    @property
    def address(self) -> Any:
        """Where the visitor comes from."""
        return door.address_of(self.services, self.request)

    async def form(self) -> dict[str, str]:
        """The fields of the form, which one of our pages must have sent. Raises InvalidRequest, NoAccess."""
        door.check_origin(self.services, self.request)
        values = sso.single(sso.form_of(self.request, await sso.read_body(self.request)))
        sent = values.pop("csrf", "").encode("utf-8", "surrogateescape")
        if not compare_digest(sent, self.csrf.encode()):
            raise NoAccess("The form is not from this session. Go back, reload the page and send it again.")
        return values

    async def orgs(self) -> list[tuple[Org, str]]:
        """The visitor's organisations, and their role in each."""
        return await self.services.orgs.of(self.me.user.id)

    def page(self, template: str, status: int = 200, **told: Any) -> Response:
        """A page. `problem` in `told` gives the status."""
        found: Problem = told.setdefault("problem", forms.NONE)
        note = None if found is not forms.NONE else self._take_note()
        now_ms = self.services.clock.now_ms()
        html = (
            environment()
            .get_template(template)
            .render(visit=self, caller=self.caller, note=note, now_ms=now_ms, **{"org": None, "orgs": [], **told})
        )
        response = Response(html, status if found is forms.NONE else found.status, HEADERS, "text/html")
        return self._with_cookies(response)

    def go(self, path: str, text: str = "", **more: str) -> Response:
        """On to another page of ours, where `text` is said once. `more`: a `secret`, and what it is `called`."""
        if text:
            told = {"text": text[:500], "at_s": self.services.clock.now_s(), "secret": "", "called": "", **more}
            self._set_cookie(NOTE, self._sealer().seal(NOTE_PURPOSE, orjson.dumps(told).decode()), NOTE_LIFE_S)
        return self._with_cookies(Response(status_code=303, headers={**HEADERS, "location": path}))

    def add_cookie(self, header: str) -> None:
        """A `Set-Cookie` of somebody else's."""
        self._cookies.append(header)

    def next(self, text: str) -> str:
        """Where to go after signing in: a path of ours."""
        path = own_path(text)
        return HOME if path == "/" else path

    def _take_note(self) -> Mapping[str, Any] | None:
        """What is to be said once; the browser forgets it with this answer."""
        sealed = self._cookie_of(NOTE)
        if sealed is None:
            return None
        self._set_cookie(NOTE, "", 0)
        opened = self._sealer().open(NOTE_PURPOSE, sealed) if len(sealed) <= NOTE_MAX else None
        note: Mapping[str, Any] = orjson.loads(opened) if opened else {}
        fresh = note and 0 <= self.services.clock.now_s() - note["at_s"] <= NOTE_LIFE_S
        return note if fresh else None

    def _sealer(self) -> Sealer:
        """Bound to the browser: a note of another session cannot be opened."""
        return Sealer((self._browser if self.caller is None else self.caller.session.token).encode())

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self.services.sessions.secure else name

    def _cookie_of(self, name: str) -> str | None:
        start = self._name(name) + "="
        header = "; ".join(self.request.headers.getlist("cookie"))
        found = [part.strip().removeprefix(start) for part in header.split(";") if part.strip().startswith(start)]
        return found[0] if len(found) == 1 and found[0] else None

    def _set_cookie(self, name: str, value: str, life_s: int | None) -> None:
        made: Morsel[str] = Morsel()
        made.set(self._name(name), value, value)
        made["path"], made["samesite"], made["httponly"] = "/", "Lax", "1"
        if life_s is not None:
            made["max-age"] = str(life_s)
        if self.services.sessions.secure:
            made["secure"] = "1"
        self._cookies.append(made.OutputString())

    def _with_cookies(self, response: Response) -> Response:
        for cookie in self._cookies:
            response.headers.append("set-cookie", cookie)
        return response


@cache
def static(name: str) -> tuple[bytes, str]:
    """One of our files, and the version that its address has."""
    data = (HERE / "static" / name).read_bytes()
    return data, sha256(data).hexdigest()[:16]


def static_path(name: str) -> str:
    """Where browsers find it; another version is another address."""
    return f"/static/{name}?v={static(name)[1]}"


@cache
def environment() -> Environment:
    """The templates. Everything in them is escaped; a name that is not there is a bug of ours."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    made.filters |= {
        name: getattr(figures, name) for name in ("credits", "column", "usd", "number", "duration", "when", "ago")
    }
    made.globals |= {"static": static_path, "may": permissions.table().allows, "roles": permissions.table().roles}
    return made
