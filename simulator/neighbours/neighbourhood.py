"""All neighbours of one fleet, put together: who answers what, what each is told, and what each has on record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

from jsonschema import Draft202012Validator

from simulator import shapes
from simulator.clock import Clock
from simulator.faults import Flaw, Flawed
from simulator.neighbours import hooks, mail
from simulator.neighbours.accounts import directory
from simulator.neighbours.asked import Answer, Asked, json_answer
from simulator.neighbours.faults import NEIGHBOURS, Faults, kinds
from simulator.neighbours.keys import USUAL, rsa_key
from simulator.neighbours.oidc import provider as oidc
from simulator.neighbours.records import Records
from simulator.neighbours.saml import provider as saml
from simulator.neighbours.sign_ons import Step

PREFIXES: Final = (oidc.PREFIX, saml.PREFIX, hooks.PREFIX)
SETTINGS_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "mail": mail.SETTINGS_SCHEMA,
    "oidc": oidc.SETTINGS_SCHEMA,
    "saml": saml.SETTINGS_SCHEMA,
    "hooks": hooks.SETTINGS_SCHEMA,
}


class Neighbour(Protocol):
    """Any of them."""

    faults: Faults
    settings: dict[str, Any]

    def describe(self, url: str) -> dict[str, Any]:
        """Where it is, for a fleet at that URL, and whom it knows."""

    def reset(self) -> None:
        """No faults, no sessions, and the settings as they were; what is on record stays."""


class Neighbourhood:
    """The neighbours, by name."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._seed = seed
        self.sign_ons: Records[Step] = Records()
        self.mail = mail.Mail(clock, seed, directory())
        self.oidc = oidc.OidcProvider(seed, directory(), self.sign_ons)
        self.saml = saml.SamlProvider(seed, directory(), self.sign_ons)
        self.hooks = hooks.Hooks()
        self.url = ""  # of the fleet
        self._all: dict[str, Neighbour] = {"mail": self.mail, "oidc": self.oidc, "saml": self.saml, "hooks": self.hooks}

    async def prepared(self, path: str) -> None:
        """Search for the RSA keys that a request may need, off the loop: a search takes about 0.1 s."""
        if not path.startswith(hooks.PREFIX):
            for name in (USUAL, *self.oidc.faults.keys(), *self.saml.faults.keys()):
                await asyncio.to_thread(rsa_key, self._seed, name)

    def answer(self, asked: Asked) -> Answer:
        """The answer to a request below one of the prefixes."""
        if within(asked.path, hooks.PREFIX):
            return self.hooks.answer(asked)
        return (self.oidc if within(asked.path, oidc.PREFIX) else self.saml).answer(asked)

    def tell(self, name: str) -> dict[str, Any]:
        """What the control API tells of a neighbour."""
        one = self._all[name]
        return {**one.describe(self.url), "settings": dict(one.settings), "faults": one.faults.as_json()}

    def describe(self) -> dict[str, Any]:
        """What the ready line tells."""
        issuers, entities = self.oidc.describe(self.url)["issuers"], self.saml.describe(self.url)["metadata"]
        return {"oidc": issuers, "saml": entities, "hooks": self.hooks.describe(self.url)["url"]}

    def put(self, name: str, data: Mapping[str, Any]) -> None:
        """Put faults in place of those in force, and change settings; what is not named stays. Raises Flawed."""
        one = self._all[name]
        flaws = _flaws(name, data)
        if flaws:
            raise Flawed(flaws)
        if "faults" in data:
            one.faults.add(data["faults"], alone=True)
        for setting, value in data.items():
            if setting == "secrets":
                self.hooks.set(setting, value)
            elif setting != "faults":
                one.settings[setting] = value

    def add(self, name: str, data: list[Any]) -> list[str]:
        """Put faults in force besides those that are; returns their ids. Raises Flawed."""
        return self._all[name].faults.add(data)

    def remove(self, name: str, fault_id: str | None = None) -> bool:
        """Take one fault of a neighbour off, or all; whether there was one."""
        return self._all[name].faults.remove(fault_id)

    def renew(self, name: str) -> None:
        """A neighbour as new, but for what it has on record."""
        self._all[name].reset()

    def reset(self) -> None:
        """All as new, and nothing on record."""
        for one in self._all.values():
            one.reset()
        for records in (self.mail.records, self.sign_ons, self.hooks.records):
            records.clear()


def within(path: str, prefix: str) -> bool:
    """Whether a path is that of a neighbour."""
    return path == prefix or path.startswith(f"{prefix}/")


def is_ours(path: str) -> bool:
    """Whether a path is that of any neighbour."""
    return any(within(path, prefix) for prefix in PREFIXES)


def fault_kinds() -> dict[str, Any]:
    """Every kind of fault, by neighbour."""
    return {name: [kind.as_json() for kind in kinds()[name].values()] for name in NEIGHBOURS}


def failed() -> Answer:
    """The answer when a neighbour breaks, which it should not."""
    return json_answer({"error": {"message": "The fleet failed."}}, 500)


def _flaws(name: str, data: Mapping[str, Any]) -> list[Flaw]:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"faults": {"type": "array"}, **SETTINGS_SCHEMAS[name]},
    }
    errors = sorted(Draft202012Validator(schema).iter_errors(data), key=lambda error: list(map(str, error.path)))
    known = ", ".join(schema["properties"])  # type: ignore[arg-type]
    flaws = [
        Flaw(
            shapes.place(error.absolute_path) or "the body",
            error.message[:200],
            str(error.schema.get("description") if error.path else f"an object with {known}"),
        )
        for error in errors
    ]
    secrets = data.get("secrets") if name == "hooks" and not flaws else None
    due = "base64, with or without whsec_ before it"
    return [*flaws, *(Flaw(f"secrets.{case}", "no secret", due) for case in hooks.unsound_secrets(secrets or {}))]
