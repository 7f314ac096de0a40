"""Whatever is sent to a wire of pictures, sound or documents: it is read, or refused in the vendor's words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import providers
from simulator.ask import Ask, Request
from simulator.dialects import DIALECTS
from simulator.dialects.base import Serving
from simulator.nonces import Nonces
from simulator.problem import Refused
from simulator.providers import Mount
from tests.simulator.xai_exchange import form, png

ROWS = providers.load(providers.FILE, DIALECTS, 7)
WIRES = {"xai": ["xai_imagine", "xai_voice"], "together": ["pictures"], "hyperbolic": ["pictures"]}
WIRES |= {"openrouter": ["pictures"], "huggingface": ["hf_inference"], "mistral": ["mistral_ocr"]}
PLACES = [
    (row, mount, path)
    for row, names in WIRES.items()
    for mount in ROWS[row].mounts
    if mount.dialect.name in names
    for (method, path) in mount.dialect.operations
    if method == "POST"
]
FIELDS = ["model", "model_name", "prompt", "n", "size", "aspect_ratio", "resolution", "image", "images", "video"]
FIELDS += ["duration", "response_format", "reference_images", "text", "voice_id", "output_format", "speed", "inputs"]
FIELDS += ["parameters", "stream", "messages", "document", "pages", "width", "height", "seed", "steps", "url"]
INNER = [*FIELDS, "type", "document_url", "image_url", "codec", "question", "role", "content", "output_compression"]
FORM = ["language", "diarize", "format", "audio_format", "sample_rate", "url", "multichannel", "keyterm"]
GIVEN = ("model", "model_name", "prompt", "text")
MODELS = ["grok-imagine-image", "grok-imagine-video", "stabilityai/stable-diffusion-xl-base-1.0", "SD2"]
MODELS += ["mistral-ocr-latest", "google/gemini-3.1-flash-lite-image"]
HF_MODELS = ["meta-llama/Llama-2-7b-hf", "stabilityai/stable-diffusion-2", "openai/whisper-large-v3"]
HF_MODELS += ["facebook/mms-tts-eng", "impira/layoutlm-document-qa"]

words = st.sampled_from(["1:1", "16:9", "auto", "url", "b64_json", "jpeg", "1k", "480p", "2x3", "0-3", "", "\0", "x"])
leaves = st.none() | st.booleans() | st.integers(-3, 70) | st.floats(allow_nan=False) | words | st.sampled_from(MODELS)
sources = st.sampled_from(
    [png(), "data:image/png;base64,iVBORw0KGgo=", "https://a/b", "data:,", "data:video/mp4;base64,AA"]
)
values = st.recursive(
    leaves | sources,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=4),
    max_leaves=8,
)
likely = st.fixed_dictionaries(
    {name: st.sampled_from(MODELS) if "model" in name else st.just("a cat") for name in GIVEN},
    optional={name: values for name in FIELDS if name not in GIVEN},
)
bodies = likely | st.dictionaries(st.sampled_from(FIELDS), values, max_size=6) | values


def taken(row: str, mount: Mount, path: str, data: bytes, kind: str, model: str) -> int:
    """The status of the reply to a body, refused or not."""
    owner, _, name = model.partition("/")
    root = mount.roots[0].replace("{owner}", owner).replace("{name}", name)
    headers = {"authorization": f"Bearer {ROWS[row].key}", "content-type": kind}
    params = {"owner": owner, "name": name} if "{owner}" in mount.roots[0] else {}
    sent = Request("POST", root + path, "", headers, data, params, mount.facts, f"http://fleet/{row}")
    serving = Serving(Nonces(mount.nonces, "fuzz")(1).decode(), 1_787_150_000, 12345, mount.facts, path=root + path)
    dialect = mount.dialect
    try:
        ask: Ask = dialect.decode(sent, dialect.operations[("POST", path)])
        profile = mount.profile(row, ask.model)
        if profile is None or ask.needs:
            return 404
        dialect.check(ask, profile)
        if ask.operation == "generate":
            return 200
        plan = getattr(dialect, "plan", None)
        if plan is not None and ask.operation.endswith("video"):
            assert plan(ask, profile, serving).run_ms > 0
            return 200
        return dialect.perform(ask, profile, serving, None).status
    except Refused as refused:
        script = dialect.error(refused.problem, serving)
        if dict(script.headers)["content-type"].startswith("application/json"):
            orjson.loads(b"".join(frame.data for frame in script.frames))
        assert 400 <= script.status < 500
        return script.status


@pytest.mark.parametrize(("row", "mount", "path"), PLACES, ids=[f"{row}{path}" for row, _, path in PLACES])
@settings(max_examples=60, deadline=None)
@given(body=bodies, model=st.sampled_from(HF_MODELS))
def test_any_json(row: str, mount: Mount, path: str, body: Any, model: str) -> None:
    taken(row, mount, path, orjson.dumps(body), "application/json", model)


@pytest.mark.parametrize(("row", "mount", "path"), PLACES, ids=[f"{row}{path}" for row, _, path in PLACES])
@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=200), kind=st.sampled_from(["application/json", "audio/wav", "multipart/form-data", ""]))
def test_any_bytes(row: str, mount: Mount, path: str, data: bytes, kind: str) -> None:
    taken(row, mount, path, data, kind, HF_MODELS[2])


@settings(max_examples=60, deadline=None)
@given(
    fields=st.dictionaries(
        st.sampled_from(
            ["language", "diarize", "format", "audio_format", "sample_rate", "url", "multichannel", "keyterm"]
        ),
        st.sampled_from(["true", "false", "en", "pcm", "mulaw", "8000", "x", "https://a/b", "", "é"]),
    ),
    data=st.none() | st.binary(max_size=64),
)
def test_any_form(fields: dict[str, str], data: bytes | None) -> None:
    mount = next(mount for mount in ROWS["xai"].mounts if mount.dialect.name == "xai_voice")
    file = [] if data is None else [("file", data)]
    body, headers = form([*((name, value.encode()) for name, value in fields.items()), *file])
    taken("xai", mount, "/stt", body, headers["content-type"], HF_MODELS[0])
