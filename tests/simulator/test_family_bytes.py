"""The OpenAI-compatible family: what tells a vendor from the others, in the raw bytes of its replies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from tests.simulator.family import FIRST, NOW_S, PLACES, Place, asked, chunks, put_together, raw, streamed

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TOOLS = "[[answer: tool_call]]"
TWO = "[[answer: tool_call tool_calls=2]]"


@dataclass
class Spoken:
    """The JSON reply and the stream to one prompt."""

    place: Place
    model: str
    prompt: str = "Hello"

    @cached_property
    def body(self) -> dict[str, Any]:
        script, _ = self.place.said(asked(self.place, self.model, self.prompt))
        assert script.status == 200, raw(script)
        found: dict[str, Any] = orjson.loads(raw(script))
        return found

    @cached_property
    def stream(self) -> bytes:
        script, _ = self.place.said(streamed(asked(self.place, self.model, self.prompt)))
        assert script.status == 200, raw(script)
        return raw(script)

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["choices"][0]["message"]
        return found

    @property
    def usage(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["usage"]
        return found

    @cached_property
    def chunks(self) -> list[dict[str, Any]]:
        return chunks(self.stream)

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [choice for chunk in self.chunks for choice in chunk["choices"]]

    @property
    def ends(self) -> list[dict[str, Any]]:
        """The chunks that tell why a choice ended."""
        return [chunk for chunk in self.chunks if any(choice.get("finish_reason") for choice in chunk["choices"])]


def at(row: str, model: str, prompt: str = "Hello") -> Spoken:
    return Spoken(FIRST[row], model, prompt)


def test_deepseek() -> None:
    said = at("deepseek", "deepseek-reasoner")
    assert re.fullmatch(UUID, said.body["id"])
    assert said.choices[0]["delta"] == {"role": "assistant", "content": None, "reasoning_content": ""}
    assert said.choices[1]["delta"]["content"] is None
    assert said.choices[-2]["delta"]["reasoning_content"] is None
    assert [chunk["usage"] is not None for chunk in said.chunks].index(True) == len(said.chunks) - 1
    assert said.ends == said.chunks[-1:]
    assert said.choices[-1]["delta"] == {"content": "", "reasoning_content": None}
    assert said.stream.endswith(b"data: [DONE]\n\n")
    assert re.fullmatch(r"fp_[0-9a-f]{10}_prod0820_fp8_kvcache_20260402", said.body["system_fingerprint"])
    assert list(said.chunks[0]) == ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"]
    calls = at("deepseek", "deepseek-chat", TWO).message["tool_calls"]
    assert [(call["id"][:8], len(call["id"]), call["index"]) for call in calls] == [
        ("call_00_", 32, 0),
        ("call_01_", 32, 1),
    ]


def test_deepseek_caches_in_steps_of_64() -> None:
    place = FIRST["deepseek"]
    turns = [{"role": "user", "content": "word " * 300}, {"role": "assistant", "content": "Yes."}]
    body = {"model": "deepseek-chat", "messages": [*turns, {"role": "user", "content": "And now?"}]}
    usage = orjson.loads(raw(place.said(body)[0]))["usage"]
    hit = usage["prompt_cache_hit_tokens"]
    assert hit > 0
    assert hit % 64 == 0
    assert hit == usage["prompt_tokens_details"]["cached_tokens"]
    assert hit + usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]


def test_qwen() -> None:
    said = at("qwen", "qwen3-max")
    assert re.fullmatch(f"chatcmpl-{UUID}", said.body["id"])
    keys = list(said.body)
    assert (keys[0], keys[-1]) == ("choices", "id")
    assert said.body["system_fingerprint"] is None
    assert said.chunks[-1]["choices"] == []
    assert said.chunks[-1]["usage"]
    assert all(chunk["usage"] is None for chunk in said.chunks[:-1])
    called = at("qwen", "qwen3-max", TOOLS)
    assert b'"index":0,"id":"","type":"function","function":{"arguments":"' in called.stream
    *_, stray, end = called.choices
    assert "finish_reason" not in stray
    assert stray["delta"]["tool_calls"][0]["function"]["arguments"] == ""
    assert end["delta"] == {}


def test_qwen_thinks_when_it_is_asked_to() -> None:
    place = FIRST["qwen"]
    thought = orjson.loads(raw(place.said(asked(place, "qwen3-max", "Hello", enable_thinking=True))[0]))
    assert thought["choices"][0]["message"]["reasoning_content"]
    assert thought["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    plain = at("qwen", "qwen3-max")
    assert "reasoning_content" not in plain.message
    assert "completion_tokens_details" not in plain.usage
    refused, _ = place.said(asked(place, "qwen3-32b", "Hello", enable_thinking=True))
    assert refused.status == 400
    told = orjson.loads(raw(refused))["error"]["message"]
    assert told == "parameter.enable_thinking must be set to false for non-streaming calls"


def test_glm() -> None:
    said = at("glm", "glm-5", TOOLS)
    assert re.fullmatch(r"20\d{12}[0-9a-f]{16}", said.body["id"])
    assert said.body["request_id"] == said.body["id"]
    assert not {"logprobs", "system_fingerprint"} & {*said.body, *said.body["choices"][0]}
    assert all(choice["delta"]["role"] == "assistant" for choice in said.choices)
    assert ["finish_reason" in choice for choice in said.choices].index(True) == len(said.choices) - 1
    assert list(said.choices[-1]) == ["index", "finish_reason", "delta"]
    assert said.chunks[-1]["usage"]
    assert "object" not in said.chunks[0]
    place = FIRST["glm"]
    body = asked(place, "glm-5", "Hello", thinking={"type": "disabled"})
    assert "reasoning_content" not in orjson.loads(raw(place.said(body)[0]))["choices"][0]["message"]


def test_kimi() -> None:
    said = at("kimi", "kimi-k2.5")
    assert said.choices[-1]["usage"] == said.chunks[-1]["usage"]
    assert said.chunks[-1]["choices"] == []
    assert at("kimi", "kimi-k2.5", TOOLS).message["tool_calls"][0]["id"] == "functions.get_weather:0"


def test_minimax() -> None:
    said = at("minimax", "MiniMax-M2.5")
    assert re.fullmatch(r"<think>\n.+\n</think>\n\n.+", said.message["content"])
    assert put_together(said.chunks)[0].text == said.message["content"]
    assert said.body["base_resp"] == {"status_code": 0, "status_msg": ""}


def test_xai() -> None:
    said = at("xai", "grok-3-mini")
    thought = said.usage["completion_tokens_details"]["reasoning_tokens"]
    assert thought > 0
    assert said.usage["total_tokens"] == said.usage["prompt_tokens"] + said.usage["completion_tokens"] + thought
    assert said.usage["num_sources_used"] == 0
    assert said.usage["cost_in_usd_ticks"] > 0
    plain = at("xai", "grok-3")
    assert list(plain.choices[0]["delta"]) == ["content", "role"]
    assert all(set(choice) == {"index", "delta"} for choice in plain.choices[:-1])
    assert re.fullmatch(f"{UUID}_us-east-1", plain.body["id"])
    silent = at("xai", "grok-4-0709", "[[answer: reasoning]]")
    thought = silent.chunks[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert silent.stream.count(b'"delta":{}}') == thought > 0


def test_azure() -> None:
    said = at("azure", "gpt-4o")
    begins = (
        b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0'
    )
    assert said.stream.startswith(begins)
    assert all(list(found) == sorted(found) for found in [said.body, *said.chunks[1:]])
    assert said.choices[0]["content_filter_results"] == {}
    assert said.choices[1]["content_filter_results"]["violence"] == {"filtered": False, "severity": "safe"}
    assert len(said.body["id"]) == 38
    for frame in said.stream.split(b"\n\n")[1:-2]:
        assert len(frame.removeprefix(b"data: ")) % 16 == 1
    grok = Spoken(PLACES["azure/models"], "grok-3")
    assert grok.body["prompt_filter_results"] is None
    assert grok.usage["audio_prompt_tokens"] == 0


def test_openrouter() -> None:
    said = at("openrouter", "moonshotai/kimi-k2.5")
    assert re.fullmatch(rf"gen-{NOW_S}-[A-Za-z0-9]{{20}}", said.body["id"])
    first, second = said.ends
    assert "usage" not in first
    assert second["usage"]["cost"] > 0
    assert second["usage"]["is_byok"] is False
    assert all(choice["delta"]["role"] == "assistant" and "native_finish_reason" in choice for choice in said.choices)
    assert said.choices[0]["delta"]["reasoning_details"][0]["type"] == "reasoning.text"
    older = at("openrouter", "z-ai/glm-4.5-air")
    assert older.chunks[-1]["choices"][0]["finish_reason"] is None
    assert older.chunks[-1]["usage"]["cost_details"]["upstream_inference_cost"] is None


def test_groq() -> None:
    said = at("groq", "openai/gpt-oss-120b", TOOLS)
    assert said.chunks[0]["x_groq"]["id"].startswith("req_01")
    assert all("x_groq" not in chunk for chunk in said.chunks[1:-2])
    assert said.ends[0]["x_groq"]["usage"] == said.ends[0]["usage"] == said.chunks[-1]["usage"]
    assert said.choices[1]["delta"]["channel"] == "analysis"
    assert b"reasoning_content" not in said.stream
    assert said.stream.count(b'"tool_calls":[') == 1
    assert len(said.message["tool_calls"][0]["id"]) == 9
    assert {"queue_time", "prompt_time", "completion_time", "total_time"} <= said.usage.keys()


def test_mistral() -> None:
    said = at("mistral", "magistral-medium-latest")
    assert said.choices[1]["delta"]["content"][0]["type"] == "thinking"
    assert [part["type"] for part in said.message["content"]] == ["thinking", "text"]
    assert re.fullmatch(r"[0-9a-f]{32}", said.body["id"])
    assert said.chunks[1]["p"]
    called = at("mistral", "mistral-small-latest", TOOLS)
    (end,) = called.ends
    assert end["usage"]
    assert len(end["choices"][0]["delta"]["tool_calls"][0]["id"]) == 9


def test_servers_of_open_weights() -> None:
    together = at("together", "deepseek-ai/DeepSeek-R1")
    assert all(choice["text"] == choice["delta"]["content"] for choice in together.choices)
    assert together.message["content"].startswith("<think>\n")
    vllm = at("vllm", "zai/GLM-5.2")
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{16}", vllm.body["id"])
    assert "prompt_token_ids" in vllm.chunks[0]
    assert "token_ids" in vllm.choices[1]
    assert [chunk.get("system_fingerprint") for chunk in vllm.chunks[:-1]] == [None] * (len(vllm.chunks) - 1)
    assert vllm.chunks[-1]["system_fingerprint"].startswith("vllm-0.24.0-tp4-")
    assert list(vllm.chunks[-1]["usage"])[:3] == ["prompt_tokens", "total_tokens", "completion_tokens"]
    called = at("vllm", "zai/GLM-5.2", TOOLS).message["tool_calls"][0]
    assert re.fullmatch(r"chatcmpl-tool-[0-9a-f]{16}", called["id"])
    novita = at("novita", "meta-llama/llama-3.1-8b-instruct")
    assert novita.usage["prompt_tokens_details"] is None
    assert "sla_metrics" in Spoken(PLACES["huggingface/novita/v3/openai"], "meta-llama/llama-3.1-8b-instruct").chunks[0]
    growing = [chunk["usage"]["completion_tokens"] for chunk in at("hyperbolic", "llama3").chunks]
    assert growing == sorted(growing)
    assert growing[0] < growing[-1]
    cerebras = at("cerebras", "gpt-oss-120b")
    assert cerebras.chunks[-1]["time_info"]
    assert b"[DONE]" not in cerebras.stream


def test_perplexity() -> None:
    said = at("perplexity", "sonar")
    assert said.stream.endswith(b"\r\n\r\n")
    assert b"[DONE]" not in said.stream
    assert all(chunk["citations"] and chunk["usage"]["search_context_size"] == "low" for chunk in said.chunks)


def test_gemini_s_compatible_endpoint() -> None:
    place = FIRST["gemini"]
    said = Spoken(place, place.models()[0], "[[answer: tool_call reasoning_tokens=64]]")
    call = said.choices[0]["delta"]["tool_calls"][0]
    assert "index" not in call
    assert call["extra_content"]["google"]["thought_signature"]
    assert all(chunk["usage"] for chunk in said.chunks)
    assert said.usage["total_tokens"] - said.usage["prompt_tokens"] - said.usage["completion_tokens"] == 64


def test_vercel_tells_its_routing() -> None:
    said = at("vercel-ai-gateway", "openai/gpt-5")
    assert re.fullmatch(r"gen_01KK[0-9A-HJKMNP-TV-Z]{22}", said.body["id"])
    routing = said.message["provider_metadata"]["gateway"]["routing"]
    assert routing["originalModelId"] == "openai/gpt-5"
    assert said.ends[-1]["choices"][0]["delta"]["provider_metadata"]["gateway"]["routing"] | {"attempts": 0}
    assert "anthropic" in at("vercel-ai-gateway", "anthropic/claude-sonnet-4").message["provider_metadata"]
