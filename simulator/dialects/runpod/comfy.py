"""worker-comfyui: a ComfyUI graph and pictures in, pictures out, as base64 or as links to a bucket.

The graph decides what comes: the size and number of the latent image (or of the picture that is loaded), the seed and
steps of the sampler, the prompt, and how many nodes save. Source: its handler and README (5.x; the form before 5.0.0 by
the fact `form: message`).
"""

from __future__ import annotations

import io
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from PIL import Image, UnidentifiedImageError

from simulator import draws
from simulator.dialects.base import Kept, Serving
from simulator.jobs.job import end_ms
from simulator.media import links
from simulator.media.pictures import picture
from simulator.script import Script

BUCKET: Final = "bucket"
LINK_TTL_MS: Final = 7 * 86_400_000
SIDE, SIDE_MAX, PICTURES_MAX, STEPS_MAX = 512, 4096, 16, 10_000
SHOWN_LENGTH: Final = 240  # of a prompt, on a picture
NO_LIST: Final = "'images' must be a list of objects with 'name' and 'image' keys"
NO_UPLOAD: Final = "Failed to upload one or more input images"
NO_GRAPH: Final = "Workflow validation failed: "

Nodes = Mapping[str, Mapping[str, Any]]


class Work(NamedTuple):
    """What a graph makes."""

    width: int
    height: int
    pictures: int
    steps: int
    seed: int
    prompt: str


def read(given: object) -> Work | str:
    """What the input asks for, or the error that the job fails with."""
    return _read(orjson.dumps(given))


@lru_cache(maxsize=512)
def _read(data: bytes) -> Work | str:
    given = orjson.loads(data)
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            return "Invalid JSON format in input"
    if not isinstance(given, dict) or not given:
        return "Please provide input"
    graph = given.get("workflow")
    if isinstance(graph, str):
        try:
            graph = orjson.loads(graph)
        except orjson.JSONDecodeError:
            return "Invalid JSON format in input"
    if not graph:
        return "Missing 'workflow' parameter"
    loaded = _uploads(given.get("images"))
    return loaded if isinstance(loaded, str) else _work(graph, loaded)


def _uploads(images: object) -> dict[str, tuple[int, int]] | str:
    """The sizes of the pictures sent, by name, or the error."""
    if images is None:
        return {}
    if not isinstance(images, list):
        return NO_LIST
    sizes: dict[str, tuple[int, int]] = {}
    for each in images:
        if not isinstance(each, dict) or not all(isinstance(each.get(key), str) for key in ("name", "image")):
            return NO_LIST
        try:
            raw = b64decode(each["image"].rpartition(",")[2], validate=True)
            with Image.open(io.BytesIO(raw)) as opened:
                sizes[each["name"]] = opened.size
        except (NoBase64, UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
            return NO_UPLOAD
    return sizes


def _work(graph: object, loaded: Mapping[str, tuple[int, int]]) -> Work | str:
    if not isinstance(graph, dict) or not all(isinstance(node, dict) for node in graph.values()):
        return f"{NO_GRAPH}the graph is not an object of nodes"
    nodes: Nodes = graph
    for name, node in nodes.items():
        flaw = _flaw(name, node, nodes, loaded)
        if flaw:
            return f"{NO_GRAPH}{flaw}"
    width, height, batch = _canvas(nodes, loaded)
    pictures = batch * sum(1 for node in nodes.values() if node["class_type"] == "SaveImage")
    if max(width, height) > SIDE_MAX or pictures > PICTURES_MAX:
        name, kind = next(((name, node["class_type"]) for name, node in nodes.items()), ("1", "KSampler"))
        return f"Workflow execution error: Node Type: {kind}, Node ID: {name}, Message: Allocation on device"
    sampler = _first(nodes, "seed", "noise_seed")
    steps = _number(_first(nodes, "steps"), "steps", 20, 1, STEPS_MAX)
    seed = sampler.get("seed", sampler.get("noise_seed", 0))
    return Work(width, height, pictures, steps, draws.integer("comfy", str(seed)) >> 96, _prompt(nodes))


def _flaw(name: str, node: Mapping[str, Any], nodes: Nodes, loaded: Mapping[str, tuple[int, int]]) -> str | None:
    """What ComfyUI's own validation says of a node."""
    kind, inputs = node.get("class_type"), node.get("inputs", {})
    if not isinstance(kind, str) or not isinstance(inputs, dict):
        return f"Node {name} has no class_type"
    for field, value in inputs.items():
        is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)
        if is_link and str(value[0]) not in nodes:
            return f"Node {name} ({kind}): {field} leads to node {value[0]}, which is not in the graph"
    if kind == "LoadImage" and inputs.get("image") not in loaded:
        return f"Node {name} ({kind}): Invalid image file: {inputs.get('image')}"
    return None


