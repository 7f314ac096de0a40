"""The tables of docs/neighbours.md, written from data: kinds of fault and settings. A test keeps them current."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.neighbours.faults import NEIGHBOURS, Kind, kinds
from simulator.neighbours.neighbourhood import SETTINGS_SCHEMAS

DOCS = Path(__file__).parents[2] / "docs" / "neighbours.md"
BEGIN = "<!-- Written by `python -m simulator.neighbours` from simulator/neighbours/faults.yaml. -->\n"
END = "<!-- End of what is written. -->\n"
TITLES = {"mail": "Mail", "oidc": "OpenID Connect", "saml": "SAML", "hooks": "Webhooks"}


def tables() -> str:
    """Settings and kinds of fault of each neighbour."""
    parts = []
    for name in NEIGHBOURS:
        settings = "".join(_setting(key, schema) for key, schema in SETTINGS_SCHEMAS[name].items())
        rows = "".join(_row(kind) for kind in kinds()[name].values())
        parts.append(
            f"### {TITLES[name]} (`{name}`)\n\n| setting | value | |\n|---|---|---|\n{settings}\n"
            f"| fault | at | options | what happens |\n|---|---|---|---|\n{rows}"
        )
    return "\n".join(parts)


def _setting(name: str, schema: Mapping[str, Any]) -> str:
    value = (
        " or ".join(f"`{one}`" for one in schema["enum"]) if "enum" in schema else schema.get("type", "text or null")
    )
    return f"| `{name}` | {value} | {schema['description']} |\n"


def _row(kind: Kind) -> str:
    options = ", ".join(f"`{name}` {value}" for name, value in kind.options.items())
    summary = kind.summary.replace("|", "\\|")
    return f"| `{kind.name}` | {', '.join(kind.at)} | {options} | {summary} |\n"


def page() -> str:
    """The page with its tables as they should be."""
    before, _, rest = DOCS.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"
