"""Replies that are compressed, whether or not the client asked; and heads that lie about it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import brotli  # type: ignore[import-untyped]

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import Coded, with_frames, with_headers, without_header
from simulator.script import Ending, Frame, Script

GZIP = 16 + zlib.MAX_WBITS  # as zlib names the format
BROTLI_QUALITY = 5


class Coder(NamedTuple):
    """A compressor: each piece can be read as soon as it came."""

    piece: Callable[[bytes], bytes]
    end: Callable[[], bytes]


def gzip_coder() -> Coder:
    """Compress as gzip does."""
    packer = zlib.compressobj(wbits=GZIP)
    return Coder(lambda data: packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH), packer.flush)


def br_coder() -> Coder:
    """Compress as brotli does."""
    packer = brotli.Compressor(quality=BROTLI_QUALITY)
    return Coder(lambda data: packer.process(data) + packer.flush(), packer.finish)


CODERS: dict[str, Callable[[], Coder]] = {"gzip": gzip_coder, "br": br_coder}


def compressed(script: Script, coding: str) -> Script:
    """The body in a coding, each frame on its own, and what the head says of it as it was."""
    return with_frames(script, _coded(script, CODERS[coding]()))


def _coded(script: Script, coder: Coder) -> Iterator[Frame]:
    """The frames; the last one also ends the coding, unless the reply breaks off."""
    for at, frame in enumerate(script.frames):
        data = coder.piece(frame.data) if frame.data else b""
        if at == len(script.frames) - 1 and script.ending is Ending.END:
            data += coder.end()
        yield frame.but(Coded.of(data, frame.data))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class GzipSse(Fault):
    """Compress a stream with gzip, event by event, although nobody asked. JSON is left alone."""

    kind: ClassVar[str] = "gzip_sse"
    seen_at: ClassVar[str] = "Anthropic; https://github.com/Wei-Shaw/claude-relay-service/issues/1030"

    def script(self, script: Script, _: Scene) -> Script:
        return with_headers(compressed(script, "gzip"), ("content-encoding", "gzip")) if script.stream else script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class BrSse(Fault):
    """Compress a stream with brotli, event by event, although nobody asked. JSON is left alone."""

    kind: ClassVar[str] = "br_sse"
    seen_at: ClassVar[str] = "OpenRouter; https://github.com/lidge-jun/opencodex/pull/115"

    def script(self, script: Script, _: Scene) -> Script:
        return with_headers(compressed(script, "br"), ("content-encoding", "br")) if script.stream else script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class BrJson(Fault):
    """Compress a JSON body with brotli, although nobody asked. A stream is left alone."""

    kind: ClassVar[str] = "br_json"
    seen_at: ClassVar[str] = "OpenAI (2023); https://github.com/ChatGPTNextWeb/NextChat/pull/3215"

    def script(self, script: Script, _: Scene) -> Script:
        return script if script.stream else with_headers(compressed(script, "br"), ("content-encoding", "br"))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingHeaderLies(Fault):
    """Say another `content-encoding` than the body has; by default a gzip body of which the head says nothing."""

    kind: ClassVar[str] = "encoding_header_lies"
    seen_at: ClassVar[str] = "Venice; https://github.com/Pasta-Devs/Marinara-Engine/pull/834"
    body: str = options.one_of("gzip", ("plain", "gzip", "br"), about="what the body is")
    header: str = options.one_of("none", ("none", "gzip", "br", "identity"), about="what the head says")

    def __post_init__(self) -> None:
        if self.header == self.body or (self.body == "plain" and self.header in ("none", "identity")):
            raise ValueError(f"a header that is not true of a {self.body} body")

    def script(self, script: Script, _: Scene) -> Script:
        found = script if self.body == "plain" else compressed(script, self.body)
        if self.header == "none":
            return without_header(found, "content-encoding") if found is not script else script
        return with_headers(found, ("content-encoding", self.header))
