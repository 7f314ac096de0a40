"""One order in words that no wire has, and OpenAI's two wires that it can be said in: how they ask, and what comes."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.simulator.live import Live, Reply, request

Json = dict[str, Any]
PLAIN, REASONER = "plain", "reasoner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of a model. What is left at its default is not asked."""

    prompt: str = "Tell me about boats."
    model: str = PLAIN
    provider: str = ""
    stream: bool = False
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    n: int | None = None
    seed: int | None = None
    logprobs: bool = False
    tools: Sequence[Json] = ()  # {"name", "schema"}
    choice: str = ""  # "none", "auto", "required", or the name of a tool
    allowed: Sequence[str] = ()  # names of tools, of which one must be called
    parallel: bool | None = None
    schema: Json | None = None
    json: bool = False
    effort: str = ""
    image: str = ""  # a PNG in base64
    history: Sequence[str] = ()  # earlier turns, user and assistant by turns
    cache: bool = False  # mark the end of the history for the prompt cache, where the wire wants that


@dataclass(slots=True)
class Choice:
    """One answer."""

    text: str = ""
    refusal: str = ""
    stop: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)  # of the log probabilities


@dataclass(frozen=True, slots=True)
class Used:
    """Token counts, added up: `input` with all that was cached and written, `output` with all that was thought."""

    input: int
    output: int
    reasoning: int = 0
    cached: int = 0
    written: int = 0
    total: int | None = None  # as told, where the wire tells it


@dataclass(slots=True)
class Said:
    """What a reply comes to."""

    choices: list[Choice]
    used: Used

    @property
    def only(self) -> Choice:
        (choice,) = self.choices
        return choice


class Wire(ABC):
    """How one wire asks and answers."""

    name: ClassVar[str]
    provider: ClassVar[str]
    models: ClassVar[Mapping[str, str]]
    words: ClassVar[Mapping[str, str]]  # end, length, stop, tool, refusal -> the wire's own
    lacks: ClassVar[frozenset[str]] = frozenset()  # what it cannot be asked

    @abstractmethod
    def path(self, order: Order) -> str:
        """Below the provider's prefix."""

    @abstractmethod
    def headers(self, provider: str) -> dict[str, str]:
        """The key."""

    @abstractmethod
    def body(self, order: Order) -> Json:
        """The JSON of the request."""

    @abstractmethod
    def read(self, reply: Json) -> Said:
        """What a JSON reply says."""

    @abstractmethod
    def join(self, events: list[Json]) -> Said:
        """What a stream says."""

    def model(self, order: Order) -> str:
        return self.models.get(order.model, order.model)

    def reply(self, fleet: Live, order: Order) -> Reply:
        """What the fleet sends."""
        provider = order.provider or self.provider
        headers = {"content-type": "application/json", **self.headers(provider)}
        return fleet.call(request("POST", f"/{provider}{self.path(order)}", self.body(order), headers))

    def say(self, fleet: Live, order: Order) -> Said:
        """What the fleet says; a refusal of the request is an error of the test."""
        reply = self.reply(fleet, order)
        assert reply.status == 200, reply.body
        return self.join(list(events(reply.body))) if order.stream else self.read(reply.json)


def events(body: bytes) -> Iterator[Json]:
    """The JSON of every event of a stream."""
    for line in body.replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


