"""The Gemini endpoint: both shapes, the key's forms, the paths of Google's SDKs, and what is charged."""

from __future__ import annotations

from typing import Any

import orjson

from suites import gemini_generate, oracle
from suites.case import Case, expect_status, expect_text, providers
from suites.exchange import Reply
from suites.requirement import MODES, over, requirement
from suites.samples import AWKWARD, CJK, WEATHER

OFFERED: list[dict[str, Any]] = [
    {"functionDeclarations": [{"name": "get_weather", "description": "W.", "parametersJsonSchema": WEATHER}]}
]
SDK_METHODS = ("generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent")


async def charged_by(case: Case, reply: Reply) -> None:
    """Raise unless the charge is that of the only upstream call's usage."""
    told = (await case.one_upstream_call(reply)).usage
    due = oracle.charge_uc(reply.sent.document["model"], told)
    charged_uc = await case.charged()
    assert charged_uc == due, f"charged {charged_uc} uc for {told}; due {due}"


def signing(case: Case) -> str | None:
    """A model that signs, where the target lists one: those of the third generation do."""
    return next((name for name in case.target.models.get("gemini", ()) if name.startswith("gemini-3")), None)


def openai_shape(prompt: str) -> dict[str, Any]:
    """The fields that turn the smallest request into OpenAI's shape."""
    return {"contents": None, "messages": [{"role": "user", "content": prompt}]}


@requirement("GEM-001")
@over(stream=MODES)
async def test_text_unchanged(case: Case, stream: bool) -> None:
    """Characters that careless decoding changes, in chunks and whole."""
    reply = await case.ask("gemini", stream=stream, answer=f'say="{CJK}"')
    expect_text(reply, CJK)
    assert reply.heard.stop == "STOP", f"finishReason {reply.heard.stop!r}"
    await charged_by(case, reply)


@requirement("GEM-002")
@over(form=("x-goog-api-key", "query", "bearer"), stream=MODES)
async def test_key_forms(case: Case, form: str, stream: bool) -> None:
    """Each form the reference names is taken; the user pays, and the key stays here."""
    secret = await case.secret(None)
    url = case.url("gemini") + (f"?key={secret}" if form == "query" else "")
    token = case.fresh()
    document = await case.document("gemini", token, "Hi.", {"stream": stream, "answer": "tokens=4"})
    keys = {"x-goog-api-key": {"x-goog-api-key": secret}, "bearer": {"authorization": f"Bearer {secret}"}}
    sent = {"content-type": "application/json", **keys.get(form, {})}
    reply = await case.request("POST", url, headers=sent, body=orjson.dumps(document), wire="gemini")
    expect_status(reply, 200)
    entry = await case.one_upstream_call(token)
    told = f"{entry.row['path']} {dict(entry.headers)} {entry.row['body']}"
    assert secret not in told, f"the caller's key went upstream: {told}"
    assert await case.charged() == oracle.charge_uc(document["model"], entry.usage)


@requirement("GEM-003")
@over(
    stream=MODES,
    answer=(
        "tokens=200 input_tokens=50 output_tokens=200 reasoning_tokens=0",
        "tokens=30 input_tokens=501 output_tokens=400 reasoning_tokens=300",
        "native=url_context",
    ),
)
async def test_charged_by_last_usage(case: Case, stream: bool, answer: str) -> None:
    """Counts grow from chunk to chunk, thoughts stand beside the candidates, tools read pages into the prompt."""
    tools: list[dict[str, Any]] | None = [{"urlContext": {}}] if "url_context" in answer else None
    reply = await case.ask("gemini", stream=stream, answer=answer, tools=tools)
    expect_status(reply, 200)
    await charged_by(case, reply)
    entry = await case.one_upstream_call(reply)
    heard = reply.heard.usage
    assert heard is not None, "the reply tells no usage"
    due, came = ((told.input_tokens, told.output_tokens) for told in (entry.usage, heard))
    assert came == due, f"the client was told {came}, the upstream told {due}"
    row = (await case.books(rows=1)).row
    assert (row["inputTokens"], row["outputTokens"]) == due, f"the log says {row}; due {due}"


