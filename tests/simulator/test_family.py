"""The OpenAI-compatible family: what is true of every row, and what is true of one vendor's bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson
import pytest
from openai import OpenAI

from simulator import providers
from simulator.dialects import DIALECTS
from simulator.faults import Flawed
from tests.simulator.family import (
    CHAT,
    FIRST,
    PLACES,
    QUERY,
    Place,
    asked,
    chunks,
    put_together,
    raw,
    streamed,
    told,
    whole,
)
from tests.simulator.live import Live, running

WITHOUT_THOUGHTS = {"xai", "xai_grok2", "xai_grok4", "azure_models", "gemini_compat"}  # in completion_tokens
PROMPTS = ["Hello", "Hello [[answer: reasoning]]", "[[answer: refusal]]", "[[answer: length]]", "[[answer: tokens=1]]"]
PROMPTS += ["[[answer: tool_call]]", "[[answer: tool_call say='Let me see.']]", "[[answer: tool_call tool_calls=2]]"]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def url(fleet: Live) -> str:
    return "http://{}:{}".format(*fleet.address)


def cases() -> Iterator[tuple[Place, str]]:
    for place in PLACES.values():
        for model in place.models():
            yield place, model


@pytest.mark.parametrize(("place", "model"), list(cases()), ids=lambda part: getattr(part, "name", part))
def test_a_stream_says_what_the_json_says(place: Place, model: str) -> None:
    """Text, thoughts, calls, reason and usage are the same, and the usage is the true one by the vendor's sum."""
    if place.mount.facts.get("always_stream"):
        return
    for prompt in PROMPTS:
        for count in (1, 2):
            body = asked(place, model, prompt, **({"n": 2} if count == 2 else {}))
            script, answer = place.said(body)
            assert script.status == 200, raw(script)
            assert answer is not None
            reply = orjson.loads(raw(script))
            live, _ = place.said(streamed(body))
            found = chunks(raw(live))
            said = put_together(found)
            assert said == whole(reply), prompt
            usage = reply["usage"]
            assert usage["prompt_tokens"] == answer.usage.input_tokens
            assert usage["total_tokens"] - usage["prompt_tokens"] == answer.usage.output_tokens
            silent = answer.usage.reasoning_tokens if place.form in WITHOUT_THOUGHTS else 0
            assert usage["completion_tokens"] == answer.usage.output_tokens - silent
            assert answer.told == answer.usage
            counts = ("prompt_tokens", "completion_tokens", "total_tokens")
            last = told(found)
            assert last is not None, f"{place.name} told no usage"
            assert {key: last[key] for key in counts} == {key: usage[key] for key in counts}


@pytest.mark.parametrize(("place", "model"), list(cases()), ids=lambda part: getattr(part, "name", part))
def test_the_nonce_is_in_every_reply_and_nothing_else_differs(place: Place, model: str) -> None:
    """A ready-made reply is one with another nonce put in."""
    for body in (asked(place, model, "Hello"), streamed(asked(place, model, "[[answer: tool_call]]"))):
        first, second = (place.said(body, attempt)[0] for attempt in (0, 1))
        marks = [place.serving(attempt).nonce for attempt in (0, 1)]
        assert marks[0] != marks[1]
        assert raw(first).replace(marks[0].encode(), marks[1].encode()) == raw(second)
        headers = [(name, value.replace(marks[0], marks[1])) for name, value in first.headers]
        assert headers == list(second.headers)


