"""Roles and what each may do, as data (`gateway/permissions.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import yaml

FILE: Final = Path(__file__).parent.parent / "permissions.yaml"
OWNER: Final = "owner"


class Permissions(NamedTuple):
    """The table: every role, and the roles that may take each action."""

    roles: tuple[str, ...]
    actions: Mapping[str, frozenset[str]]

    def allows(self, role: str, action: str) -> bool:
        """Whether the role may take the action. An action that the table does not have is a bug of ours: KeyError."""
        return role in self.actions[action]

    def of(self, role: str) -> list[str]:
        """All that the role may do."""
        return [action for action, roles in self.actions.items() if role in roles]


@cache
def table() -> Permissions:
    """The table, read once."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return read(yaml.load(FILE.read_bytes(), Loader=loader))


def read(data: Any) -> Permissions:
    """The checked table. Raises ValueError: an action names a role that there is not."""
    roles = tuple(data["roles"])
    actions = {action: frozenset(allowed) for action, allowed in data["actions"].items()}
    for action, allowed in actions.items():
        if not allowed <= set(roles):
            raise ValueError(
                f"{action}: {sorted(allowed - set(roles))} are no roles; any of {', '.join(roles)} was due"
            )
    return Permissions(roles, MappingProxyType(actions))
