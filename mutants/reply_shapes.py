"""Replies of Responses, Gemini and the media endpoints, exports and counts that depart from their shape."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import orjson

from gateway import app, errors, usage_csv
from gateway.endpoints import gemini_models
from gateway.endpoints.audio import Audio
from gateway.endpoints.images import Images
from gateway.endpoints.videos import Videos
from gateway.upstreams.reading import Told, Whole
from gateway.wires import gemini, gemini_errors, responses
from mutants._edits import without
from mutants._patch import Edit, around, edit_request, edit_wholes, replace
from mutants.gemini import edit_chunks
from mutants.registry import mutant
from mutants.responses import RESPONSES, edit_read
from schemas import catalogue

NUMBERED = ("response.output_text.delta", "response.refusal.delta")


def edit_reply(endpoint: type[Any], edit: Edit) -> None:
    """What an endpoint of media says is what `edit` makes of it."""

    @around(endpoint, "reply")
    def reply(old: Any, *args: Any) -> dict[str, Any]:
        return edit(old(*args))


def edit_items(endpoint: type[Any], edit: Edit) -> None:
    """The same, of each thing that was made."""
    edit_reply(endpoint, lambda told: {**told, "data": list(map(edit, told["data"]))} if "data" in told else told)


def edit_counts(wire: type[Any], edit: Edit) -> None:
    """What a count of tokens says is what `edit` makes of it."""

    @around(wire, "read_whole")
    def read_whole(old: Any, self: Any, body: bytes) -> Any:
        answer = old(self, body)
        return Whole(orjson.dumps(edit(orjson.loads(answer.body))), Told(), 0) if isinstance(answer, Whole) else answer


def edit_lines(edit: Callable[[Any], Any]) -> None:
    """The rows of an export are what `edit` makes of them."""

    @around(usage_csv, "lines")
    def lines(old: Any, entries: list[Any]) -> bytes:
        made: bytes = old(list(map(edit, entries)))
        return made


@mutant()
def response_without_tools() -> None:
    """A response does not say which tools it was given."""
    edit_wholes(without("tools"), RESPONSES)


@mutant()
def response_delta_without_item() -> None:
    """Pieces of text do not say which item they belong to."""
    edit_read(lambda told: without("item_id")(told) if told.get("type") in NUMBERED else told)


@mutant()
def response_part_left_open() -> None:
    """The end of a part goes by a name that no client knows."""
    ending = "response.content_part.done"
    edit_read(lambda told: {**told, "type": "response.content_part.ended"} if told.get("type") == ending else told)


@mutant()
def response_item_told_twice() -> None:
    """The last event of a stream has its last item twice."""

    def twice(told: dict[str, Any]) -> dict[str, Any]:
        if told.get("type") != "response.completed":
            return told
        output = told["response"]["output"]
        return {**told, "response": {**told["response"], "output": [*output, *output[-1:]]}}

    edit_read(twice)


@mutant()
def responses_count_missing() -> None:
    """The tokens of a Responses request cannot be counted."""

    @around(app, "table")
    def table(old: Any) -> dict[str, Any]:
        return {path: methods for path, methods in old().items() if not path.endswith("/responses/input_tokens")}


@mutant()
def responses_count_of_text_alone() -> None:
    """Tools are not counted."""
    edit_request(without("tools"), (responses.CountWire,))


@mutant()
def response_count_without_object() -> None:
    """A count does not say that it is one."""
    edit_counts(responses.CountWire, without("object"))


@mutant()
def gemini_role_is_assistant() -> None:
    """Candidates in Gemini's shape have the role that OpenAI has for them."""

    def rename(chunk: dict[str, Any]) -> dict[str, Any]:
        for candidate in chunk.get("candidates") or ():
            if isinstance(candidate.get("content"), dict):
                candidate["content"]["role"] = "assistant"
        return chunk

    edit_chunks(rename)


@mutant()
def gemini_ids_change() -> None:
    """Every chunk has an id of its own."""
    numbers = count()
    edit_chunks(lambda chunk: {**chunk, "responseId": f"r{next(numbers)}"})


@mutant()
def gemini_count_renamed() -> None:
    """A count in Google's form goes by OpenAI's name."""
    edit_counts(gemini.CountWire, lambda told: {"input_tokens": told["totalTokens"]})


@mutant()
def gemini_count_of_inner_request_lost() -> None:
    """A whole request around the contents is not understood."""
    replace(gemini, "inner_object", lambda fields, *_names: {} if "contents" not in fields else fields)


@mutant()
def gemini_models_in_openai_shape() -> None:
    """Google's SDKs get the list that OpenAI's would get."""

    def listing() -> bytes:
        rows = [{"id": model.id, "object": "model"} for model in catalogue.MODELS.values()]
        return orjson.dumps({"object": "list", "data": rows})

    replace(gemini_models, "listing", listing)


@mutant()
def gemini_models_of_all_vendors() -> None:
    """Google's SDKs are told of models that they cannot call."""

    def listing() -> bytes:
        return orjson.dumps({"models": [gemini_models.entry(model) for model in catalogue.MODELS.values()]})

    replace(gemini_models, "listing", listing)


@mutant()
def gemini_model_named_bare() -> None:
    """A model in Google's form bears the name that it has everywhere else."""

    @around(gemini_models, "entry")
    def entry(old: Any, model: Any) -> dict[str, Any]:
        return {**old(model), "name": model.id}


@mutant()
def google_error_without_details() -> None:
    """A refusal in Google's form does not give the reference's type."""

    @around(gemini_errors, "status")
    def status(old: Any, code: int, message: str, _details: Any = None) -> dict[str, Any]:
        told: dict[str, Any] = old(code, message)
        return told


@mutant()
def google_error_in_our_form() -> None:
    """Google's SDKs are refused in a form that they cannot read."""
    replace(gemini_errors, "render", errors.render)


@mutant()
def pictures_without_created() -> None:
    """Pictures do not say when they were made."""
    edit_reply(Images, without("created"))


@mutant()
def clip_length_in_words() -> None:
    """The length of a clip is a text."""
    edit_items(Videos, lambda item: {**item, "duration": f"{item['duration']} s"} if "duration" in item else item)


@mutant()
def sound_link_without_site() -> None:
    """The link to a sound is a path."""
    edit_items(Audio, lambda item: {**item, "url": f"/{item['url'].partition('://')[2].partition('/')[2]}"})


@mutant()
def transcript_under_data() -> None:
    """A transcript stands where links to sound stand."""
    edit_reply(Audio, lambda told: {"created": 1, "data": [{"text": told["text"]}]} if "text" in told else told)


@mutant()
def transcript_cut() -> None:
    """The last word of a transcript is missing."""
    edit_reply(Audio, lambda told: {**told, "text": told["text"].rpartition(" ")[0]} if "text" in told else told)


@mutant()
def export_columns_shuffled() -> None:
    """The columns of an export stand in another order."""
    replace(usage_csv, "COLUMNS", tuple(sorted(usage_csv.COLUMNS)))


@mutant()
def export_costs_in_credits() -> None:
    """The microcredits of an export are credits."""
    edit_lines(lambda entry: {**entry, "costUc": entry["costCredits"]})
