"""The Gemini wire: generateContent, streamGenerateContent (as events or as one JSON array) and countTokens.

A wire is made for each call, because model, method and framing stand in the URL. Source: wire reference, chapter 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway import body, counts, splice
from gateway.billing import Bill
from gateway.body import check_object, flag, json_type, whole_number
from gateway.chain import Failure
from gateway.errors import InvalidRequest, shown
from gateway.exchange import JSON
from gateway.pricing import Usage
from gateway.translation.delta import Head, Writing
from gateway.upstreams import gemini_generate
from gateway.upstreams.gemini_generate import GenerateReader
from gateway.upstreams.problems import broken
from gateway.upstreams.reading import StreamReader, Whole
from gateway.wires.gemini_errors import mid_answer
from gateway.wires.wire import Wanted, Wire

if TYPE_CHECKING:
    from gateway.translation.gemini.answer import Writing as GeminiWriting

ANSWERS_MAX: Final = 8  # Google's own limit
OURS: Final = frozenset({"model", "stream"})  # of a body on the documented path; the upstream has both in the URL
LIMIT_NAMES: Final = (b"axOutputTokens", b"ax_output_tokens", b"andidateCount", b"andidate_count")


class GenerateWire(Wire):
    """generateContent in, generateContent out."""

    name = "gemini"
    endpoint = "/v1/gemini"
    dialect = "gemini_generate"
    path = ""
    keepalive = b"\n\n"  # all that every Google SDK takes; in an array it is a blank
    terminal = b""
    cuts_after_error = True

    def __init__(self, model: str | None = None, stream: bool | None = None, array: bool = False) -> None:
        """`model` and `stream` are None where the body tells them."""
        self.model = model
        self.stream = stream
        self.framing: Events = Array() if array else Events()
        self.following: GenerateReader | GeminiWriting | None = None  # what the client has seen
        if array:
            self.stream_type = JSON

    def model_of(self, fields: Mapping[str, Any]) -> str:
        return body.model_name(fields) if self.model is None else self.model

    def check(self, fields: Mapping[str, Any]) -> Wanted:
        check_contents(fields)
        settings = inner_object(fields, "generationConfig", "generation_config")
        limit = whole_number(settings, spelled(settings, "maxOutputTokens", "max_output_tokens"), 1)
        answers = whole_number(settings, spelled(settings, "candidateCount", "candidate_count"), 1, ANSWERS_MAX) or 1
        if self.stream is None:
            self.stream = flag(fields, "stream")
        return Wanted(self.stream, limit, answers)

    def upstream_headers(self, key: str, _caller: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
        return gemini_generate.headers(key)

    def upstream_body(self, raw: bytes, _fields: Mapping[str, Any], _wanted: Wanted) -> bytes:
        check_limits_once(raw)
        return raw if self.model is not None else splice.without_members(raw, OURS)

    def addressed(self, body: bytes, _fields: Mapping[str, Any], _name: str) -> bytes:
        return body

    def path_for(self, name: str) -> str:
        return gemini_generate.path(name, "streamGenerateContent" if self.stream else "generateContent")

    def reader(self, _fields: Mapping[str, Any]) -> StreamReader:
        self.framing.start()
        self.following = GenerateReader(self.framing.chunk)
        return self.following

    def writing(self, head: Head) -> Writing:
        from gateway.translation.gemini.answer import Writing as GeminiWriting

        self.framing.start()
        self.following = writing = GeminiWriting(head, self.framing.chunk, self.framing.END)
        return writing

    def with_usage(self, body: bytes, usage: Usage) -> bytes:
        return splice.set_member(body, "usageMetadata", orjson.dumps(counts.gemini(usage)))

    def read_whole(self, body: bytes) -> Whole | Failure:
        return gemini_generate.read_whole(body)

    def assemble(self, stream: bytes) -> Whole | Failure:
        from gateway.upstreams import gemini_generate_modes

        return gemini_generate_modes.assemble(stream)

    def disassemble(self, whole: Whole) -> bytes:
        return gemini_generate.event(whole.body)

    def closing(self, reader: StreamReader | None, _terminal: bytes, bill: Bill) -> bytes:
        """The chunk that was held back, with the usage that it lacks."""
        assert isinstance(reader, GenerateReader)
        last = self.with_usage(reader.last, bill.usage) if bill.estimated else reader.last
        return self.framing.chunk(last) + self.framing.END

    def error_frame(self, message: str) -> bytes:
        if self.following is None or not self.following.begun:
            self.framing.start()  # nothing has gone out but blanks
        return self.framing.chunk(mid_answer(message))


class CountWire(GenerateWire):
    """Token counting: the same body in, a number out. Free, and counted against no limit."""

    translatable = False

    def __init__(self, model: str) -> None:
        super().__init__(model, stream=False)

    def check(self, fields: Mapping[str, Any]) -> Wanted:
        inner = inner_object(fields, "generateContentRequest", "generate_content_request")
        check_contents(inner or fields)
        return Wanted(stream=False, limit=0)

    def addressed(self, body: bytes, fields: Mapping[str, Any], name: str) -> bytes:
        """The whole request that may stand inside names its model, too."""
        inner = spelled(fields, "generateContentRequest", "generate_content_request")
        for member in splice.members(body):
            if member.name == inner:
                value = body[member.value.start : member.value.end]
                named = splice.set_member(value, "model", orjson.dumps(f"models/{name}"))
                return splice.replace(body, [(member.value, named)])
        return body

    def path_for(self, name: str) -> str:
        return gemini_generate.path(name, "countTokens")

    def read_whole(self, body: bytes) -> Whole | Failure:
        return gemini_generate.read_count(body)

    def assemble(self, _stream: bytes) -> Whole | Failure:
        return broken("the upstream sent a stream instead of a number")


class Events:
    """A stream as server-sent events, in the wire's own line ends."""

    END: bytes = b""

    def start(self) -> None:
        """Another upstream's stream begins."""

    def chunk(self, data: bytes) -> bytes:
        """One chunk of it."""
        return gemini_generate.event(data)


