"""Blocks that only Anthropic's wire has: what its own server tools leave in an answer.

Each function gives the blocks of one tool's run, for `[[answer: native=NAME]]`. A run that the last assistant turn of
the history began (a call without its result) is finished instead: only its result comes. The memory, bash, text
editor and computer tools are no server tools: they are called like the caller's own. Source: recorded replies,
September 2025 to August 2026.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final

from simulator.answers.answer import Block, Native
from simulator.ask import Ask
from simulator.dialects.anthropic.content import blocks
from simulator.draws import ALPHABET

DIRECT: Final = {"type": "direct"}
_PAGES: Final = (
    ("Teapots of the river towns", "https://example.com/teapots/river-towns", "March 3, 2026"),
    ("A short history of the kettle", "https://example.com/kettles/history", None),
    ("How water remembers its boiling point", "https://example.org/notes/boiling", "2 days ago"),
    ("Field notes on porcelain", "https://example.net/porcelain/field-notes", None),
)


def web_search(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A search, its results, and a sentence that cites one of them."""
    pages = dice.sample(_PAGES, 3)
    results = [
        {
            "type": "web_search_result",
            "title": title,
            "url": url,
            "encrypted_content": _encrypted(dice, 180),
            "page_age": age,
        }
        for title, url, age in sorted(pages, key=lambda page: page[2] is None)
    ]
    title, url, _ = pages[0]
    citation = {
        "type": "web_search_result_location",
        "cited_text": f"{title} has been settled for a long time.",
        "url": url,
        "title": title,
        "encrypted_index": _encrypted(dice, 108),
    }
    cited = Native({"type": "text", "text": f"The page on {title.lower()} has it", "citations": [citation]})
    run = _run(ask, dice, "web_search", {"query": _query(ask)}, "web_search_tool_result", results, caller=True)
    return (*run, cited)


