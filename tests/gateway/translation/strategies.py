"""Prompts and deltas to translate, and bodies and events that are wrong somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from gateway.translation.delta import CallOpened, CallPiece, Delta, Reason, Refused, Said, Stopped, Thought
from gateway.translation.prompt import (
    EFFORTS,
    File,
    Format,
    Image,
    Prompt,
    Sound,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

DATA = "iVBORw0KGgo="  # base64
LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"))
names = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
words = st.text(LETTERS, min_size=1, max_size=20).filter(str.strip)
ids = st.from_regex(r"call_[a-zA-Z0-9]{6}", fullmatch=True)

texts: SearchStrategy[Text] = words.map(Text)
images: SearchStrategy[Image] = st.sampled_from(["image/png", "image/jpeg"]).map(lambda kind: Image(kind, DATA))
linked_images: SearchStrategy[Image] = st.sampled_from([Image(url="https://example.com/a.png")])
files: SearchStrategy[File] = st.sampled_from([File("application/pdf", DATA, name="a.pdf")])
sounds: SearchStrategy[Sound] = st.sampled_from([Sound("audio/wav", DATA), Sound("audio/mpeg", DATA)])

efforts: SearchStrategy[Thinking] = st.sampled_from(["none", *EFFORTS]).map(lambda effort: Thinking(effort=effort))
budgets: SearchStrategy[Thinking] = st.integers(1024, 30_000).map(lambda tokens: Thinking(budget_tokens=tokens))

scalars: SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
)
json_values: SearchStrategy[Any] = st.recursive(
    scalars | st.text(LETTERS, max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
arguments: SearchStrategy[str] = st.dictionaries(names, st.integers(-99, 99) | words, max_size=3).map(
    lambda value: orjson.dumps(value).decode()
)
schemas: SearchStrategy[dict[str, Any]] = st.lists(names, max_size=2, unique=True).map(
    lambda members: {
        "type": "object",
        "properties": {name: {"type": "string"} for name in members},
        "required": members,
    }
)
formats: SearchStrategy[Format] = st.builds(Format, name=names, schema=schemas, strict=st.none() | st.booleans())


@st.composite
def tools(draw: DrawFn, custom: bool = False, strict: bool = False) -> tuple[Tool, ...]:
    """Up to three tools; `custom` and `strict`: some may be so. A custom tool has no schema."""
    made = []
    for name in draw(st.lists(names, max_size=3, unique=True)):
        description = draw(words | st.just(""))
        if custom and draw(st.booleans()):
            made.append(Tool(name, description, custom=True))
        else:
            told = draw(st.none() | st.booleans()) if strict else None
            made.append(Tool(name, description, draw(schemas), told))
    return tuple(made)


def choices(offered: Sequence[Tool]) -> SearchStrategy[ToolChoice | None]:
    """Tool choices that fit what is offered: none where nothing is."""
    if not offered:
        return st.none()
    named = [ToolChoice("tool", tool.name) for tool in offered]
    return st.sampled_from([None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), *named])


@st.composite
def turns(
    draw: DrawFn,
    offered: Sequence[Tool],
    pieces: SearchStrategy[Any],
    result_pieces: SearchStrategy[Any],
    failures: SearchStrategy[bool],
) -> tuple[Turn, ...]:
    """A conversation that the user begins and ends. Results answer the calls before them, in their order.

    Text of the assistant is one piece and comes before the calls; what the user says comes after the results.
    """
    made = [Turn("user", tuple(draw(st.lists(pieces, min_size=1, max_size=3))))]
    called = 0
    for _ in range(draw(st.integers(0, 3))):
        wanted = draw(st.lists(st.sampled_from(offered), max_size=3)) if offered else []
        calls = [
            ToolCall(f"call_{called + number}", tool.name, draw(words if tool.custom else arguments))
            for number, tool in enumerate(wanted)
        ]
        called += len(calls)
        said = draw(st.lists(texts, min_size=0 if calls else 1, max_size=1))
        results = [
            ToolResult(call.id, tuple(draw(st.lists(result_pieces, min_size=1, max_size=2))), draw(failures))
            for call in calls
        ]
        asked = draw(st.lists(pieces, min_size=0 if calls else 1, max_size=2))
        made += [Turn("assistant", (*said, *calls)), Turn("user", (*results, *asked))]
    return tuple(made)


@st.composite
def prompts(
    draw: DrawFn,
    /,
    *,
    pieces: SearchStrategy[Any] = texts,
    result_pieces: SearchStrategy[Any] = texts,
    custom: bool = False,
    strict: bool = False,
    failed: bool = False,
    **members: SearchStrategy[Any],
) -> Prompt:
    """Prompts that every dialect has words for.

    What only some can say is asked for: `pieces` of the user (`texts | images`) and of results, `custom` and `strict`
    tools, `failed` results, and any member of Prompt by a strategy of its own (`thinking=efforts`, `format=formats`,
    `top_k=st.integers(1, 99)`, `stop=st.just(())`).
    """
    offered = draw(tools(custom, strict))
    values = {
        "instructions": st.lists(words, max_size=2).map(tuple),
        "tool_choice": choices(offered),
        "stream": st.booleans(),
        "limit": st.integers(2000, 4000),
        "temperature": st.none() | st.sampled_from([0.0, 0.5, 1.0]),
        "top_p": st.none() | st.sampled_from([0.25, 1.0]),
        "stop": st.lists(words, max_size=4, unique=True).map(tuple),
        **members,
    }
    failures = st.booleans() if failed else st.just(False)
    return Prompt(
        turns=draw(turns(offered, pieces, result_pieces, failures)),
        tools=offered,
        **{name: draw(value) for name, value in values.items()},
    )


@st.composite
def deltas(
    draw: DrawFn, *, reasons: Sequence[Reason] = ("stop", "length"), refused: bool = False, thoughts: bool = True
) -> list[Delta]:
    """Answers: thoughts, then text (or, where asked for, a refusal), then calls; each in pieces. Stopped comes last.

    `reasons` are those of answers without a call; one with a call stops for "tool_calls", and a refusal for "refusal".
    """
    made: list[Delta] = list(map(Thought, draw(st.lists(words, max_size=3)))) if thoughts else []
    if refused and draw(st.booleans()):
        return [*made, *map(Refused, draw(st.lists(words, min_size=1, max_size=3))), Stopped("refusal")]
    calls = draw(st.integers(0, 3))
    made += map(Said, draw(st.lists(words, min_size=0 if calls else 1, max_size=4)))
    for ident in draw(st.lists(ids, min_size=calls, max_size=calls, unique=True)):
        made.append(CallOpened(ident, draw(names)))
        made += map(CallPiece, cut(draw(arguments), draw(st.lists(st.integers(1, 40), max_size=3))))
    reason: Reason = "tool_calls" if calls else draw(st.sampled_from(reasons))
    return [*made, Stopped(reason, draw(words) if reason == "stop_sequence" else None)]


def cut(text: str, places: Iterable[int]) -> Iterator[str]:
    """The text in pieces, none of them empty."""
    begin = 0
    for place in sorted({place for place in places if place < len(text)}):
        yield text[begin:place]
        begin = place
    yield text[begin:]


def merged(told: Iterable[Delta]) -> list[Delta]:
    """The deltas, with pieces of one thing that follow each other as one piece."""
    made: list[Delta] = []
    for delta in told:
        last = made[-1] if made else None
        match last, delta:
            case Said(text), Said(more):
                made[-1] = Said(text + more)
            case Thought(text), Thought(more):
                made[-1] = Thought(text + more)
            case Refused(text), Refused(more):
                made[-1] = Refused(text + more)
            case CallPiece(text), CallPiece(more):
                made[-1] = CallPiece(text + more)
            case _:
                made.append(delta)
    return made


@st.composite
def wrecked(draw: DrawFn, body: SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """JSON objects in which one value, at any depth, is another one or is missing."""
    value: dict[str, Any] = orjson.loads(orjson.dumps(draw(body)))
    place: Any = value
    while place:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 4)):
            place = place[key]
        elif draw(st.booleans()):
            place[key] = draw(json_values)
            break
        else:
            del place[key]
            break
    return value
