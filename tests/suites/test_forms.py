"""Forms in pages: the first one counts, with its hidden fields, and its action becomes a whole URL."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from suites.exchange import Reply, Sent
from suites.forms import form_of
from suites.outcomes import HarnessError

PAGE = """<form method="post" action="../go?a=1&amp;b=2"><input type="hidden" name="state" value="&lt;x&gt;&quot;">
<input name="username"><input type="hidden" name="empty"></form>
<form action="/other"><input type="hidden" name="stray" value="1"></form>"""


def page(text: str) -> Reply:
    """A page at https://idp.example/a/b."""
    reply = Reply(Sent("GET", "https://idp.example/a/b", {}, b""), 200, CIMultiDictProxy(CIMultiDict()), 0.0, 0.0)
    reply.reader.feed(text.encode(), 1.0)
    return reply


def test_the_first_form() -> None:
    form = form_of(page(PAGE))
    assert form.action == "https://idp.example/go?a=1&b=2"
    assert form.fields == {"state": '<x>"', "empty": ""}
    assert parse_qs(form.body(username="bob").decode()) == {"state": ['<x>"'], "username": ["bob"]}


def test_what_is_filled_in_wins() -> None:
    assert parse_qs(form_of(page(PAGE)).body(state="y").decode()) == {"state": ["y"]}


def test_a_page_without_a_form_is_our_own_trouble() -> None:
    with pytest.raises(HarnessError, match="a page with a form was due"):
        form_of(page("<p>Sorry.</p>"))
