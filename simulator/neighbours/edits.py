"""How a fault's row changes what is told: `set`, `drop`, `back` and `ahead`, on fields by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.neighbours.faults import InForce


def edited(fields: Mapping[str, Any], fault: InForce, names: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the fault wants them; `names` are what its texts may speak of, as `{issuer}`."""
    out, does = dict(fields), fault.does
    names = {**names, **fault.options}
    for name, value in does.get("set", {}).items():
        out[name] = filled(value, names)
    for name in does.get("drop", ()):
        out.pop(name, None)
    for verb, sign in (("back", -1), ("ahead", 1)):
        for name in does.get(verb, ()):
            if name in out:
                out[name] += sign * fault["seconds"]
    return out


def filled(value: Any, names: Mapping[str, Any]) -> Any:
    """A value of a row with its names replaced; a text that is one name alone becomes what that stands for."""
    if isinstance(value, list):
        return [filled(one, names) for one in value]
    if not isinstance(value, str):
        return value
    if value[:1] == "{" and value[-1:] == "}" and value[1:-1] in names:
        return names[value[1:-1]]
    for name, meant in names.items():
        value = value.replace(f"{{{name}}}", str(meant))
    return value
