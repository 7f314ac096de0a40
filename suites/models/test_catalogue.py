"""The catalogue: what is listed, what can be called, and what is none of it."""

from __future__ import annotations

from typing import Any

from schemas.catalogue import ALIASES, MODELS, Model
from suites import oracle
from suites.case import Case, expect_status
from suites.requirement import MODES, over, requirement

CHAT = [model for model in MODELS.values() if "chat" in model.endpoints]
MESSAGES = [model for model in MODELS.values() if "messages" in model.endpoints]
OLDER = [name for name, ident in ALIASES.items() if "messages" in MODELS[ident].endpoints]
MEDIA = [next(m for m in MODELS.values() if m.kind == kind) for kind in ("image", "video", "audio")]
TIERED = [model for model in CHAT + MESSAGES if model.min_top_up_uc]
STRANGE = {
    "upper case": "GPT-5.5",
    "blank before": " gpt-5.5",
    "blank after": "gpt-5.5 ",
    "vendor": "openai/gpt-5.5",
    "suffix": "gpt-5.5:free",
    "tag": "gpt-5.5@latest",
    "query": "gpt-5.5?x=1",
    "fragment": "gpt-5.5#a",
    "path": "../../v1/models",
    "path of a model": "gpt-5.5/../gpt-5",
    "encoded": "gpt%2D5.5",
    "nul": "gpt-5.5\x00",
    "line break": "gpt-5.5\r\nx-evil: 1",
    "other hyphen": "gpt\u20115.5",
    "star": "*",
    "long": "a" * 5000,
}


@requirement("MOD-001")
async def test_all_listed(case: Case) -> None:
    """All ids, once each."""
    reply = await case.get("models")
    expect_status(reply, 200)
    ids = [row["id"] for row in reply.json["data"]]
    missing, strange = sorted(MODELS.keys() - set(ids)), sorted(set(ids) - MODELS.keys() - ALIASES.keys())
    assert not missing, f"not listed: {missing}"
    assert not strange, f"listed, but not in the reference: {strange}"
    assert len(ids) == len(set(ids)), "some are listed twice"


async def served_and_charged(case: Case, endpoint: str, name: str, stream: bool) -> None:
    """One call with scripted usage: the answer, and the exact charge."""
    reply = await case.ask(
        endpoint, model=name, stream=stream, answer="tokens=4 input_tokens=137 output_tokens=59 reasoning_tokens=7"
    )
    expect_status(reply, 200)
    assert reply.heard.text, f"text was due: {reply}"
    entry = await case.one_upstream_call(reply)
    due = oracle.charge_uc(name, entry.usage)
    charged = await case.charged()
    assert charged == due, f"{name} charged {charged} uc for {entry.usage}; due {due}"


@requirement("MOD-002")
@over(model=CHAT, stream=MODES)
async def test_chat_model(case: Case, model: Model, stream: bool) -> None:
    """Each model of the list."""
    await served_and_charged(case, "chat", model.id, stream)


@requirement("MOD-003")
@over(name=(*(m.id for m in MESSAGES), *OLDER), stream=MODES)
async def test_messages_model(case: Case, name: str, stream: bool) -> None:
    """Each model and alias of the list."""
    await served_and_charged(case, "messages", name, stream)


@requirement("MOD-004")
@over(endpoint=("chat", "messages"), stream=MODES)
async def test_unknown_model(case: Case, endpoint: str, stream: bool) -> None:
    """The refusal helps: it lists what can be called here."""
    reply = await case.ask(endpoint, model="no-such-model", stream=stream)
    expect_status(reply, 400, "invalid_request_error")
    assert "no-such-model" in (reply.error or ("", ""))[1], f"the message does not name the model: {reply}"
    listed = reply.json.get("available_models")
    assert isinstance(listed, list), f"available_models is missing: {reply}"
    due = {model.id for model in MODELS.values() if endpoint in model.endpoints}
    assert due <= set(listed), f"available_models lacks {sorted(due - set(listed))[:5]}"
    assert set(listed) <= MODELS.keys() | ALIASES.keys(), (
        f"available_models invents {sorted(set(listed) - MODELS.keys())[:5]}"
    )
    await case.nothing_upstream()


@requirement("MOD-005")
@over(endpoint=("chat", "messages"))
async def test_upstream_names_closed(case: Case, endpoint: str) -> None:
    """The name that the upstream's reply bears."""
    first = await case.ask(endpoint)
    expect_status(first, 200)
    snapshot = first.heard.model
    if snapshot in MODELS or snapshot in ALIASES:
        return  # the gateway shows its own name, so the upstream's is not known to callers
    reply = await case.ask(endpoint, model=snapshot)
    expect_status(reply, 400, "invalid_request_error")
    await case.nothing_upstream(reply)


@requirement("MOD-006")
@over(endpoint=("chat", "messages"), what=tuple(STRANGE))
async def test_strange_names(case: Case, endpoint: str, what: str) -> None:
    """Names that look like a model, a path, or an attack."""
    reply = await case.ask(endpoint, model=STRANGE[what])
    expect_status(reply, 400, "invalid_request_error")
    await case.nothing_upstream()


@requirement("MOD-007")
@over(model=MEDIA, endpoint=("chat", "messages"))
async def test_media_model(case: Case, endpoint: str, model: Model) -> None:
    """One of each kind."""
    expect_status(await case.ask(endpoint, model=model.id), 400, "invalid_request_error")
    await case.nothing_upstream()


@requirement("MOD-008")
@over(path=("/api/v1/models", "/v1/models", "/api/v1/v1/models"))
async def test_alias_paths(case: Case, path: str) -> None:
    """What SDKs call, given either base URL."""
    headers = {"authorization": f"Bearer {await case.secret(None)}"}
    reply = await case.request("GET", case.target.root_url + path, headers=headers)
    expect_status(reply, 200)
    assert {row["id"] for row in reply.json["data"]} >= MODELS.keys(), "not the whole list"


@requirement("MOD-010")
@over(model=TIERED[:2])
async def test_tier(case: Case, model: Model) -> None:
    """Just below the tier: refused. Topped up to it, and even with some of it spent: served."""
    user = await case.use(uc=model.min_top_up_uc - 1)
    flagship: dict[str, Any] = {"model": model.id, "max_completion_tokens": 16, "answer": "tokens=3"}
    reply = await case.chat(**flagship)
    expect_status(reply, 403, "access_denied")
    await case.nothing_upstream(reply)
    await case.admin.top_up(user.id, 1)
    expect_status(await case.chat(answer="tokens=3"), 200)
    books = await case.books(rows=1)
    assert books.balance_uc < model.min_top_up_uc, "some of the top-up was spent"
    expect_status(await case.chat(**flagship), 200)
