"""Streams that begin again: a message opened twice, another answer spliced in, text sent a second time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.deltas import says_text
from simulator.faults.payloads import Event
from simulator.faults.streams import cut_index, is_content
from simulator.script import Frame, Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateMessageStart(Fault):
    """Open the message more than once: `message_start`, the role's chunk or `response.created` is repeated."""

    kind: ClassVar[str] = "duplicate_message_start"
    seen_at: ClassVar[str] = "Kimi; https://github.com/MoonshotAI/Kimi-K2.5/issues/33"
    still: ClassVar[bool] = True
    times: int = options.whole(1, low=1, about="how often it is repeated; 29 and more were seen")

    def script(self, script: Script, _: Scene) -> Script:
        first = next((at for at, frame in enumerate(script.frames) if frame.kind == "start"), None)
        if not script.stream or first is None:
            return script
        again = (_once_more(script.frames[first]),) * self.times
        return payloads.numbered(
            replace(script, frames=(*script.frames[: first + 1], *again, *script.frames[first + 1 :]))
        )


def _within(script: Script, after_frames: int) -> int:
    """How many frames come before something happens after so many content frames, or after the last of them."""
    return cut_index(script, min(after_frames, sum(map(is_content, script.frames))))


def _once_more(frame: Frame) -> Frame:
    """The same bytes, which deliver nothing new."""
    return frame._replace(tokens=0, text_bytes=0)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class SplicedGeneration(Fault):
    """In the middle of an answer begin it again, under other ids, block 0 included; nothing of the first is ended."""

    kind: ClassVar[str] = "spliced_generation"
    seen_at: ClassVar[str] = "proxies that retry (a fixture of the Vercel AI SDK)"
    after_frames: int = options.whole(2, low=1, about="content frames of the first generation")

    def script(self, script: Script, scene: Scene) -> Script:
        cut = _within(script, self.after_frames)
        if not script.stream or not cut or script.frames[0].data.startswith(b"["):
            return script
        late_ms = script.frames[cut - 1].due_ms - script.frames[0].due_ms
        nonce = scene.serving.nonce.encode()
        second = [frame.but(frame.data.replace(nonce, nonce[::-1])).later(late_ms) for frame in script.frames]
        said = [_once_more(frame) for frame in second[:cut]]
        return replace(script, frames=(*script.frames[:cut], *said, *second[cut:]))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayAfterRetry(Fault):
    """Retry in secret after some text was delivered: that text comes again, then the rest."""

    kind: ClassVar[str] = "replay_after_retry"
    seen_at: ClassVar[str] = "gateways; https://github.com/NuGuardAI/nuguard/issues/455"
    after_frames: int = options.whole(3, low=1, about="content frames delivered before it")

    def script(self, script: Script, _: Scene) -> Script:
        cut = _within(script, self.after_frames)

        def replayed(told: list[Event]) -> list[Event]:
            due_ms = told[cut - 1].frame.due_ms if cut else 0.0
            again = [event.again() for event in told[:cut] if is_content(event.frame) and says_text(event)]
            for event in again:
                event.frame = event.frame._replace(due_ms=due_ms)
            return [*told[:cut], *again, *told[cut:]]

        return payloads.recast(script, replayed)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MissingBlockStart(Fault):
    """Send the deltas of a message without the `content_block_start` before them. Other wires have none."""

    kind: ClassVar[str] = "missing_block_start"
    seen_at: ClassVar[str] = "https://github.com/router-for-me/CLIProxyAPI/issues/1700"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, lambda told: [event for event in told if event.kind != "content_block_start"])


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class SilentEnd(Fault):
    """End a stream after its content, properly as HTTP goes: no finish, no usage, no error, no terminal event."""

    kind: ClassVar[str] = "silent_end"
    seen_at: ClassVar[str] = "https://github.com/CommandCodeAI/command-code/issues/785"
    after_frames: int | None = options.whole(None, about="content frames sent before it; all of them by default")

    def script(self, script: Script, _: Scene) -> Script:
        contents = sum(map(is_content, script.frames)) if self.after_frames is None else self.after_frames
        cut = cut_index(script, contents)
        return script if not script.stream or cut == len(script.frames) else replace(script, frames=script.frames[:cut])


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class TruncatedLastJson(Fault):
    """Cut the last event of a stream inside its JSON; HTTP ends properly."""

    kind: ClassVar[str] = "truncated_last_json"
    seen_at: ClassVar[str] = "https://github.com/duolahypercho/codex-router/issues/100"

    def script(self, script: Script, _: Scene) -> Script:
        told = payloads.events(script) if script.stream else []
        at = payloads.place(told, lambda event: event.json is not None)
        if at is None:
            return script
        frame = told[at].frame
        begin = frame.data.find(b"{")
        data = frame.data[: begin + (len(frame.data) - begin) * 2 // 3]
        return replace(script, frames=(*script.frames[:at], frame._replace(data=data, tokens=0, text_bytes=0)))
