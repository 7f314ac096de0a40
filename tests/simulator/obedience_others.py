"""The wires of Anthropic and Google, for `obedience`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.simulator.obedience import PLAIN, REASONER, Chat, Choice, Json, Order, Responses, Said, Used, Wire


class Messages(Wire):
    """Anthropic's Messages."""

    name = "anthropic_messages"
    provider = "anthropic"
    models: ClassVar = {PLAIN: "claude-sonnet-4-5", REASONER: "claude-opus-4-6"}
    words: ClassVar = {
        "end": "end_turn",
        "length": "max_tokens",
        "stop": "stop_sequence",
        "tool": "tool_use",
        "refusal": "refusal",
    }
    lacks: ClassVar = frozenset({"n", "seed", "logprobs", "allowed", "json"})

    def path(self, order: Order) -> str:
        return "/v1/messages"

    def headers(self, provider: str) -> dict[str, str]:
        return {"x-api-key": f"sk-ant-fleet-{provider}", "anthropic-version": "2023-06-01"}

    def body(self, order: Order) -> Json:
        body: Json = {"model": self.model(order), "messages": list(self._messages(order)), "stream": order.stream}
        body["max_tokens"] = 4096 if order.max_tokens is None else order.max_tokens
        body |= {"stop_sequences": list(order.stop)} if order.stop else {}
        tools = [{"name": tool["name"], "input_schema": tool["schema"]} for tool in order.tools]
        body |= {"tools": tools} if tools else {}
        choice: Json = {}
        if order.choice:
            kinds = {"none": "none", "auto": "auto", "required": "any"}
            named = {"type": "tool", "name": order.choice}
            choice = {"type": kinds[order.choice]} if order.choice in kinds else named
        if order.parallel is not None:
            choice = {"type": "auto"} | choice | {"disable_parallel_tool_use": not order.parallel}
        body |= {"tool_choice": choice} if choice else {}
        if order.schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": order.schema}}
        if order.effort:
            body |= {"output_config": {"effort": order.effort}, "thinking": {"type": "adaptive"}}
        return body

    def _messages(self, order: Order) -> Iterator[Json]:
        for at, text in enumerate(order.history):
            mark = {"cache_control": {"type": "ephemeral"}} if order.cache and at == len(order.history) - 1 else {}
            yield {"role": "assistant" if at % 2 else "user", "content": [{"type": "text", "text": text, **mark}]}
        content: list[Json] = [{"type": "text", "text": order.prompt}]
        if order.image:
            source = {"type": "base64", "media_type": "image/png", "data": order.image}
            content.insert(0, {"type": "image", "source": source})
        yield {"role": "user", "content": content}

    def read(self, reply: Json) -> Said:
        choice = Choice(stop=reply["stop_reason"])
        choice.refusal = (reply.get("stop_details") or {}).get("explanation") or ""
        for block in reply["content"]:
            choice.text += block["text"] if block["type"] == "text" else ""
            choice.calls += [(block["name"], block["input"])] if block["type"] == "tool_use" else []
        usage = reply["usage"]
        cached, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
        return Said(
            [choice], Used(usage["input_tokens"] + cached + written, usage["output_tokens"], thought, cached, written)
        )

    def join(self, events: list[Json]) -> Said:
        message: Json = {}
        inputs: dict[int, str] = {}
        for event in events:
            match event["type"]:
                case "message_start":
                    message = event["message"]
                case "content_block_start":
                    message["content"].append(event["content_block"])
                case "content_block_delta":
                    block, delta = message["content"][event["index"]], event["delta"]
                    if delta["type"] == "text_delta":
                        block["text"] += delta["text"]
                    elif delta["type"] == "input_json_delta":
                        inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
                case "message_delta":
                    message |= event["delta"]
                    message["usage"] |= event["usage"]
        for index, text in inputs.items():
            message["content"][index]["input"] = json.loads(text or "{}")
        return self.read(message)


