"""The OpenAI-compatible family: what tells a vendor from the others, in the raw bytes of its replies."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.simulator.family import FIRST, NOW_S, asked, chunks, put_together, raw, streamed

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
Check = Callable[[bytes, bytes], bool]  # (the JSON reply, the stream) -> whether it is so
TOOLS = "[[answer: tool_call]]"
TWO = "[[answer: tool_call tool_calls=2]]"


def choices(data: bytes) -> list[dict[str, Any]]:
    return [choice for chunk in chunks(data) for choice in chunk["choices"]]


def finishes(data: bytes) -> list[dict[str, Any]]:
    return [chunk for chunk in chunks(data) if any(choice.get("finish_reason") for choice in chunk["choices"])]


CHECKLIST: list[tuple[str, str, str, str, Check]] = [
    ("deepseek", "deepseek-reasoner", "Hello", "the id is a bare UUID", lambda j, s: bool(re.match(rf'\{{"id":"{UUID}",', j.decode()))),
    ("deepseek", "deepseek-reasoner", "Hello", "the first chunk opens the thoughts with null beside them", lambda j, s: b'"delta":{"role":"assistant","content":null,"reasoning_content":""}' in s.split(b"\n\n")[0]),
    ("deepseek", "deepseek-reasoner", "Hello", "usage:null in every chunk but the finish, which tells it", lambda j, s: [c["usage"] is not None for c in chunks(s)].index(True) == len(chunks(s)) - 1 and bool(finishes(s)[-1]["usage"])),
    ("deepseek", "deepseek-chat", "Hello", "hit and miss add up to the prompt", lambda j, s: (u := orjson.loads(j)["usage"])["prompt_cache_hit_tokens"] + u["prompt_cache_miss_tokens"] == u["prompt_tokens"]),
    ("deepseek", "deepseek-chat", TWO, "ids of calls count, and JSON has their index", lambda j, s: [(c["id"][:8], c["index"]) for c in orjson.loads(j)["choices"][0]["message"]["tool_calls"]] == [("call_00_", 0), ("call_01_", 1)]),
    ("deepseek", "deepseek-chat", "Hello", "[DONE]", lambda j, s: s.endswith(b"data: [DONE]\n\n")),
    ("qwen", "qwen3-max", "Hello", "choices come first, the id last", lambda j, s: list(orjson.loads(j))[0] == "choices" and list(orjson.loads(j))[-1] == "id"),
    ("qwen", "qwen3-max", "Hello", "the usage has a last chunk of its own", lambda j, s: chunks(s)[-1]["choices"] == [] and bool(chunks(s)[-1]["usage"])),
    ("qwen", "qwen3-max", TOOLS, "later deltas of a call have an empty id and a type", lambda j, s: b'"index":0,"id":"","type":"function","function":{"arguments":"' in s),
    ("qwen", "qwen3-max", TOOLS, "a stray delta without finish_reason comes before the finish", lambda j, s: "finish_reason" not in choices(s)[-2] and choices(s)[-2]["delta"]["tool_calls"][0]["function"]["arguments"] == ""),
    ("glm", "glm-5", "Hello", "30 characters of id, a time first; also as request_id", lambda j, s: bool(re.fullmatch(r"20\d{12}[0-9a-f]{16}", orjson.loads(j)["id"])) and orjson.loads(j)["request_id"] == orjson.loads(j)["id"]),
    ("glm", "glm-5", TOOLS, "the role in every delta", lambda j, s: all(c["delta"]["role"] == "assistant" for c in choices(s))),
    ("glm", "glm-5", "Hello", "finish_reason only in the last chunk, before the delta", lambda j, s: ["finish_reason" in c for c in choices(s)].count(True) == 1 and list(choices(s)[-1]).index("finish_reason") < list(choices(s)[-1]).index("delta")),
    ("glm", "glm-5", "Hello", "no `object`, and the usage in the finish", lambda j, s: "object" not in chunks(s)[0] and bool(finishes(s)[0]["usage"])),
    ("kimi", "kimi-k2.5", "Hello", "the usage in the choice that finishes and once more at the end", lambda j, s: choices(s)[-1]["usage"] == chunks(s)[-1]["usage"] and chunks(s)[-1]["choices"] == []),
    ("kimi", "kimi-k2.5", TOOLS, "ids of calls bear their name", lambda j, s: b'"id":"functions.get_weather:0"' in s),
    ("minimax", "MiniMax-M2.5", "Hello", "thoughts in tags within the text", lambda j, s: orjson.loads(j)["choices"][0]["message"]["content"].startswith("<think>\n") and "</think>" in put_together(chunks(s))[0].text),
    ("minimax", "MiniMax-M2.5", "Hello", "base_resp beside the answer", lambda j, s: orjson.loads(j)["base_resp"] == {"status_code": 0, "status_msg": ""}),
    ("xai", "grok-3-mini", "Hello", "completion_tokens without the reasoning, which the total has", lambda j, s: (u := orjson.loads(j)["usage"])["total_tokens"] == u["prompt_tokens"] + u["completion_tokens"] + u["completion_tokens_details"]["reasoning_tokens"] and u["completion_tokens_details"]["reasoning_tokens"] > 0),
    ("xai", "grok-3", "Hello", "neither finish_reason nor logprobs until the end; the role beside the first text", lambda j, s: set(choices(s)[0]) == {"index", "delta"} and list(choices(s)[0]["delta"]) == ["content", "role"]),
    ("xai", "grok-4-0709", "[[answer: reasoning]]", "an empty chunk for each token thought in secret", lambda j, s: s.count(b'"delta":{}}') == chunks(s)[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"]),
    ("azure", "gpt-4o", "Hello", "first a chunk without choices, with verdicts on the prompt", lambda j, s: s.startswith(b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[')),
    ("azure", "gpt-4o", "Hello", "keys in the order of the alphabet", lambda j, s: all(list(c) == sorted(c) for c in [orjson.loads(j), *chunks(s)[1:]])),
    ("azure", "gpt-4o", "Hello", "a verdict on every choice; none in the role's", lambda j, s: choices(s)[0]["content_filter_results"] == {} and "hate" in choices(s)[1]["content_filter_results"]),
    ("openrouter", "moonshotai/kimi-k2.5", "Hello", "two chunks that finish, the second with the usage and the cost", lambda j, s: len(finishes(s)) == 2 and "usage" not in finishes(s)[0] and finishes(s)[1]["usage"]["cost"] > 0),
    ("openrouter", "moonshotai/kimi-k2.5", "Hello", "gen-, the second, 20 characters", lambda j, s: bool(re.fullmatch(rf"gen-{NOW_S}-[A-Za-z0-9]{{20}}", orjson.loads(j)["id"]))),
    ("openrouter", "moonshotai/kimi-k2.5", "Hello", "the role, the provider and its own word for the end", lambda j, s: all(c["delta"]["role"] == "assistant" and "native_finish_reason" in c for c in choices(s)) and chunks(s)[0]["provider"] == "Fleet"),
    ("groq", "openai/gpt-oss-120b", "Hello", "x_groq in the first chunk, its usage and the plain one in the finish", lambda j, s: "id" in chunks(s)[0]["x_groq"] and finishes(s)[0]["x_groq"]["usage"] == finishes(s)[0]["usage"]),
    ("groq", "openai/gpt-oss-120b", TOOLS, "a whole call in one chunk, of a 9-character id", lambda j, s: s.count(b'"tool_calls":[') == 1 and len(orjson.loads(j)["choices"][0]["message"]["tool_calls"][0]["id"]) == 9),
    ("groq", "openai/gpt-oss-120b", "Hello", "thoughts in `reasoning` with a channel", lambda j, s: b'"channel":"analysis"' in s and b"reasoning_content" not in s),
    ("mistral", "magistral-medium-latest", "Hello", "thoughts as parts of the content", lambda j, s: b'"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"' in s),
    ("mistral", "mistral-small-latest", TOOLS, "a call, the reason and the usage in one chunk", lambda j, s: bool(finishes(s)[0]["usage"]) and "tool_calls" in finishes(s)[0]["choices"][0]["delta"]),
    ("mistral", "mistral-small-latest", "Hello", "32 hexadecimal digits, padding in `p`", lambda j, s: bool(re.fullmatch(r"[0-9a-f]{32}", orjson.loads(j)["id"])) and "p" in chunks(s)[1]),
    ("together", "deepseek-ai/DeepSeek-R1", "Hello", "the text twice, once beside the delta", lambda j, s: all(c["text"] == c["delta"]["content"] for c in choices(s))),
    ("vllm", "zai/GLM-5.2", "Hello", "prompt_token_ids in the first chunk, the fingerprint in the usage's", lambda j, s: "prompt_token_ids" in chunks(s)[0] and "system_fingerprint" not in chunks(s)[0] and chunks(s)[-1]["system_fingerprint"].startswith("vllm-")),
    ("vllm", "zai/GLM-5.2", "Hello", "prompt, total, completion", lambda j, s: list(chunks(s)[-1]["usage"])[:3] == ["prompt_tokens", "total_tokens", "completion_tokens"]),
    ("novita", "meta-llama/llama-3.1-8b-instruct", "Hello", "details of the usage are null", lambda j, s: orjson.loads(j)["usage"]["prompt_tokens_details"] is None),
    ("hyperbolic", "meta-llama/Llama-3.3-70B-Instruct", "Hello", "the usage grows from chunk to chunk", lambda j, s: (n := [c["usage"]["completion_tokens"] for c in chunks(s)]) == sorted(n) and n[0] < n[-1]),
    ("perplexity", "sonar", "Hello", "CRLF, citations everywhere, no [DONE]", lambda j, s: s.endswith(b"\r\n\r\n") and b"[DONE]" not in s and all(c["citations"] for c in chunks(s))),
    ("cerebras", "gpt-oss-120b", "Hello", "time_info in the finish, no [DONE]", lambda j, s: "time_info" in finishes(s)[0] and b"[DONE]" not in s),
    ("gemini", "gemini-3.1-pro", TOOLS, "calls without an index, with a signature", lambda j, s: "index" not in (c := choices(s)[0]["delta"]["tool_calls"][0]) and "thought_signature" in c["extra_content"]["google"]),
    ("aggregator", "glm-5", "Hello", "OpenAI's order of keys, reasoning_content, no padding", lambda j, s: b"reasoning_content" in s and b"obfuscation" not in s),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "model", "prompt", "check"),
    [(row, model, prompt, check) for row, model, prompt, _, check in CHECKLIST],
    ids=[f"{row[0]}: {row[3]}" for row in CHECKLIST],
)
def test_the_checklist(row: str, model: str, prompt: str, check: Check) -> None:
    """What tells a vendor from the others, in the raw bytes."""
    place = FIRST[row]
    body = asked(place, model, prompt)
    json_reply, _ = place.said(body)
    stream, _ = place.said(streamed(body))
    assert json_reply.status == stream.status == 200, raw(json_reply)
    assert check(raw(json_reply), raw(stream)), raw(stream).decode()