class Chat(Wire):
    """Chat Completions."""

    name = "openai_chat"
    provider = "openai"
    models: ClassVar = {PLAIN: "gpt-4.1", REASONER: "gpt-5"}
    words: ClassVar = {"end": "stop", "length": "length", "stop": "stop", "tool": "tool_calls", "refusal": "stop"}

    def path(self, order: Order) -> str:
        return "/v1/chat/completions"

    def headers(self, provider: str) -> dict[str, str]:
        return {"authorization": f"Bearer sk-fleet-{provider}"}

    def body(self, order: Order) -> Json:
        body: Json = {"model": self.model(order), "messages": list(self._messages(order)), "stream": order.stream}
        body |= {"stream_options": {"include_usage": True}} if order.stream else {}
        body |= {"max_completion_tokens": order.max_tokens} if order.max_tokens is not None else {}
        body |= {"stop": list(order.stop)} if order.stop else {}
        body |= {name: value for name in ("n", "seed") if (value := getattr(order, name)) is not None}
        body |= {"logprobs": True, "top_logprobs": 2} if order.logprobs else {}
        body |= {"reasoning_effort": order.effort} if order.effort else {}
        body |= {"parallel_tool_calls": order.parallel} if order.parallel is not None else {}
        tools = [_function(tool) for tool in order.tools]
        body |= {"tools": tools} if tools else {}
        if order.allowed:
            names = [{"type": "function", "function": {"name": name}} for name in order.allowed]
            allowed = {"mode": "required", "tools": names}
            body["tool_choice"] = {"type": "allowed_tools", "allowed_tools": allowed}
        elif order.choice in ("none", "auto", "required"):
            body["tool_choice"] = order.choice
        elif order.choice:
            body["tool_choice"] = {"type": "function", "function": {"name": order.choice}}
        if order.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": order.schema, "strict": True},
            }
        elif order.json:
            body["response_format"] = {"type": "json_object"}
        return body

    def _messages(self, order: Order) -> Iterator[Json]:
        for at, text in enumerate(order.history):
            yield {"role": "assistant" if at % 2 else "user", "content": text}
        content: Any = order.prompt
        if order.image:
            url = {"url": f"data:image/png;base64,{order.image}"}
            content = [{"type": "text", "text": order.prompt}, {"type": "image_url", "image_url": url}]
        yield {"role": "user", "content": content}

    def read(self, reply: Json) -> Said:
        choices = []
        for row in reply["choices"]:
            message, logprobs = row["message"], row.get("logprobs") or {}
            calls = [
                (call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", [])
            ]
            choices.append(
                Choice(
                    message.get("content") or "",
                    message.get("refusal") or "",
                    row["finish_reason"],
                    [(name, json.loads(arguments)) for name, arguments in calls],
                    [token["token"] for token in logprobs.get("content") or ()],
                )
            )
        return Said(choices, self._used(reply["usage"]))

    def join(self, events: list[Json]) -> Said:
        choices: dict[int, Choice] = {}
        arguments: dict[tuple[int, int], list[str]] = {}
        usage: Json = {}
        for event in events:
            usage = event.get("usage") or usage
            for row in event["choices"]:
                choice, delta = choices.setdefault(row["index"], Choice()), row["delta"]
                choice.text += delta.get("content") or ""
                choice.refusal += delta.get("refusal") or ""
                choice.stop = row.get("finish_reason") or choice.stop
                choice.tokens += [token["token"] for token in (row.get("logprobs") or {}).get("content") or ()]
                for call in delta.get("tool_calls") or ():
                    made = arguments.setdefault((row["index"], call["index"]), ["", ""])
                    made[0] += call["function"].get("name") or ""
                    made[1] += call["function"].get("arguments") or ""
        for (index, _), (name, text) in sorted(arguments.items()):
            choices[index].calls.append((name, json.loads(text)))
        return Said([choices[index] for index in sorted(choices)], self._used(usage))

    def _used(self, usage: Json) -> Used:
        prompt, completion = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
        return Used(
            usage["prompt_tokens"],
            usage["completion_tokens"],
            completion.get("reasoning_tokens") or 0,
            prompt.get("cached_tokens") or 0,
            total=usage["total_tokens"],
        )


def _function(tool: Json) -> Json:
    return {"type": "function", "function": {"name": tool["name"], "parameters": tool["schema"]}}


class Responses(Wire):
    """Responses."""

    name = "openai_responses"
    provider = "openai"
    models: ClassVar = {PLAIN: "gpt-4.1", REASONER: "gpt-5"}
    words: ClassVar = {"end": "completed", "length": "max_output_tokens", "tool": "completed", "refusal": "completed"}
    lacks: ClassVar = frozenset({"stop", "n", "seed"})

    def path(self, order: Order) -> str:
        return "/v1/responses"

    def headers(self, provider: str) -> dict[str, str]:
        return {"authorization": f"Bearer sk-fleet-{provider}"}

    def body(self, order: Order) -> Json:
        body: Json = {"model": self.model(order), "input": list(self._items(order)), "stream": order.stream}
        body |= {"max_output_tokens": order.max_tokens} if order.max_tokens is not None else {}
        body |= {"include": ["message.output_text.logprobs"], "top_logprobs": 2} if order.logprobs else {}
        body |= {"reasoning": {"effort": order.effort}} if order.effort else {}
        body |= {"parallel_tool_calls": order.parallel} if order.parallel is not None else {}
        tools = [
            {"type": "function", "name": tool["name"], "parameters": tool["schema"], "strict": False}
            for tool in order.tools
        ]
        body |= {"tools": tools} if tools else {}
        if order.allowed:
            names = [{"type": "function", "name": name} for name in order.allowed]
            body["tool_choice"] = {"type": "allowed_tools", "mode": "required", "tools": names}
        elif order.choice in ("none", "auto", "required"):
            body["tool_choice"] = order.choice
        elif order.choice:
            body["tool_choice"] = {"type": "function", "name": order.choice}
        if order.schema is not None:
            form = {"type": "json_schema", "name": "reply", "schema": order.schema, "strict": True}
            body["text"] = {"format": form}
        elif order.json:
            body["text"] = {"format": {"type": "json_object"}}
        return body

    def _items(self, order: Order) -> Iterator[Json]:
        for at, text in enumerate(order.history):
            yield {"role": "assistant" if at % 2 else "user", "content": text}
        content: Any = order.prompt
        if order.image:
            image = {"type": "input_image", "image_url": f"data:image/png;base64,{order.image}", "detail": "auto"}
            content = [{"type": "input_text", "text": order.prompt}, image]
        yield {"role": "user", "content": content}

    def read(self, reply: Json) -> Said:
        choice = Choice(stop=(reply.get("incomplete_details") or {}).get("reason") or reply["status"])
        for item in reply["output"]:
            if item["type"] == "function_call":
                choice.calls.append((item["name"], json.loads(item["arguments"])))
            for part in item.get("content") or ():
                choice.text += part.get("text", "") if part["type"] == "output_text" else ""
                choice.refusal += part.get("refusal", "")
                choice.tokens += [token["token"] for token in part.get("logprobs") or ()]
        usage = reply["usage"]
        used = Used(
            usage["input_tokens"],
            usage["output_tokens"],
            usage["output_tokens_details"]["reasoning_tokens"],
            usage["input_tokens_details"]["cached_tokens"],
            total=usage["total_tokens"],
        )
        return Said([choice], used)

    def join(self, events: list[Json]) -> Said:
        """By the deltas; usage, stop and log probabilities as the last event has them."""
        said = self.read(events[-1]["response"])
        whole = said.only
        said.choices = [Choice(stop=whole.stop)]
        arguments: dict[int, list[str]] = {}
        for event in events:
            match event["type"]:
                case "response.output_text.delta":
                    said.only.text += event["delta"]
                    said.only.tokens += [token["token"] for token in event.get("logprobs") or ()]
                case "response.refusal.delta":
                    said.only.refusal += event["delta"]
                case "response.output_item.added" if event["item"]["type"] == "function_call":
                    arguments[event["output_index"]] = [event["item"]["name"], ""]
                case "response.function_call_arguments.delta":
                    arguments[event["output_index"]][1] += event["delta"]
        said.only.calls = [(name, json.loads(text)) for name, text in arguments.values()]
        assert said.only == whole, "the deltas do not add up to what the last event says"
        return said