class Array(Events):
    """A stream as one JSON array, which grows as chunks come."""

    END = b"\r\n]"

    def __init__(self) -> None:
        self.open = b"["

    def start(self) -> None:
        self.open = b"["

    def chunk(self, data: bytes) -> bytes:
        opened, self.open = self.open, b",\r\n"
        return opened + data


def check_contents(fields: Mapping[str, Any]) -> None:
    """`contents`: a list of one or more objects, whose `parts` are lists of objects. Raises InvalidRequest."""
    if "messages" in fields:
        raise InvalidRequest("Both `contents` and `messages` are there; one of them was due.")
    if fields.get(spelled(fields, "cachedContent", "cached_content")):
        raise InvalidRequest("`cachedContent` is not served here; send the content itself.")
    contents = fields.get("contents")
    if not isinstance(contents, list):
        due = json_type(contents) if "contents" in fields else "missing"
        raise InvalidRequest(f"`contents` is {due}; an array was due.")
    if not contents:
        raise InvalidRequest("`contents` is empty; at least one content was due.")
    for number, content in enumerate(contents):
        parts = content.get("parts", []) if isinstance(content, dict) else content
        if not isinstance(content, dict):
            raise InvalidRequest(f"`contents[{number}]` is {json_type(content)}; an object was due.")
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise InvalidRequest(f"`contents[{number}].parts` is no array of objects.")


def spelled(fields: Mapping[str, Any], name: str, snake_case: str) -> str:
    """The spelling that a body uses of a name that has two; never both. Raises InvalidRequest."""
    if name in fields and snake_case in fields:
        raise InvalidRequest(f"Both `{name}` and `{snake_case}` are there; one of them was due.")
    return snake_case if snake_case in fields else name


def inner_object(fields: Mapping[str, Any], name: str, snake_case: str) -> Mapping[str, Any]:
    """A member that is an object; an empty one where it is absent or null. Raises InvalidRequest."""
    given = spelled(fields, name, snake_case)
    check_object(fields, given)
    return fields.get(given) or {}


def check_limits_once(raw: bytes) -> None:
    """Raises InvalidRequest for a limit that stands twice: we might price one value and the upstream obey the other."""
    if b"\\u00" not in raw and all(raw.count(name) < 2 for name in LIMIT_NAMES):
        return
    for member in splice.members(raw):
        if member.name in ("generationConfig", "generation_config"):
            settings = raw[member.value.start : member.value.end]
            if settings[:1] == b"{" and (name := splice.duplicate_name(settings)) is not None:
                raise InvalidRequest(f"`{member.name}` has {shown(name)!r} twice.")
