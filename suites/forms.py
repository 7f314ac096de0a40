"""Forms in pages, as a browser sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

from suites.exchange import Reply
from suites.outcomes import HarnessError

FORM: dict[str, str] = {"content-type": "application/x-www-form-urlencoded"}


@dataclass
class Form:
    """Where it goes, and what its fields hold."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)

    def body(self, **filled: str) -> bytes:
        """The form as it is sent, with what somebody filled in."""
        return urlencode({**self.fields, **filled}).encode()


class _Reader(HTMLParser):
    """Keeps the first form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.form: Form | None = None
        self._is_over = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form" and self.form is None:
            self.form = Form(told.get("action", ""))
        elif tag == "input" and self.form is not None and not self._is_over and told.get("type") == "hidden":
            self.form.fields[told.get("name", "")] = told.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._is_over = self._is_over or tag == "form"


def form_of(page: Reply) -> Form:
    """The first form of a page, its action a whole URL. Raises HarnessError where there is none."""
    reader = _Reader()
    reader.feed(page.raw.decode("utf-8", "replace"))
    if reader.form is None:
        raise HarnessError(f"a page with a form was due; came {page}")
    return Form(urljoin(page.sent.url, reader.form.action), reader.form.fields)