@requirement("GEM-004")
@over(stream=MODES)
async def test_signatures_survive(case: Case, stream: bool) -> None:
    """A call is signed, the next turn brings it back: the upstream takes it only with its signature."""
    token = case.fresh()
    asked = {"role": "user", "parts": [{"text": f"How warm is it? {case.marks(token, answer='tool=get_weather')}"}]}
    model = signing(case)
    first = await case.ask("gemini", token=token, stream=stream, contents=[asked], tools=OFFERED, model=model)
    expect_status(first, 200)
    calls = [part for part in first.heard.blocks if "functionCall" in part]
    assert calls, f"no call came: {first}"
    assert first.heard.signatures, f"no signature came: {first.heard.blocks}"
    result = {"functionResponse": {"name": "get_weather", "response": {"degrees": 18}}}
    if calls[0]["functionCall"].get("id"):
        result["functionResponse"]["id"] = calls[0]["functionCall"]["id"]
    again = case.fresh()
    turns = [
        {"role": "user", "parts": [{"text": f"How warm is it? {case.marks(again)}"}]},
        {"role": "model", "parts": first.heard.blocks},
        {"role": "user", "parts": [result]},
    ]
    second = await case.ask(
        "gemini", token=again, stream=stream, contents=turns, tools=OFFERED, model=first.sent.document["model"]
    )
    expect_status(second, 200)
    entry = await case.one_upstream_call(second)
    assert entry.body["contents"] == turns, "the turns were changed on the way"
    assert (await case.books(rows=2)).charged_uc > 0


@requirement("GEM-004")
async def test_signature_without_text(case: Case) -> None:
    """A streamed text ends with a part that has a signature and no text: the parts arrive as the upstream sent them."""
    model = signing(case)
    reply = await case.ask("gemini", stream=True, answer="tokens=12 reasoning_tokens=20", model=model)
    expect_status(reply, 200)
    entry = await case.one_upstream_call(reply)
    signed = [part for part in reply.heard.blocks if part.get("thoughtSignature")]
    assert signed, f"no signature came: {reply.heard.blocks[-3:]}"
    assert await case.charged() == oracle.charge_uc(reply.sent.document["model"], entry.usage)


