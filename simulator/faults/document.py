"""What is written from the registry: the page of faults for readers, the JSON Schemas for editors.

A test keeps both current.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import Field, fields
from inspect import cleandoc
from pathlib import Path
from types import ModuleType
from typing import Any

from simulator import shapes
from simulator.faults import FAMILIES, FAULTS
from simulator.faults.base import Fault, is_required
from simulator.pacing import latency
from simulator.rules import outages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "faults.md"
OUTAGES = ROOT / "docs" / "outages.md"
SCHEMAS = {
    ROOT / "schemas" / "scenario.schema.json": shapes.scenario_schema,
    ROOT / "schemas" / "fleet.schema.json": shapes.fleet_schema,
    ROOT / "schemas" / "fixtures.schema.json": shapes.fixtures_schema,
}
INTRO = """# Faults

<!-- Written by `python -m simulator.faults`; edit the docstrings in simulator/faults/ instead. -->

A fault is aimed in one of four ways, which add up in this order: a provider's row in `simulator/fleet.yaml`, a scenario
file, a rule posted to `/__fleet/faults`, a directive in the prompt (`[[fault: stall after_frames=5 attempt=1]]`) or in
the header `x-windtunnel-fault`. The faults of one request apply in the order of the list.

```yaml
rules:
  - when: {provider: openai, attempt: 1}
    at: 10s
    for: 1m
    chance: 0.3
    fault: {kind: stall, after_frames: 5}     # or a list
```

- `when`: `provider`, `region`, `dialect`, `operation`, `model`, `path`, `case` are globs or lists of globs; `stream`
  is true or false; `attempt` (the how-manieth request of this case at this provider) and `call` (at the whole fleet)
  are N, "N-M" or a list of these.
- `at` and `for` count from when the rule was set, `every` repeats the window. Times are seconds, or "250ms", "2m".
  [Scenarios](scenarios.md) tells of ramps, flapping, gates, states and counts.
- `chance` is drawn by (seed, rule, provider, case or digest, attempt): the same request meets the same fate in every
  run.
- `kind` may be written with hyphens, or be the name of a quirk: `crlf`, `crlf-line-endings`.
- `after_frames` counts content frames: 0 is right after the head; role chunks, `message_start` and pings do not count.
- `after_bytes` counts bytes of the body; `after_ms` is a moment, from the arrival of the request.
- Faults of the wire bite in their order: `slow_headers` and then `reset after_ms=90` ends within the head.
- The journal lists the faults that a reply truly met: a framing fault, say, does not meet a JSON reply.
"""

DISTRIBUTIONS = """
## Distributions

A delay is a number of milliseconds or one of these, as a text or an object (`{"dist": "uniform", "min": 5, "max": 9}`).
Uniform, normal, gamma and pareto may also be written by their median and 99th percentile: `gamma p50=80 p99=900`.

| text | meaning |
|---|---|
"""


def text() -> str:
    """The page of faults."""
    parts = [INTRO]
    for family, modules in FAMILIES.items():
        parts.append(f"\n## {family}\n")
        parts += [_section(cls) for module in modules for cls in _kinds(module)]
    parts.append(DISTRIBUTIONS)
    for name, shape in latency.SHAPES.items():
        written = " ".join([name, *(f"{parameter}=…" for parameter in shape.parameters if "=" not in parameter)])
        parts.append(f"| `{_example(name, written)}` | {shape.about} |\n")
    return "".join(parts)


def _example(name: str, written: str) -> str:
    return "percentiles p50=80 p90=200 p99=900" if name == "percentiles" else written


def _kinds(module: ModuleType) -> Iterator[type[Fault]]:
    """The kinds a module defines, in its order."""
    for kind in FAULTS:
        if FAULTS[kind].__module__ == module.__name__:
            yield FAULTS[kind]


def _section(cls: type[Fault]) -> str:
    rows = "".join(_row(field) for field in fields(cls))
    table = f"\n| option | value | default | |\n|---|---|---|---|\n{rows}" if rows else ""
    named = f"Also `{cls.quirk}`. " if cls.quirk else ""
    seen = f"Seen at: {cls.seen_at}." if cls.seen_at else ""
    notes = f"\n{named}{seen}".rstrip() + "\n" if named or seen else ""
    return f"\n### {cls.kind}\n\n{cleandoc(cls.__doc__ or '')}\n{notes}{table}"


def _row(field: Field[Any]) -> str:
    default = "required" if is_required(field) else _shown(field.default)
    due = field.metadata["due"].replace("|", "\\|")
    return f"| `{field.name}` | {due} | {default} | {field.metadata['about']} |\n"


def _shown(default: object) -> str:
    if default is None or default == ():
        return ""
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def files() -> dict[Path, str]:
    """Every derived file and what it must hold."""
    schemas = {path: json.dumps(make(), indent=2, ensure_ascii=False) + "\n" for path, make in SCHEMAS.items()}
    return {DOCS: text(), OUTAGES: outages.text(), **schemas}


def write_all() -> list[str]:
    """Write the files; returns their names."""
    for path, content in files().items():
        path.write_text(content, "utf-8")
    return [str(path.relative_to(ROOT)) for path in files()]