class Gemini(Wire):
    """Google's generateContent."""

    name = "gemini_generate"
    provider = "gemini"
    models: ClassVar = {PLAIN: "gemini-2.0-flash", REASONER: "gemini-3-pro-preview"}
    words: ClassVar = {"end": "STOP", "length": "MAX_TOKENS", "stop": "STOP", "tool": "STOP", "refusal": "SAFETY"}
    lacks: ClassVar = frozenset({"parallel"})

    def path(self, order: Order) -> str:
        method = "streamGenerateContent?alt=sse" if order.stream else "generateContent"
        root = "/v1/publishers/google" if order.provider == "vertex" else "/v1beta"
        return f"{root}/models/{self.model(order)}:{method}"

    def headers(self, provider: str) -> dict[str, str]:
        key = f"sk-fleet-{provider}"
        return {"authorization": f"Bearer {key}"} if provider == "vertex" else {"x-goog-api-key": key}

    def body(self, order: Order) -> Json:
        config: Json = {}
        config |= {"maxOutputTokens": order.max_tokens} if order.max_tokens is not None else {}
        config |= {"stopSequences": list(order.stop)} if order.stop else {}
        config |= {"candidateCount": order.n} if order.n is not None else {}
        config |= {"seed": order.seed} if order.seed is not None else {}
        config |= {"responseLogprobs": True, "logprobs": 2} if order.logprobs else {}
        config |= {"thinkingConfig": {"thinkingLevel": order.effort}} if order.effort else {}
        if order.schema is not None or order.json:
            config["responseMimeType"] = "application/json"
        if order.schema is not None:
            config["responseJsonSchema"] = order.schema
        body: Json = {"contents": list(self._contents(order)), "generationConfig": config}
        functions = [{"name": tool["name"], "parametersJsonSchema": tool["schema"]} for tool in order.tools]
        body |= {"tools": [{"functionDeclarations": functions}]} if functions else {}
        named = [order.choice] if order.choice not in ("", "none", "auto", "required") else list(order.allowed)
        if order.choice or named:
            mode = "ANY" if named else {"none": "NONE", "auto": "AUTO", "required": "ANY"}[order.choice]
            calling: Json = {"mode": mode} | ({"allowedFunctionNames": named} if named else {})
            body["toolConfig"] = {"functionCallingConfig": calling}
        return body

    def _contents(self, order: Order) -> Iterator[Json]:
        for at, text in enumerate(order.history):
            yield {"role": "model" if at % 2 else "user", "parts": [{"text": text}]}
        parts: list[Json] = [{"text": order.prompt}]
        parts += [{"inlineData": {"mimeType": "image/png", "data": order.image}}] if order.image else []
        yield {"role": "user", "parts": parts}

    def read(self, reply: Json) -> Said:
        return self.join([reply])

    def join(self, events: list[Json]) -> Said:
        choices: dict[int, Choice] = {}
        usage: Json = {}
        for event in events:
            usage = event.get("usageMetadata") or usage
            for row in event.get("candidates", ()):
                choice = choices.setdefault(row.get("index", 0), Choice())
                for part in row.get("content", {}).get("parts", ()):
                    choice.text += "" if part.get("thought") else part.get("text", "")
                    if "functionCall" in part:
                        choice.calls.append((part["functionCall"]["name"], part["functionCall"]["args"]))
                choice.stop = row.get("finishReason") or choice.stop
                chosen = (row.get("logprobsResult") or {}).get("chosenCandidates") or ()
                choice.tokens += [token["token"] for token in chosen]
        thoughts = usage.get("thoughtsTokenCount", 0)
        used = Used(
            usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0),
            usage.get("candidatesTokenCount", 0) + thoughts,
            thoughts,
            usage.get("cachedContentTokenCount", 0),
            total=usage["totalTokenCount"],
        )
        return Said([choices[index] for index in sorted(choices)], used)


WIRES: tuple[Wire, ...] = (Chat(), Responses(), Messages(), Gemini())


def able(*wants: str) -> list[Any]:
    """The wires that can be asked all of this, as parameters of a test."""
    return [pytest.param(wire, id=wire.name) for wire in WIRES if wire.lacks.isdisjoint(wants)]