def web_fetch(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """One page, fetched."""
    title, url, _ = dice.choice(_PAGES)
    source = {"type": "text", "media_type": "text/plain", "data": f"{title}\nThe water is warm and the cup is full."}
    document = {"type": "document", "source": source, "title": title, "citations": None}
    page = {
        "type": "web_fetch_result",
        "url": url,
        "content": document,
        "retrieved_at": "2026-05-04T12:34:56.000000+00:00",
    }
    return _run(ask, dice, "web_fetch", {"url": url}, "web_fetch_tool_result", page)


def code_execution(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A shell command in the sandbox, or the text editor there when the prompt speaks of one."""
    if any("text editor" in turn.text for turn in ask.turns):
        return text_editor_code_execution(ask, dice)
    total = dice.randint(10, 99)
    result = {
        "type": "bash_code_execution_result",
        "stdout": f"{total}\n",
        "stderr": "",
        "return_code": 0,
        "content": [],
    }
    command = {"command": f"python3 -c 'print({total - 7} + 7)'"}
    return _run(ask, dice, "bash_code_execution", command, "bash_code_execution_tool_result", result)


def text_editor_code_execution(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A file that is created, looked at too early, and looked at again."""
    kind, path, text = "text_editor_code_execution", "/tmp/hello.txt", "The water is warm."
    created = {"type": f"{kind}_create_result", "is_file_update": False}
    failed = {
        "type": f"{kind}_tool_result_error",
        "error_code": "unavailable",
        "error_message": "The file is not ready.",
    }
    viewed = {
        "type": f"{kind}_view_result",
        "file_type": "text",
        "content": text,
        "num_lines": 1,
        "start_line": 1,
        "total_lines": 1,
    }
    out: list[Block] = []
    for command, result in (
        ({"command": "create", "path": path, "file_text": text}, created),
        ({"command": "view", "path": path}, failed),
        ({"command": "view", "path": path}, viewed),
    ):
        out += _run(ask, dice, kind, command, f"{kind}_tool_result", result)
    return tuple(out)


def tool_search(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A search among the deferred tools that finds the first of them."""
    deferred = [tool["name"] for tool in ask.body.get("tools") or () if tool.get("defer_loading")]
    name = next((tool.name for tool in ask.tools if tool.kind.startswith("tool_search_tool")), "tool_search_tool_regex")
    references = [{"type": "tool_reference", "tool_name": found} for found in deferred[:1]]
    result = {"type": "tool_search_tool_search_result", "tool_references": references}
    word = "query" if "bm25" in name else "pattern"
    sought = deferred[0] if deferred else "tool"
    return _run(ask, dice, name, {word: sought}, "tool_search_tool_result", result, caller=True)


def mcp(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A call of a remote MCP server's tool."""
    result: list[Any] = [{"type": "text", "text": "The server says that the water is warm."}]
    pending = _pending(ask, "mcp_tool_use", "mcp_tool_result")
    use = pending or f"mcptoolu_01{_id(dice)}"
    answer = Native({"type": "mcp_tool_result", "tool_use_id": use, "is_error": False, "content": result})
    if pending:
        return (answer,)
    server: Mapping[str, Any] = next(iter(ask.body.get("mcp_servers") or ()), {})
    tools = (server.get("tool_configuration") or {}).get("allowed_tools") or ["ask_question"]
    call = {"type": "mcp_tool_use", "id": use, "name": tools[0], "input": {"question": _query(ask)}}
    call["server_name"] = server.get("name", "server")
    return (Native(call, streamed_input=True), answer)


def compaction(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """The summary that stands for a conversation which grew too long."""
    topic = dice.choice(_PAGES)[0].lower()
    summary = f"The user gave a long context about {topic} and then asked: {_query(ask)}"
    return (Native({"type": "compaction", "content": summary}),)


def offered(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A run of every server tool that the request offers, and the compaction it asks for."""
    kinds = [tool.kind for tool in ask.tools]
    edits = (ask.body.get("context_management") or {}).get("edits") or ()
    chosen = {
        compaction: any(str(edit.get("type")).startswith("compact_") for edit in edits),
        mcp: bool(ask.body.get("mcp_servers")),
        tool_search: any(kind.startswith("tool_search_") for kind in kinds),
        web_search: any(kind.startswith("web_search_") for kind in kinds),
        web_fetch: any(kind.startswith("web_fetch_") for kind in kinds),
        code_execution: any(kind.startswith("code_execution_") for kind in kinds),
    }
    return tuple(block for run, wanted in chosen.items() if wanted for block in run(ask, dice))


NATIVES: Final[Mapping[str, Callable[[Ask, Random], tuple[Block, ...]]]] = MappingProxyType(
    {
        "web_search": web_search,
        "web_fetch": web_fetch,
        "code_execution": code_execution,
        "text_editor_code_execution": text_editor_code_execution,
        "tool_search": tool_search,
        "mcp": mcp,
        "compaction": compaction,
        "offered": offered,
    }
)


def _run(
    ask: Ask, dice: Random, name: str, given: Mapping[str, Any], kind: str, result: Any, *, caller: bool = False
) -> tuple[Block, ...]:
    """A call and its result, or the result of a call that is waiting for it."""
    pending = _pending(ask, "server_tool_use", kind, name)
    use = pending or f"srvtoolu_01{_id(dice)}"
    by = {"caller": DIRECT} if caller else {}
    answer = Native({"type": kind, "tool_use_id": use, "content": result} | by)
    if pending:
        return (answer,)
    call = {"type": "server_tool_use", "id": use, "name": name, "input": dict(given)} | by
    return (Native(call, streamed_input=True), answer)


def _pending(ask: Ask, use: str, result: str, name: str | None = None) -> str | None:
    """The id of a call in the last assistant turn that has no result yet."""
    last = next((m for m in reversed(ask.body["messages"]) if m["role"] == "assistant"), None)
    if last is None:
        return None
    done = {block.get("tool_use_id") for block in blocks(last, result)}
    for block in blocks(last, use):
        if isinstance(block.get("id"), str) and block["id"] not in done and name in (None, block.get("name")):
            return str(block["id"])
    return None


def _query(ask: Ask) -> str:
    """The first words of what the user last said."""
    said = next((turn.text for turn in reversed(ask.turns) if turn.role == "user" and turn.text), "teapots")
    return " ".join(said.split()[:12])


def _id(dice: Random) -> str:
    return "".join(dice.choices(ALPHABET, k=22))


def _encrypted(dice: Random, size_bytes: int) -> str:
    """Opaque base64 that starts as the recorded ones do."""
    return b64encode(b"\x12" + dice.randbytes(size_bytes)).decode()
