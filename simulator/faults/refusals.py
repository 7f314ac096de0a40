"""Refusals under another status than one would think, and pages in the place of refusals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from simulator.draws import digest
from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.body import phrase
from simulator.faults.payloads import Json
from simulator.problem import Problem
from simulator.script import Frame, Script

REFUSE: Final = "always: refuse every request so; never: only change what is refused anyway"


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaAsOtherStatus(Fault):
    """Be out of money under another status than the wire's own, in the wire's own words."""

    kind: ClassVar[str] = "quota_as_other_status"
    seen_at: ClassVar[str] = "400: Anthropic; 402: DeepSeek, MiniMax; 403: Kimi; 429: OpenAI, GLM (code 1113)"
    still: ClassVar[bool] = True
    status: int = options.whole(402, low=400, high=599, about="the HTTP status")
    message: str | None = options.text(None, about="replaces the native sentence, e.g. 'Insufficient Balance'")
    code: str | None = options.text(None, about="replaces the native code, e.g. 1113")

    def problem(self, _: Scene) -> Problem:
        return Problem("insufficient_quota", self.message, code=self.code, status=self.status)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class AuthAs400(Fault):
    """Refuse a key with status 400."""

    kind: ClassVar[str] = "auth_as_400"
    seen_at: ClassVar[str] = "Gemini"
    still: ClassVar[bool] = True
    refuse: str = options.one_of("always", ("always", "never"), about=REFUSE)

    def problem(self, _: Scene) -> Problem | None:
        return Problem("authentication", status=400) if self.refuse == "always" else None

    def script(self, script: Script, _: Scene) -> Script:
        return replace(script, status=400) if script.status == 401 else script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadAs429(Fault):
    """Say with status 429 that the server, not the caller, is over its limit."""

    kind: ClassVar[str] = "overload_as_429"
    seen_at: ClassVar[str] = "Kimi (engine_overloaded_error)"
    still: ClassVar[bool] = True

    def problem(self, _: Scene) -> Problem:
        return Problem("overloaded", status=429)

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.edit(script, _overloaded) if script.status == 429 else script


def _overloaded(found: Json) -> bool:
    """Name the overload in the error's type."""
    error = found.get("error")
    if not isinstance(error, dict) or "type" not in error:
        return False
    error["type"] = "overloaded_error" if found.get("type") == "error" else "engine_overloaded_error"
    return True


CLOUDFLARE: Final = {
    520: "Web server is returning an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    523: "Origin is unreachable",
    524: "A timeout occurred",
    525: "SSL handshake failed",
}
PLAIN_PAGE: Final = """<html>\r
<head><title>{status} {phrase}</title></head>\r
<body>\r
<center><h1>{status} {phrase}</h1></center>\r
<hr><center>{server}</center>\r
</body>\r
</html>\r
"""
CLOUDFLARE_PAGE: Final = """<!DOCTYPE html>
<html lang="en-US">
<head><title>api.fleet.invalid | {status}: {phrase}</title><meta charset="UTF-8" /></head>
<body>
<div id="cf-wrapper"><div id="cf-error-details">
<h1><span>{phrase}</span><span>Error code {status}</span></h1>
<p>Cloudflare Ray ID: <strong>{ray}</strong></p>
</div></div>
</body>
</html>
"""


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlErrorPage(Fault):
    """Refuse with the HTML page of the network in front of the provider."""

    kind: ClassVar[str] = "html_error_page"
    seen_at: ClassVar[str] = (
        "OpenAI, Ollama's registry (524); https://github.com/Significant-Gravitas/AutoGPT/issues/944"
    )
    still: ClassVar[bool] = True
    status: int = options.whole(502, low=400, high=599, about="the HTTP status; 520 to 525 are Cloudflare's own")
    server: str = options.one_of("cloudflare", ("cloudflare", "nginx"), about="whose page it is")

    def script(self, script: Script, scene: Scene) -> Script:
        ray = digest("ray", scene.serving.seed).hex()[:16]
        form = CLOUDFLARE_PAGE if self.server == "cloudflare" and self.status in CLOUDFLARE else PLAIN_PAGE
        words = CLOUDFLARE.get(self.status) or phrase(self.status)
        html = form.format(status=self.status, phrase=words, server=self.server, ray=ray)
        content_type = "text/html; charset=UTF-8" if self.server == "cloudflare" else "text/html"
        headers: tuple[tuple[str, str], ...] = (("server", self.server), ("content-type", content_type))
        if self.server == "cloudflare":
            headers = (*headers, ("cf-ray", f"{ray}-IAD"))
        return page(script, self.status, headers, html)


def page(script: Script, status: int, headers: tuple[tuple[str, str], ...], html: str) -> Script:
    """A page in the place of a reply, when that would have begun."""
    frame = Frame(html.encode(), "body", due_ms=script.head_due_ms or 0.0)
    return replace(script, status=status, headers=headers, frames=(frame,), stream=False)


PAGES: Final = {
    "login": """<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><form method="post" action="/login"><input name="user"><input name="password" type="password"></form></body>
</html>
""",
    "challenge": """<!DOCTYPE html>
<html><head><title>Just a moment...</title></head>
<body><noscript>Enable JavaScript and cookies to continue</noscript></body></html>
""",
}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Html200(Fault):
    """Answer with an HTML page and status 200: a login, or a challenge to browsers."""

    kind: ClassVar[str] = "html_200"
    seen_at: ClassVar[str] = "synthetic"
    still: ClassVar[bool] = True
    page: str = options.one_of("login", tuple(PAGES), about="which page")

    def script(self, script: Script, _: Scene) -> Script:
        return page(script, 200, (("content-type", "text/html; charset=utf-8"),), PAGES[self.page])
