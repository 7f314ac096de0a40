"""The pages that people see: the sign-on form, a form that submits itself, and a word."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from simulator.neighbours.accounts import Tenant

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; background: #f2f4f7; color: #1c2430; margin: 0;
  display: grid; place-items: center; min-height: 100vh; }
main { background: #fff; padding: 2rem 2.5rem; border-radius: 12px; box-shadow: 0 2px 16px #0002; width: 20rem; }
h1 { font-size: 1.25rem; margin: 0 0 1rem; }
label { display: block; margin: .75rem 0 .25rem; }
input, button { box-sizing: border-box; width: 100%; font: inherit; padding: .5rem .75rem; border-radius: 8px; }
input { border: 1px solid #aab4c0; }
button { margin-top: 1.25rem; border: 0; background: #1f5fbf; color: #fff; cursor: pointer; }
p.wrong { color: #a11; }
small { color: #566; display: block; margin-top: 1rem; }
"""


def _page(title: str, body: str, attributes: str = "") -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body{attributes}><main>\n{body}\n</main></body></html>\n"
    )


def hidden(fields: Mapping[str, str]) -> str:
    """Hidden fields of a form."""
    return "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">\n' for k, v in fields.items())


def login(tenant: Tenant, action: str, carried: Mapping[str, str], hint: str = "", wrong: str = "") -> str:
    """The sign-on form: posts `username`, `password` and what is carried along to `action`."""
    options = "".join(f'<option value="{escape(one.login)}">' for one in tenant.accounts)
    complaint = f'<p class="wrong" role="alert">{escape(wrong)}</p>\n' if wrong else ""
    return _page(
        f"Sign on to {tenant.title}",
        f"<h1>{escape(tenant.title)}</h1>\n{complaint}"
        f'<form method="post" action="{escape(action)}">\n{hidden(carried)}'
        f'<label for="username">E-mail address</label>\n<input id="username" name="username" type="email" '
        f'autocomplete="username" list="accounts" value="{escape(hint)}" required autofocus>\n'
        f'<datalist id="accounts">{options}</datalist>\n<label for="password">Password</label>\n'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>\n'
        '<button type="submit">Sign on</button>\n</form>\n<small>A made-up identity provider of Windtunnel.</small>',
    )


def submitted(action: str, fields: Mapping[str, str]) -> str:
    """A form that posts itself to `action`; without scripts, a button does."""
    return _page(
        "Signing on…",
        f'<h1>Signing on…</h1>\n<form method="post" action="{escape(action)}">\n{hidden(fields)}'
        '<noscript><button type="submit">Continue</button></noscript>\n</form>',
        ' onload="document.forms[0].submit()"',
    )


def word(title: str, text: str) -> str:
    """A page that says one thing."""
    return _page(title, f"<h1>{escape(title)}</h1>\n<p>{escape(text)}</p>")