@pytest.mark.parametrize("row", list(FIRST))
def test_the_official_sdk_reads_every_row(fleet: Live, row: str) -> None:
    """Against the row with all its habits: the stream's text is the JSON's, and the journal knows the usage."""
    place = FIRST[row]
    model = place.models()[-1]
    base = f"{url(fleet)}{place.path(model).removesuffix('/chat/completions')}"
    key = place.headers()
    query = dict([QUERY.split("=")]) if "query" in place.mount.facts else {}
    client = OpenAI(base_url=base, api_key=place.row.key, default_headers=key, default_query=query, max_retries=0)
    text = f"Hello [[case:family-{row}]]"
    messages: Any = [{"role": "user", "content": text}]
    parts = list(client.chat.completions.create(model=model, messages=messages, stream=True))
    deltas = [choice.delta.content for part in parts for choice in part.choices if choice.delta]
    said = "".join(content for content in deltas if isinstance(content, str))  # thoughts may be parts of a list
    if not place.mount.facts.get("always_stream"):
        reply = client.chat.completions.create(model=model, messages=messages)
        content: Any = reply.choices[0].message.content
        assert said == (content if isinstance(content, str) else content[-1]["text"])
        assert reply.usage is not None
        entry = fleet.journal(f"family-{row}")[-1]
        assert entry["usage_told"] == entry["usage_true"]
        assert reply.usage.total_tokens == sum(entry["usage_true"][key] for key in ("input_tokens", "output_tokens"))
    assert said
    client.close()


def test_every_text_model_of_the_catalogue_is_at_its_vendor_and_at_the_aggregator() -> None:
    homes = {"DeepSeek": "deepseek", "Alibaba": "qwen", "Zhipu AI": "glm", "Moonshot": "kimi", "MiniMax": "minimax"}
    names = {"deepseek-v3.2": "DeepSeek", "qwen3.5-plus": "Alibaba", "qwen3.5-flash": "Alibaba", "qwen3-max": "Alibaba"}
    names |= {"glm-5": "Zhipu AI", "kimi-k2.5": "Moonshot", "MiniMax-M2.5": "MiniMax"}
    for model, vendor in names.items():
        for row in (homes[vendor], "aggregator", "aggregator-eu", "aggregator-sse"):
            assert FIRST[row].mount.profile(row, model) is not None, (row, model)
    for row in ("aggregator", "aggregator-eu"):
        assert FIRST[row].mount.profile(row, "nano-banana-2") is not None
        assert FIRST[row].mount.profile(row, "gemini-3.1-pro") is not None


@pytest.mark.parametrize("row", list(FIRST))
def test_models_are_listed_with_their_owner(fleet: Live, row: str) -> None:
    place = FIRST[row]
    path = place.path("x").replace("/chat/completions", "/models")
    with urlopen(Request(url(fleet) + path, headers=place.headers())) as got:
        reply = orjson.loads(got.read())
    rows = reply["data"]
    assert reply["object"] == "list"
    assert set(place.mount.snapshots()) <= {model["id"] for model in rows}
    assert {model["owned_by"] for model in rows} == {place.mount.facts.get("owned_by", "openai")}


def test_the_page_of_providers_has_every_row_at_its_paths() -> None:
    page = (Path(__file__).parents[2] / "docs" / "wires" / "openai-compatible.md").read_text()
    table = page.partition("\n| row |")[2].partition("\n\n")[0]
    lines = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    for row, place in FIRST.items():
        if (place.form == "openai" and "aggregator" not in row) or row == "gemini-eu":
            continue
        for root in (root for mount in place.row.mounts if mount.dialect is CHAT for root in mount.roots):
            assert f"`{root or '/'}`" in lines[row], row
    assert lines.keys() <= FIRST.keys()


@pytest.mark.parametrize(
    ("facts", "flaw"),
    [
        ({"form": "morse"}, "providers[0].dialects[0].facts.form: came 'morse'; due one of avian, "),
        ({"forms": {"a*": "morse"}}, "providers[0].dialects[0].facts.forms: came 'morse'; due one of avian, "),
        ({"errors": "loud"}, "providers[0].dialects[0].facts.errors: came 'loud'; due one of azure, "),
        ({"nonces": "runes"}, "providers[0].dialects[0].facts.nonces: came 'runes'; due one of letters, "),
    ],
)
def test_a_row_that_names_what_is_not_there_is_told(facts: dict[str, Any], flaw: str) -> None:
    row = {"name": "acme", "region": "moon-1", "dialects": [{"dialect": "openai_chat", "facts": facts}]}
    with pytest.raises(Flawed) as caught:
        providers.read({"providers": [row]}, DIALECTS, 1)
    assert str(caught.value.flaws[0]).startswith(flaw)
