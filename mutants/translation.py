"""Calls that are translated between dialects wrongly: requests, answers, money, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace as changed
from typing import Any

from gateway import translated
from gateway.attempts import Call
from gateway.chain import Failure
from gateway.errors import InvalidRequest
from gateway.pricing import Usage
from gateway.relay import Progress, StreamAnswer
from gateway.speeches import Speeches
from gateway.translated import Translated, TranslatedReader
from gateway.translation import delta
from gateway.translation.chat import request as chat_request
from gateway.translation.delta import CallOpened, CallPiece, Delta, Head, Said, Stopped
from gateway.translation.dialects import DIALECTS, Dialect
from gateway.translation.prompt import Content, Image, Prompt, Text, ToolResult
from gateway.translation.responses import answer as responses_answer
from gateway.upstreams import problems
from gateway.upstreams.reading import Told
from gateway.wires.messages import CountWire
from gateway.wires.responses import ResponsesWire
from mutants._patch import around, replace
from mutants.registry import mutant
from schemas.catalogue import MODELS

Reader = Callable[[Mapping[str, Any]], Prompt]
Deltas = Callable[[Delta], Iterable[Delta]]


def edit_dialects(edit: Callable[[Dialect], Dialect]) -> None:
    """Requests and answers are translated by dialects that `edit` has changed."""
    replace(translated, "DIALECTS", {name: edit(dialect) for name, dialect in DIALECTS.items()})


def edit_prompts(edit: Callable[[Prompt], Prompt]) -> None:
    """What is written for the upstream is what `edit` makes of the request."""

    def edited(dialect: Dialect) -> Dialect:
        return dialect._replace(write=lambda prompt, model: dialect.write(edit(prompt), model))

    edit_dialects(edited)


def edit_contents(edit: Callable[[Content], Content | None]) -> None:
    """Each piece of the turns is what `edit` makes of it; None takes it away."""

    def turns(prompt: Prompt) -> Prompt:
        made = [
            changed(turn, content=tuple(kept for piece in turn.content if (kept := edit(piece)) is not None))
            for turn in prompt.turns
        ]
        return changed(prompt, turns=tuple(made))

    edit_prompts(turns)


def send_on(*names: str) -> None:
    """The texts of some members, wherever they stand in the request, are told to the upstream, too."""

    def found(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (text for name in names if isinstance(text := value.get(name), str) and text)
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from found(inner)

    def read(old: Reader, fields: Mapping[str, Any]) -> Prompt:
        prompt = old(fields)
        return changed(prompt, instructions=(*prompt.instructions, *found(fields)))

    edit_dialects(lambda dialect: dialect._replace(read=lambda fields: read(dialect.read, fields)))


class EditedReading:
    """A reading whose deltas are what `edit` makes of them."""

    def __init__(self, inner: delta.Reading, edit: Deltas) -> None:
        self._inner = inner
        self._edit = edit

    def deltas(self, event: dict[str, Any]) -> Iterator[Delta]:
        """What an event tells."""
        for one in self._inner.deltas(event):
            yield from self._edit(one)

    def end(self) -> Iterator[Delta]:
        """What is left to tell."""
        for one in self._inner.end():
            yield from self._edit(one)


def edit_deltas(fresh: Callable[[], Deltas]) -> None:
    """What an upstream told is what `fresh()`, made for each answer, makes of it."""

    def edited(dialect: Dialect) -> Dialect:
        return dialect._replace(reading=lambda: EditedReading(dialect.reading(), fresh()))

    edit_dialects(edited)


def when_won(edit: Callable[[Call], None]) -> None:
    """A call that was answered in another dialect is changed by `edit` before it is charged and logged."""

    @around(Call, "won")
    def won(old: Any, self: Call) -> None:
        old(self)
        if isinstance(self.speech, Translated):
            edit(self)


@mutant()
def translation_never_tried() -> None:
    """Only upstreams of the caller's own dialect are asked."""

    @around(Speeches, "targets")
    def targets(old: Any, self: Speeches) -> tuple[str, ...]:
        old(self)
        return self._route.own


@mutant()
def translated_text_trimmed() -> None:
    """Blanks at the ends of each piece of a translated text are trimmed."""
    edit_deltas(lambda: lambda one: [Said(one.text.strip())] if isinstance(one, Said) else [one])


@mutant()
def translated_stream_has_foreign_end() -> None:
    """A translated stream ends with the end mark of Chat Completions, whoever asked."""

    @around(Translated, "closing")
    def closing(old: Any, self: Translated, *rest: Any) -> bytes:
        return bytes(old(self, *rest)) + b"data: [DONE]\n\n"


@mutant()
def translated_answer_names_upstream_model() -> None:
    """A translated answer bears a vendor's name before that of the model."""
    replace(translated, "Head", lambda token, at, model, *rest: Head(token, at, f"vendor/{model}", *rest))


@mutant()
def translated_arguments_dropped() -> None:
    """Calls of a translated answer have no arguments."""
    edit_deltas(lambda: lambda one: [] if isinstance(one, CallPiece) else [one])


@mutant()
def translated_second_call_lost() -> None:
    """Of the calls of a translated answer only the first is told."""

    def first_only() -> Deltas:
        opened: list[Delta] = []

        def edit(one: Delta) -> Iterable[Delta]:
            opened.extend([one] if isinstance(one, CallOpened) else [])
            return [] if len(opened) > 1 and isinstance(one, CallOpened | CallPiece) else [one]

        return edit

    edit_deltas(first_only)


