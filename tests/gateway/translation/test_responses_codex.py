"""What Codex CLI sends, put to a model of Chat Completions; what such a model answers, told to Codex."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.translation.chat import answer as chat_answers
from gateway.translation.chat import request as chat
from gateway.translation.delta import Delta
from gateway.translation.responses import request as responses
from tests.gateway.translation.responses_requests import FIND, GLM, check
from tests.gateway.translation.responses_streams import PATCH, final, written

CODEX: dict[str, Any] = {
    "model": "glm-5",
    "stream": True,
    "instructions": "You are a coding agent.",
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "<permissions>all</permissions>"}],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<cwd>/tmp</cwd>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Make the file."}]},
    ],
    "tools": [
        {
            "type": "function",
            "name": "exec_command",
            "description": "Runs a command.",
            "strict": False,
            "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]},
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin_patch"},
        },
        {"type": "web_search", "external_web_access": False},
        {"type": "local_shell"},
        {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [FIND]},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199",
    "client_metadata": {"session": "1"},
    "text": {"verbosity": "low"},
}


def test_codex_asks_a_chat_model() -> None:
    check(CODEX)
    body = chat.write(responses.read(CODEX), GLM)
    assert body["stream"] is True
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"].startswith("You are a coding agent.")
    functions = {tool["function"]["name"]: tool["function"]["parameters"] for tool in body["tools"]}
    assert list(functions) == ["exec_command", "apply_patch", "crm--find"]
    assert functions["apply_patch"]["required"] == ["input"]
    assert body["tool_choice"] == "auto"


def test_codex_goes_on_after_its_tools() -> None:
    more = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": None},
        {"type": "function_call", "name": "exec_command", "arguments": '{"cmd":"ls"}', "call_id": "call_1"},
        {"type": "custom_tool_call", "name": "apply_patch", "input": '*** "Begin"\n', "call_id": "call_2"},
        {"type": "function_call", "name": "find", "namespace": "crm", "arguments": "{}", "call_id": "call_3"},
        {"type": "function_call_output", "call_id": "call_1", "output": "made.txt"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Done."},
        {"type": "function_call_output", "call_id": "call_3", "output": "[]"},
    ]
    body = chat.write(responses.read({**CODEX, "input": CODEX["input"] + more}), GLM)
    assistant, *results = body["messages"][2:]
    told = [(call["function"]["name"], call["function"]["arguments"]) for call in assistant["tool_calls"]]
    assert told == [
        ("exec_command", '{"cmd":"ls"}'),
        ("apply_patch", '{"input":"*** \\"Begin\\"\\n"}'),
        ("crm--find", "{}"),
    ]
    assert [(result["tool_call_id"], result["content"]) for result in results] == [
        ("call_1", "made.txt"),
        ("call_2", "Done."),
        ("call_3", "[]"),
    ]


def test_the_answer_of_a_chat_model_goes_on_to_codex() -> None:
    patch = orjson.dumps({"input": PATCH}).decode()
    pieces: list[dict[str, Any]] = [
        {"role": "assistant", "reasoning_content": "Hm."},
        {"content": "I write it."},
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "exec_command", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"cmd":"ls"}'}}]},
        {"tool_calls": [{"index": 1, "id": "call_2", "function": {"name": "apply_patch", "arguments": patch}}]},
    ]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": piece, "finish_reason": None}]} for piece in pieces
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    reading = chat_answers.Reading()
    told: list[Delta] = [*(delta for chunk in chunks for delta in reading.deltas(chunk)), *reading.end()]
    reasoning, message, command, edit = final(written(told)).output
    assert reasoning.summary[0].text == "Hm."
    assert message.content[0].text == "I write it."
    assert (command.type, command.name, command.arguments) == ("function_call", "exec_command", '{"cmd":"ls"}')
    assert (edit.type, edit.call_id, edit.input) == ("custom_tool_call", "call_2", PATCH)
