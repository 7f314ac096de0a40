"""ComfyUI graphs: of a plain prompt, or the caller's own, with overrides such as {"Sampler.steps": 30}.

Source: api-reference#comfyui-as-api (prompt, seed, workflow_overrides); the graph is in ComfyUI's API format: a node
is {"class_type", "inputs", "_meta": {"title"}} and a link to another node is a list of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from gateway.body import json_type
from gateway.errors import InvalidRequest, shown

Graph = dict[str, dict[str, Any]]

PLACES: Final[Mapping[str, str]] = {  # member of a plain input -> where it stands in the graph
    "prompt": "Prompt.text",
    "negative_prompt": "Negative.text",
    "seed": "Sampler.seed",
    "width": "Latent.width",
    "height": "Latent.height",
    "steps": "Sampler.steps",
}
TEXTS: Final = ("prompt", "negative_prompt")
PASSED: Final = ("images", "comfy_org_api_key")  # to the worker, as they came
OWN: Final = ("workflow", "workflow_overrides")
SEEDS: Final = ("seed", "noise_seed")
OVERRIDES_MAX: Final = 200
SEED_MAX: Final = 2**64 - 1


@cache
def _plain() -> Graph:
    graph: Graph = yaml.safe_load((Path(__file__).parent / "text_to_image.yaml").read_bytes())
    return graph


def worker_input(given: Mapping[str, Any], seed: int, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a ComfyUI worker gets for a caller's `input`; `seed` where the caller sets none. Raises InvalidRequest."""
    unknown = next((name for name in given if name not in (*PLACES, *PASSED, *OWN)), None)
    if unknown is not None:
        due = ", ".join((*PLACES, *OWN, *PASSED))
        raise InvalidRequest(f"`input.{shown(unknown)}` means nothing to a ComfyUI worker; any of {due} was due.")
    graph = own_graph(given["workflow"]) if given.get("workflow") is not None else plain_graph(given, seed, defaults)
    if given.get("workflow") is not None:
        fill(graph, given)
    overrides = given.get("workflow_overrides")
    if overrides is not None:
        apply_overrides(graph, overrides)
    return {"workflow": graph} | {name: given[name] for name in PASSED if given.get(name) is not None}


def plain_graph(given: Mapping[str, Any], seed: int, defaults: Mapping[str, Any] | None) -> Graph:
    """The graph that a prompt becomes."""
    if not isinstance(given.get("prompt"), str) or not given["prompt"].strip():
        raise InvalidRequest("`input` has neither a `prompt` nor a `workflow`; a text in the one or a graph was due.")
    graph = deepcopy(_plain())
    for place, value in {**(defaults or {}), "Sampler.seed": seed}.items():
        put(graph, place, value)
    fill(graph, given)
    return graph


def fill(graph: Graph, given: Mapping[str, Any]) -> None:
    """Puts the members of a plain input where they belong; in a graph of the caller's own, a seed in every sampler.

    Raises InvalidRequest for what has no place there.
    """
    for name, place in PLACES.items():
        value = given.get(name)
        if value is None:
            continue
        check(name, value)
        if given.get("workflow") is not None and name == "seed":
            seeded = [(node, each) for node in graph.values() for each in SEEDS if each in node.get("inputs", {})]
            if not seeded:
                raise InvalidRequest("`input.seed` has no place in the workflow: no node has a `seed`.")
            for node, each in seeded:
                node["inputs"][each] = value
        else:
            put(graph, place, value, f"input.{name}")


def check(name: str, value: Any) -> None:
    """Raises InvalidRequest unless the member is of its type."""
    if name in TEXTS:
        if not isinstance(value, str):
            raise InvalidRequest(f"`input.{name}` is {json_type(value)}; a string was due.")
    elif not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= SEED_MAX:
        raise InvalidRequest(f"`input.{name}` is {shown(str(value))}; a whole number from 0 on was due.")


def own_graph(value: Any) -> Graph:
    """A graph that the caller sent, as an object or as JSON in a text. Raises InvalidRequest."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except ValueError:
            raise InvalidRequest("`input.workflow` is a text that is not JSON; a graph was due.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"`input.workflow` is {json_type(value)}; a graph in ComfyUI's API format was due.")
    if "nodes" in value and isinstance(value["nodes"], list):
        raise InvalidRequest("`input.workflow` is a graph as the editor saves it; one exported for the API was due.")
    for name, node in value.items():
        if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
            raise InvalidRequest(f"`input.workflow.{shown(name)}` is no node; an object with `inputs` was due.")
    return deepcopy(value)


def apply_overrides(graph: Graph, overrides: Any) -> None:
    """Sets inputs of nodes: `{"NODE.INPUT": value}`. Raises InvalidRequest."""
    if not isinstance(overrides, dict):
        raise InvalidRequest(f"`input.workflow_overrides` is {json_type(overrides)}; an object was due.")
    if len(overrides) > OVERRIDES_MAX:
        raise InvalidRequest(f"`input.workflow_overrides` has {len(overrides)} members; at most {OVERRIDES_MAX}.")
    for place, value in overrides.items():
        put(graph, place, value, "input.workflow_overrides")


def put(graph: Graph, place: str, value: Any, where: str = "graph") -> None:
    """Sets `NODE.INPUT`: NODE is a title, else an id, else a class that one node alone has. Raises InvalidRequest."""
    name, dot, field = place.rpartition(".")
    if not (name and dot and field):
        raise InvalidRequest(f"`{where}` names {shown(place)!r}; NODE.INPUT was due, such as Sampler.steps.")
    found = named(graph, name)
    if len(found) != 1:
        what = f"{len(found)} nodes in the workflow are" if found else "no node in the workflow is"
        titles = ", ".join(shown(title_of(ident, node) or ident, 40) for ident, node in list(graph.items())[:20])
        raise InvalidRequest(f"`{where}`: {what} called {shown(name)!r}; there are {titles}.")
    inputs = found[0].setdefault("inputs", {})
    if field not in inputs:
        there = ", ".join(shown(each, 40) for each in list(inputs)[:20]) or "none"
        raise InvalidRequest(f"`{where}`: {shown(name)!r} has no input {shown(field)!r}; there are {there}.")
    inputs[field] = value


def named(graph: Graph, name: str) -> list[dict[str, Any]]:
    """The nodes of that name: by title, else by id, else by class; case aside where nothing is written so."""
    for same in (str, str.lower):
        for name_of in (title_of, lambda ident, _: ident, lambda _, node: str(node.get("class_type", ""))):
            found = [node for ident, node in graph.items() if same(name_of(ident, node)) == same(name)]
            if found:
                return found
    return []


def title_of(_ident: str, node: Mapping[str, Any]) -> str:
    """What a node is called; "" where it is not."""
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) else ""