@requirement("GEM-005")
@over(stream=MODES)
async def test_request_unchanged(case: Case, stream: bool) -> None:
    """Gemini's own fields, all of them, and what nobody knows; only `model` and `stream` stand in the URL."""
    token = case.fresh()
    fields: dict[str, Any] = {
        "contents": [
            {"role": "user", "parts": [{"text": f"{AWKWARD} {case.marks(token)}"}, {"text": "second"}]},
        ],
        "systemInstruction": {"parts": [{"text": CJK}]},
        "generationConfig": {
            "temperature": 0, "topP": 0.5, "maxOutputTokens": 64, "stopSequences": ["END"],
            "thinkingConfig": {"includeThoughts": True},
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "tools": OFFERED,
        "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
    }  # fmt: skip
    reply = await case.ask("gemini", token=token, stream=stream, **fields)
    expect_status(reply, 200)
    entry = await case.one_upstream_call(reply)
    assert entry.body == fields, f"the upstream got {entry.body}"
    assert await case.charged() == oracle.charge_uc(reply.sent.document["model"], entry.usage)


@requirement("GEM-006")
@over(stream=MODES)
async def test_openai_shape(case: Case, stream: bool) -> None:
    """`messages` in, a chat completion out, under Gemini's key header; charged by its usage."""
    token = case.fresh()
    said = 'say="in the other shape"'
    shape = openai_shape(f"Hi. {case.marks(token, answer=said)}")
    reply = await case.ask("gemini", token=token, stream=stream, **shape)
    expect_text(reply, "in the other shape")
    told = reply.events[0].json if reply.is_stream else reply.json
    due = "chat.completion.chunk" if stream else "chat.completion"
    assert told["object"] == due, f"object {told.get('object')!r}; due {due}"
    await charged_by(case, reply)
    assert (await case.books(rows=1)).row["endpoint"] == "/v1/gemini"


@requirement("GEM-007")
@over(shape=("native", "openai"), kind=("chat", "messages"))
async def test_other_models_refused(case: Case, shape: str, kind: str) -> None:
    """Models of other vendors."""
    token = case.fresh()
    fields = openai_shape(f"Hi. {case.marks(token)}") if shape == "openai" else {}
    reply = await case.ask("gemini", token=token, models=kind, **fields)
    expect_status(reply, 400, "invalid_request_error")
    await case.nothing_upstream(reply)
    assert (await case.books()).charged_uc == 0


@requirement("GEM-007")
@over(fields=("both", "none", "empty", "cached"))
async def test_ambiguous_refused(case: Case, fields: str) -> None:
    """Both shapes, none, nothing in it, a cache that all users would share."""
    changes: dict[str, dict[str, Any]] = {
        "both": {"messages": [{"role": "user", "content": "Hi."}]},
        "none": {"contents": None},
        "empty": {"contents": []},
        "cached": {"cachedContent": "cachedContents/abc"},
    }
    reply = await case.ask("gemini", **changes[fields])
    expect_status(reply, 400, "invalid_request_error")
    await case.nothing_upstream(reply)
    assert (await case.books()).charged_uc == 0


@requirement("GEM-008")
@over(method=SDK_METHODS)
async def test_sdk_paths(case: Case, method: str) -> None:
    """What Google's SDKs make of the base URL: whole, as events, as one JSON array."""
    token = case.fresh()
    document = await case.document("gemini", token, "Hi.", {"answer": 'say="over the SDK"'})
    model = document.pop("model")
    url = f"{case.url('gemini')}/v1beta/models/{model}:{method}"
    reply = await case.request(
        "POST", url, headers=await case.headers("gemini", None), body=orjson.dumps(document), wire="gemini"
    )
    expect_status(reply, 200)
    is_array = method == "streamGenerateContent"
    if is_array:
        assert isinstance(reply.document, list), f"a JSON array was due: {reply}"
    heard = gemini_generate.read_chunks((chunk, 0.0) for chunk in reply.document) if is_array else reply.heard
    assert heard.text == "over the SDK", f"came {heard.text!r}: {reply}"
    entry = await case.one_upstream_call(token)
    assert await case.charged() == oracle.charge_uc(model, entry.usage)


@requirement("GEM-009")
@over(fault=("cut_stream after_frames=2", "reset after_frames=2", "error_event after_frames=2"))
async def test_death_is_no_end(case: Case, fault: str) -> None:
    """The upstream dies in the answer: the client must not take what came for whole; what came is charged."""
    reply = await case.ask("gemini", stream=True, fault=fault, answer="tokens=400")
    entry = (await case.reached(fault.split()[0], reply))[-1]
    expect_status(reply, 200)
    assert reply.heard.error, f"no error came: {reply}"
    assert not reply.heard.stops, f"finishReason {reply.heard.stops} of an answer that broke off"
    assert not reply.complete, "the body ended as a whole one does"
    books = await case.books(rows=1)
    assert books.row["status"] == "upstream_failed", f"the log says {books.row['status']}"
    if case.policies.upstream_death == "free":
        assert books.charged_uc == 0, f"charged {books.charged_uc} uc"
    else:
        most = oracle.charge_uc(reply.sent.document["model"], entry.usage) if entry.told else books.charged_uc
        assert 0 < books.charged_uc <= most, f"charged {books.charged_uc} uc; at most {most}"


@requirement("GEM-010")
@over(stream=MODES, fault=("status=503", "status=429", "reset", "error_in_200"))
async def test_second_target_answers(case: Case, stream: bool, fault: str) -> None:
    """The first target fails before any content: the second's answer alone, charged once."""
    first, second, *_ = case.chain("gemini")
    reply = await case.ask("gemini", stream=stream, fault=f"{fault} provider={first}", answer='say="from the second"')
    entries = await case.reached(fault.split("=")[0], reply)
    assert providers(entries)[-1] == second, f"calls {providers(entries)}"
    assert providers(entries).count(second) == 1, f"calls {providers(entries)}"
    expect_text(reply, "from the second")
    assert await case.charged() == oracle.charge_uc(reply.sent.document["model"], entries[-1].usage)
