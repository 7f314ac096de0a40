"""From the bytes of a Veo request to an `Ask`: submissions of both surfaces, polls, and requests for a file.

`Ask.body` of a submission: `prompt`, `image` (bytes or None), `inputs` (which of INPUTS were given), `parameters` (as
sent), `unknown` (keys that no model takes), `place` (what stands in the path before the model), and `source`, the
clip that is to be extended. Sentences about parameters are Google's as public issues quote them; those about pictures
and sources are not confirmed.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.gemini.problems import refuse
from simulator.dialects.gemini.request import parsed
from simulator.media.frames import is_picture, measured
from simulator.problem import Problem, Refused

SUBMIT: Final = "generate_videos"
POLL: Final = "get_operation"
DOWNLOAD: Final = "download_file"
INPUTS: Final = ("image", "lastFrame", "referenceImages", "video", "mask")
NONCE_LENGTH: Final = 12  # of ids of the Gemini API
OWN: Final = ("host", "content-", "transfer-", "keep-alive", "te", "trailer", "upgrade", "set-cookie")  # never echoed
_TOP: Final = frozenset({"instances", "parameters", "labels"})
_DATA: Final = frozenset({"bytesBase64Encoded", "inlineData", "gcsUri", "mimeType"})
_VIDEO: Final = frozenset({"bytesBase64Encoded", "encodedVideo", "gcsUri", "uri", "mimeType", "encoding"})
_FILE: Final = re.compile(r"files/([a-z0-9]{12,13})(?![a-z0-9])")
_OPERATION: Final = re.compile(r"(.*)publishers/google/models/([^/]+)/operations/([0-9a-f-]{36})")
_NO_PICTURE: Final = (
    "Unable to process input image. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting"
)
_NO_CLIP: Final = "Unable to process input video."


class Source(NamedTuple):
    """A clip that is to be extended."""

    seconds: float
    width: int
    height: int
    image: bytes | None = None  # that it begins with


def submission(request: Request) -> Ask:
    """A request for clips. Raises Refused."""
    data = parsed(request)
    if not isinstance(data, dict):
        raise refuse("Request contains an invalid argument.")
    for name in data:
        if name not in _TOP:
            said = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
            raise Refused(Problem("bad_request", said, ""))
    instances, parameters = data.get("instances"), data.get("parameters") or {}
    if not isinstance(instances, list) or len(instances) != 1 or not isinstance(instances[0], dict):
        raise refuse("Request must contain exactly one instance.")
    if not isinstance(parameters, dict):
        raise refuse("The value type for `parameters` needs to be an object.")
    given = {name: value for name, value in instances[0].items() if value is not None}
    prompt = given.get("prompt", "")
    if not isinstance(prompt, str):
        raise refuse("The value type for `prompt` needs to be a string.")
    unknown = [name for name in given if name != "prompt" and name not in INPUTS]
    image = _picture(given["image"], unknown) if "image" in given else None
    if "lastFrame" in given:
        _picture(given["lastFrame"], unknown)
    for reference in _references(given.get("referenceImages", [])):
        _picture(reference.get("image"), unknown)
    source, nonce = _source(given["video"], unknown) if "video" in given else (None, "")
    inputs = [name for name in INPUTS if name in given]
    body = {
        "prompt": prompt,
        "image": image,
        "inputs": inputs,
        "parameters": {name: value for name, value in parameters.items() if value is not None},
        "unknown": unknown,
        "place": request.path.partition("/models/")[0].split("/", 2)[-1],
        "source": source,
    }
    return Ask(
        SUBMIT,
        request.params["model"],
        (Turn("user", prompt, images=len(inputs)),),
        input_tokens=tokens.count(prompt),
        body=body,
        fresh=True,
        needs=nonce,
        site=request.site + request.path.partition("/models/")[0],
    )


def poll(request: Request) -> Ask:
    """A request of the Gemini API for an operation. Raises Refused."""
    model, name = request.params["model"], request.params["id"]
    if not re.fullmatch(r"[a-z0-9]{12}", name):
        raise Refused(Problem("not_kept"))
    return Ask(POLL, model, body={"name": f"models/{model}/operations/{name}"}, fresh=True, needs=name)


def fetch(request: Request) -> Ask:
    """A request of Vertex for an operation, whose name stands in the body. Raises Refused."""
    data = parsed(request)
    name = data.get("operationName") if isinstance(data, dict) else None
    if not isinstance(name, str) or not name:
        raise refuse("Request contains an invalid argument.")
    found = _OPERATION.fullmatch(name)
    if found is None or found[2] != request.params["model"]:
        raise refuse(f"Invalid operation name: {name[:256]}.")
    return Ask(POLL, found[2], body={"name": name}, fresh=True, needs=found[3][-22:])


def download(request: Request) -> Ask:
    """A request for the bytes of a file, or for where they are. Raises Refused."""
    name = request.params["id"]
    if not re.fullmatch(r"[a-z0-9]{12,13}", name) or not (name[NONCE_LENGTH:] or "0").isdecimal():
        raise Refused(Problem("not_kept"))
    echoed = [pair for pair in request.headers.items() if not pair[0].startswith(OWN)]
    body = {"sample": int(name[NONCE_LENGTH:] or 0), "name": name, "path": request.path, "echoed": echoed}
    return Ask(DOWNLOAD, "", body=body, fresh=True, needs=name[:NONCE_LENGTH], site=request.site)


def unsupported(name: str, documentation: str) -> Refused:
    """The complaint about a key that the model does not take."""
    said = f"Please remove it or refer to the {documentation} documentation for supported usage."
    return refuse(f"`{name}` isn't supported by this model. {said}")


def _references(given: object) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise refuse("The value type for `referenceImages` needs to be a list of objects.")
    return given


def _picture(given: object, unknown: list[str]) -> bytes | None:
    """The bytes of a picture that was inlined; None for one in a bucket. Raises Refused."""
    if not isinstance(given, Mapping):
        raise refuse("The value type for `image` needs to be an object.")
    unknown += [name for name in given if name not in _DATA]
    inline = given.get("inlineData")
    raw = inline.get("data") if isinstance(inline, Mapping) else given.get("bytesBase64Encoded")
    if raw is None and _in_bucket(given.get("gcsUri")):
        return None
    if raw is None and unknown:
        return None  # it is refused for its key
    data = _decoded(raw, _NO_PICTURE)
    if not is_picture(data):
        raise refuse(_NO_PICTURE)
    return data


def _source(given: object, unknown: list[str]) -> tuple[Source | None, str]:
    """(the clip that was inlined, the nonce of one made here); of one in a bucket, neither. Raises Refused."""
    if not isinstance(given, Mapping):
        raise refuse("The value type for `video` needs to be an object.")
    unknown += [name for name in given if name not in _VIDEO]
    raw = given.get("bytesBase64Encoded") or given.get("encodedVideo")
    if raw is not None:
        found = measured(_decoded(raw, _NO_CLIP))
        if found is None:
            raise refuse(_NO_CLIP)
        return Source(*found), ""
    if _in_bucket(given.get("gcsUri")) or _in_bucket(given.get("uri")):
        return None, ""
    uri = given.get("uri")
    file = _FILE.search(uri) if isinstance(uri, str) else None
    if file is None:
        raise refuse(_NO_CLIP)
    return None, file[1][:NONCE_LENGTH]


def _in_bucket(uri: object) -> bool:
    return isinstance(uri, str) and uri.startswith("gs://")


def _decoded(raw: object, complaint: str) -> bytes:
    if not isinstance(raw, str):
        raise refuse(complaint)
    try:
        return b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        raise refuse(complaint) from None