@mutant()
def translated_cut_told_as_end() -> None:
    """A translated answer that was cut by length is told as if it had come to its end."""

    def edit(one: Delta) -> Iterable[Delta]:
        return [Stopped("stop") if isinstance(one, Stopped) and one.reason == "length" else one]

    edit_deltas(lambda: edit)


@mutant()
def translated_usage_doubled() -> None:
    """The usage that ends a translated stream counts everything twice."""

    @around(Translated, "closing")
    def closing(old: Any, self: Translated, reader: Any, terminal: bytes, bill: Any) -> bytes:
        twice = Usage(2 * bill.usage.input_tokens, 2 * bill.usage.output_tokens)
        return bytes(old(self, reader, terminal, changed(bill, usage=twice)))


@mutant()
def translated_usage_estimated() -> None:
    """The usage that the upstream of a translated stream told is not read; an estimate is charged."""
    replace(TranslatedReader, "told", property(lambda _self: Told()))


@mutant()
def translated_charged_by_other_model() -> None:
    """A translated call costs what another model costs."""

    def reprice(call: Call) -> None:
        call.model = MODELS["gpt-5.5"]

    when_won(reprice)


@mutant()
def translated_log_names_first_target() -> None:
    """The log names the first target of the chain, though one of another dialect answered."""

    def rename(call: Call) -> None:
        call.upstream = next(iter(call.upstreams.values()))

    when_won(rename)


@mutant()
def translated_death_ends_cleanly() -> None:
    """A translated stream whose upstream dies in mid-answer ends as a whole one does."""

    @around(StreamAnswer, "attempt")
    async def attempt(old: Any, self: StreamAnswer, step: Any) -> Failure | Progress:
        outcome: Failure | Progress = await old(self, step)
        dead = isinstance(outcome, Failure) and self.committed and isinstance(self.call.speech, Translated)
        return Progress.WHOLE if dead else outcome


@mutant()
def translated_death_in_foreign_form() -> None:
    """A translated stream that broke off ends with an error in the form of the upstream's dialect."""

    @around(StreamAnswer, "finish")
    async def finish(old: Any, self: StreamAnswer, ending: Any, bill: Any) -> None:
        if self.error is not None and self.call.exchange.begun:
            self.call.wire = self.call.speech.wire
        await old(self, ending, bill)


@mutant()
def translated_upstream_left_running() -> None:
    """When the caller of a translated stream goes away, the upstream goes on talking."""
    running: list[Any] = []

    @around(Call, "abandon")
    def abandon(old: Any, self: Call) -> None:
        if isinstance(self.speech, Translated):
            running.append(self.reply)
            self.reply = None
        old(self)


@mutant()
def translated_instructions_lost() -> None:
    """System texts do not reach an upstream of another dialect."""
    edit_prompts(lambda prompt: changed(prompt, instructions=()))


@mutant()
def translated_picture_lost() -> None:
    """Pictures do not reach an upstream of another dialect."""
    edit_contents(lambda piece: None if isinstance(piece, Image) else piece)


@mutant()
def translated_limit_lost() -> None:
    """An upstream of another dialect is not told how long the answer may be."""
    edit_prompts(lambda prompt: changed(prompt, limit=None))


@mutant()
def translated_result_lost() -> None:
    """An upstream of another dialect is told that a tool was run, but not what came of it."""
    edit_contents(lambda piece: changed(piece, content=(Text("Done."),)) if isinstance(piece, ToolResult) else piece)


@mutant()
def translated_thoughts_sent_on() -> None:
    """The thoughts of earlier turns are told to another vendor's model."""
    send_on("thinking")


@mutant()
def translated_signatures_sent_on() -> None:
    """Signatures and sealed thoughts of earlier turns are told to another vendor's model."""
    send_on("signature", "encrypted_content", "thoughtSignature")


@mutant()
def unspeakable_left_out() -> None:
    """What has no words in the upstream's dialect is left out of a chat, even if it decides the answer."""
    replace(chat_request, "refuse_the_rest", lambda _fields: None)


@mutant()
def unspeakable_held_then_failed() -> None:
    """A call that nobody can be asked is admitted, and fails when its upstreams are tried."""

    @around(Speeches, "targets")
    def targets(old: Any, self: Speeches) -> tuple[str, ...]:
        try:
            names: tuple[str, ...] = old(self)
        except InvalidRequest:
            return self._route.others
        return names


@mutant()
def responses_for_its_own_vendor_only() -> None:
    """Responses serves only models whose upstreams speak it."""
    replace(ResponsesWire, "translatable", False)


@mutant()
def translated_response_says_stored() -> None:
    """A translated response says that it was stored."""
    around(responses_answer, "opening")(lambda old, head: {**old(head), "store": True})


@mutant()
def translated_free_text_tool_is_function() -> None:
    """A tool of free text is called as the function that stands for it."""
    replace(Prompt, "custom_tools", lambda _self: frozenset())


@mutant()
def tokens_counted_by_other_vendor() -> None:
    """Where Anthropic does not count tokens, another vendor is asked."""
    replace(CountWire, "translatable", True)


@mutant()
def loop_without_thinking_refused() -> None:
    """A tool loop that another vendor began without thinking is told to be wrong when Anthropic is up again."""
    replace(problems, "UNTHOUGHT_WORDS", ())
