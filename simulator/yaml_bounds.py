"""How deep and how large the data in a YAML text are, before they are built: a stack ends, and aliases multiply.

Bounds of our own: the files of a fleet are a dozen levels deep and have some thousand nodes.
"""

from __future__ import annotations

import yaml

DEPTH_MAX = 100
NODES_MAX = 500_000  # with aliases written out

PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def excess(text: str | bytes) -> str | None:
    """What of the text is too much, in words; None: nothing. Raises YAMLError where it is no YAML."""
    anchored: dict[str | None, int] = {}
    open_: list[tuple[str | None, int]] = []  # of each collection under way: its anchor, and the nodes before it
    nodes = 0
    for event in yaml.parse(text, Loader=PARSER):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                return f"an alias *{event.anchor} within itself"
            nodes += anchored.get(event.anchor, 1)
        elif isinstance(event, (yaml.ScalarEvent, *OPENING)):
            nodes += 1
        if isinstance(event, OPENING):
            open_.append((event.anchor, nodes - 1))
        elif isinstance(event, CLOSING):
            anchor, before = open_.pop()
            if anchor is not None:
                anchored[anchor] = nodes - before
        if len(open_) > DEPTH_MAX:
            return f"more than {DEPTH_MAX} levels"
        if nodes > NODES_MAX:
            return f"more than {NODES_MAX} nodes"
    return None