def _canvas(nodes: Nodes, loaded: Mapping[str, tuple[int, int]]) -> tuple[int, int, int]:
    """Width, height and number: of the empty latent image, or of the first picture that is loaded."""
    for node in nodes.values():
        if node["class_type"].startswith("Empty") and "Latent" in node["class_type"]:
            inputs = node.get("inputs", {})
            sides = [_number(inputs, side, SIDE, 16, 1 << 20) for side in ("width", "height")]
            return sides[0], sides[1], _number(inputs, "batch_size", 1, 1, 4096)
    for node in nodes.values():
        if node["class_type"] == "LoadImage":
            return (*loaded[node["inputs"]["image"]], 1)
    return SIDE, SIDE, 1


def _first(nodes: Nodes, *fields: str) -> Mapping[str, Any]:
    """The inputs of the first node that has one of these."""
    found = (node.get("inputs", {}) for node in nodes.values())
    return next((inputs for inputs in found if any(field in inputs for field in fields)), {})


def _number(inputs: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = inputs.get(name, default)
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else default


def _prompt(nodes: Nodes) -> str:
    """The text that the sampler's positive side leads to; else the first text."""
    named = {name: node.get("inputs", {}).get("text") for name, node in nodes.items()}
    for node in nodes.values():
        link = node.get("inputs", {}).get("positive")
        if isinstance(link, list) and link and isinstance(named.get(str(link[0])), str):
            return str(named[str(link[0])])
    return next((text for text in named.values() if isinstance(text, str)), "")


# --- output -----------------------------------------------------------------------------------------------------------


def output(kept: Kept) -> Any:
    """What the worker gives for a job that succeeded."""
    work, job = read(kept.ask.body["input"]), kept.serving.job
    if isinstance(work, str) or job is None or not work.pictures or job.plan.is_empty:
        return {"status": "success_no_images", "images": []}
    in_bucket, count = kept.profile.has("bucket"), max(1, work.pictures - job.plan.lost_items)
    data = [_link(kept, index) if in_bucket else b64encode(_drawn(work, index)).decode() for index in range(count)]
    if kept.profile.facts.get("form") == "message":
        return {"message": data[0], "status": "success"}
    kind = "s3_url" if in_bucket else "base64"
    return {"images": [{"filename": _name(index), "type": kind, "data": each} for index, each in enumerate(data)]}


def _name(index: int) -> str:
    return f"ComfyUI_{index + 1:05}_.png"


def _drawn(work: Work, index: int) -> bytes:
    text = work.prompt if len(work.prompt) <= SHOWN_LENGTH else f"{work.prompt[: SHOWN_LENGTH - 1]}…"
    return picture(text, work.width, work.height, "png", work.seed + index)


def _link(kept: Kept, index: int) -> str:
    """The address of a picture in the bucket, signed when the job ended."""
    job, work = kept.serving.job, read(kept.ask.body["input"])
    if job is None or isinstance(work, str):
        raise TypeError("only a job that made pictures has links")
    path = f"/{BUCKET}/{kept.serving.nonce}/{_name(index)}"
    ttl_ms = LINK_TTL_MS if job.plan.link_ttl_ms is None else job.plan.link_ttl_ms
    content = [*work._replace(prompt=work.prompt[:SHOWN_LENGTH]), index]
    url = f"{kept.ask.site}/{kept.ask.model}{path}"
    secret = kept.profile.facts["signature_secret"]
    made_s, ttl_s = end_ms(job) // 1000, ttl_ms // 1000
    return links.signed("s3", url, path, content, secret, made_s, ttl_s, job.plan.link_status, "image/png")


def fetched(serving: Serving) -> Script:
    """The picture of a link, or why it is not given."""
    path = serving.path[serving.path.index(f"/{BUCKET}/") :]
    found = links.opened("s3", path, serving.query, serving.facts["signature_secret"], serving.now_s)
    if isinstance(found, Script):
        return found
    *work, index = found.content
    return links.served("s3", _drawn(Work(*work), index), "image/png", serving.now_s)
