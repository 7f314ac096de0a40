"""What a Gemini answer says as one JSON object: parts, ends, counts and pictures; and vectors, counts and lists."""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

import pytest
from PIL import Image

from simulator.dialects.base import Serving
from tests.simulator.gemini_wire import (
    DIALECT,
    NONCE,
    NOW_S,
    PROVIDERS,
    SEED,
    TOOLS,
    Call,
    body,
    config,
    parts,
    payload,
    replied,
    says,
)


def test_an_answer_has_the_recorded_keys_in_their_order() -> None:
    """Candidates, usage, version and id; nothing else; indented by two with a final newline."""
    data = payload(Call(body()).script())
    found = json.loads(data)
    assert list(found) == ["candidates", "usageMetadata", "modelVersion", "responseId"]
    assert list(found["candidates"][0]) == ["content", "finishReason", "index"]
    assert list(found["candidates"][0]["content"]) == ["parts", "role"]
    assert found["responseId"] == NONCE
    assert data.startswith(b'{\n  "candidates": [\n')


def test_vertex_tells_other_keys_in_another_order() -> None:
    found = replied(body(), provider="vertex")
    assert list(found) == ["candidates", "usageMetadata", "modelVersion", "createTime", "responseId"]
    assert list(found["candidates"][0]) == ["content", "finishReason", "avgLogprobs"]
    assert list(found["candidates"][0]["content"]) == ["role", "parts"]
    assert found["usageMetadata"]["trafficType"] == "ON_DEMAND"
    assert "serviceTier" not in found["usageMetadata"]
    assert found["createTime"].startswith("2026-05-04T12:34:56.")


def test_total_is_prompt_candidates_and_thoughts() -> None:
    """`candidatesTokenCount` leaves thoughts out."""
    usage = replied(body("Hi [[answer: tokens=40 reasoning_tokens=202]]"))["usageMetadata"]
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (40, 202)
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + 40 + 202
    assert usage["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": usage["promptTokenCount"]}]


def test_signs_of_markup_are_written_as_escapes() -> None:
    data = payload(Call(body('Hi [[answer: say="<b>é</b>"]]')).script())
    assert "\\u003cb\\u003eé\\u003c/b\\u003e".encode() in data


def test_an_answer_cut_by_length_without_text_has_a_content_of_a_role_alone() -> None:
    found = replied(body('Hi [[answer: length say=""]]'))
    assert found["candidates"][0]["content"] == {"role": "model"}
    assert found["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert "candidatesTokenCount" not in found["usageMetadata"]


def test_thoughts_can_use_up_all_that_an_answer_may_be() -> None:
    thinks = config(maxOutputTokens=100, thinkingConfig={"includeThoughts": True, "thinkingBudget": 4096})
    found = replied(body("Hi [[answer: length]]", **thinks))
    assert [part["thought"] for part in parts(found)] == [True]
    assert found["usageMetadata"]["thoughtsTokenCount"] == 100
    assert "candidatesTokenCount" not in found["usageMetadata"]


def test_thoughts_are_shown_only_when_asked_for() -> None:
    plain = replied(body("Hi [[answer: reasoning]]"))
    shown = replied(body("Hi", **config(thinkingConfig={"includeThoughts": True})))
    assert [part.get("thought") for part in parts(plain)] == [None]
    assert [part.get("thought") for part in parts(shown)] == [True, None]


def test_a_budget_of_nothing_stops_thinking_and_a_level_bounds_it() -> None:
    off = replied(body("Hi", **config(thinkingConfig={"thinkingBudget": 0})))
    low = replied(body("Hi", **config(thinkingConfig={"thinkingLevel": "LOW"})), "gemini-3-flash-preview")
    assert "thoughtsTokenCount" not in off["usageMetadata"]
    assert low["usageMetadata"].get("thoughtsTokenCount", 0) <= 128


def test_calls_of_gemini_3_have_ids_and_only_the_first_is_signed() -> None:
    found = replied(body("Hi [[answer: tool_calls=3 tool_call]]", tools=TOOLS), "gemini-3-flash-preview")
    calls = parts(found)
    assert [set(part) for part in calls] == [{"functionCall", "thoughtSignature"}, {"functionCall"}, {"functionCall"}]
    assert all(len(part["functionCall"]["id"]) == 8 for part in calls)
    assert all(isinstance(part["functionCall"]["args"]["city"], str) for part in calls)
    assert found["candidates"][0]["finishReason"] == "STOP"
    assert found["candidates"][0]["finishMessage"] == "Model generated function call(s)."


def test_calls_of_older_models_have_no_ids_and_no_signature() -> None:
    (call,) = parts(replied(body(tools=TOOLS), "gemini-2.0-flash"))
    assert list(call) == ["functionCall"]
    assert list(call["functionCall"]) == ["name", "args"]


def test_a_blocked_answer_has_an_empty_content_and_ratings() -> None:
    found = replied(body("Hi [[answer: refusal]]"))
    (candidate,) = found["candidates"]
    assert candidate["content"] == {}
    assert candidate["finishReason"] == "SAFETY"
    assert [rating["category"] for rating in candidate["safetyRatings"] if rating.get("blocked")] == [
        "HARM_CATEGORY_HATE_SPEECH"
    ]
    assert "candidatesTokenCount" not in found["usageMetadata"]


@pytest.mark.parametrize("reason", ["SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "JAILBREAK", "OTHER"])
def test_a_blocked_prompt_has_no_candidates(reason: str) -> None:
    found = replied(body(f"Hi [[answer: native=prompt_{reason.lower()}]]"))
    assert "candidates" not in found
    assert found["promptFeedback"] == {"blockReason": reason}
    assert found["usageMetadata"]["totalTokenCount"] == found["usageMetadata"]["promptTokenCount"]


def test_a_prompt_blocked_by_model_armor_tells_only_the_traffic_type() -> None:
    found = replied(body("Hi [[answer: native=prompt_block]]", modelArmorConfig={}), provider="vertex")
    assert found["promptFeedback"]["blockReason"] == "MODEL_ARMOR"
    assert found["promptFeedback"]["blockReasonMessage"]
    assert found["usageMetadata"] == {"trafficType": "ON_DEMAND"}


@pytest.mark.parametrize("reason", ["RECITATION", "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR", "NO_IMAGE", "SPII"])
def test_an_answer_can_end_for_every_reason(reason: str) -> None:
    (candidate,) = replied(body(f"Hi [[answer: native=finish_{reason.lower()}]]"))["candidates"]
    assert candidate["finishReason"] == reason
    assert candidate.get("content", {}) == {}
    assert ("content" in candidate) is (reason != "MODEL_ARMOR")


def test_candidates_are_told_with_their_index_and_counted_together() -> None:
    found = replied(body("Hi [[answer: tokens=12]]", **config(candidateCount=3)))
    assert [candidate["index"] for candidate in found["candidates"]] == [0, 1, 2]
    assert found["usageMetadata"]["candidatesTokenCount"] == 36


def test_log_probabilities_are_of_every_token_with_as_many_alternatives_as_asked() -> None:
    asked = config(responseLogprobs=True, logprobs=3)
    (candidate,) = replied(body("Hi [[answer: tokens=9]]", **asked), "gemini-2.0-flash")["candidates"]
    result = candidate["logprobsResult"]
    assert "".join(row["token"] for row in result["chosenCandidates"]) == candidate["content"]["parts"][0]["text"]
    assert [len(row["candidates"]) for row in result["topCandidates"]] == [3] * 9
    mean = sum(row["logProbability"] for row in result["chosenCandidates"]) / 9
    assert math.isclose(candidate["avgLogprobs"], mean, abs_tol=1e-5)


def test_structured_answers_validate_and_follow_the_order_asked_for() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"name": {"type": "STRING"}, "age": {"type": "INTEGER", "minimum": 1, "maximum": 9}},
        "required": ["name", "age"],
        "propertyOrdering": ["age", "name"],
    }
    found = replied(body(**config(responseMimeType="application/json", responseSchema=schema)))
    said = json.loads(parts(found)[0]["text"])
    assert list(said) == ["age", "name"]
    assert 1 <= said["age"] <= 9


def test_an_enum_is_answered_by_its_bare_word() -> None:
    schema = {"type": "STRING", "enum": ["RED", "BLUE"]}
    found = replied(body(**config(responseMimeType="text/x.enum", responseSchema=schema)))
    assert parts(found)[0]["text"] in ("RED", "BLUE")


def test_a_search_tells_what_the_answer_rests_on_and_shows_its_run_when_asked() -> None:
    asked = body("Hi [[answer: native=offered]]", tools=[{"googleSearch": {}}])
    (hidden,) = replied(asked, "gemini-3-flash-preview")["candidates"]
    asked["toolConfig"] = {"includeServerSideToolInvocations": True}
    (shown,) = replied(asked, "gemini-3-flash-preview")["candidates"]
    assert hidden["groundingMetadata"]["groundingChunks"][0]["web"]["uri"].startswith("https://vertexaisearch.")
    assert [next(iter(part)) for part in hidden["content"]["parts"]] == ["text"]
    assert [next(iter(part)) for part in shown["content"]["parts"]] == ["toolCall", "toolResponse", "text"]


def test_what_a_tool_of_googles_read_counts_beside_the_prompt() -> None:
    text = "word " * 900 + "see https://example.com/a. [[answer: native=url_context]]"
    usage = replied(body(text, tools=[{"urlContext": {}}]))["usageMetadata"]
    whole = usage["promptTokenCount"] + usage["toolUsePromptTokenCount"]
    assert usage["totalTokenCount"] == whole + usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]


def test_image_models_answer_with_a_picture_of_the_asked_shape() -> None:
    asked = config(responseModalities=["IMAGE"], imageConfig={"aspectRatio": "16:9"})
    found = replied(body("A teapot", **asked), "gemini-2.5-flash-image")
    (part,) = parts(found)
    assert part["inlineData"]["mimeType"] == "image/png"
    picture = Image.open(io.BytesIO(base64.b64decode(part["inlineData"]["data"])))
    assert (picture.format, picture.size) == ("PNG", (1344, 768))
    assert found["usageMetadata"]["candidatesTokenCount"] == 1290
    assert found["usageMetadata"]["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 1290}]


def test_image_models_can_answer_with_words() -> None:
    words = replied(body("Hi [[answer: text]]"), "gemini-2.5-flash-image")
    asked = replied(body("Hi", **config(responseModalities=["TEXT"])), "gemini-2.5-flash-image")
    assert "text" in parts(words)[0]
    assert "text" in parts(asked)[0]


def test_tokens_are_counted_by_modality_and_vertex_counts_characters() -> None:
    pixel = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    asked = {"contents": [{"role": "user", "parts": [{"text": "What is the capital of France?"}, pixel]}]}
    found = replied(asked, method="countTokens")
    assert found == {
        "totalTokens": 8 + 258,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}, {"modality": "IMAGE", "tokenCount": 258}],
    }
    wrapped = {"generateContentRequest": {"model": "models/gemini-2.5-flash", **asked}}
    assert replied(wrapped, method="countTokens") == found
    vertex = replied(asked, method="countTokens", provider="vertex")
    assert list(vertex) == ["totalTokens", "totalBillableCharacters", "promptTokensDetails"]
    assert vertex["totalBillableCharacters"] == 25


def test_a_count_is_what_an_answer_is_billed() -> None:
    asked = body("How warm is it?", tools=TOOLS, systemInstruction={"parts": [{"text": "Be short."}]})
    counted = replied({"generateContentRequest": asked}, method="countTokens")["totalTokens"]
    assert replied(asked)["usageMetadata"]["promptTokenCount"] == counted


def test_what_was_said_before_is_read_from_the_cache() -> None:
    long = [says("word " * 1100), says("Yes.", "model"), says("And now?")]
    usage = replied({"contents": long})["usageMetadata"]
    assert usage["cachedContentTokenCount"] == 1101
    assert usage["cacheTokensDetails"] == [{"modality": "TEXT", "tokenCount": 1101}]
    assert usage["promptTokenCount"] > 1101
    named = replied(body(cachedContent="cachedContents/abc"))["usageMetadata"]
    assert named["promptTokenCount"] > named["cachedContentTokenCount"] == 4096


def vector(text: str, **more: Any) -> list[float]:
    asked = {"content": {"parts": [{"text": text}]}, **more}
    values: list[float] = replied(asked, "gemini-embedding-001", "embedContent")["embedding"]["values"]
    return values


def test_vectors_have_length_one_at_every_number_of_dimensions_and_depend_on_text_and_task() -> None:
    for dimensions in (None, 768, 3):
        values = vector("Ruby", **({} if dimensions is None else {"outputDimensionality": dimensions}))
        assert len(values) == (dimensions or 3072)
        assert math.isclose(math.hypot(*values), 1, abs_tol=1e-2)
    assert vector("Ruby") == vector("Ruby")
    assert vector("Ruby") != vector("Ruby", taskType="CLUSTERING")


def test_a_batch_embeds_each_content_and_newer_models_tell_what_it_cost() -> None:
    rows = [{"model": "models/gemini-embedding-2", "content": {"parts": [{"text": text}]}} for text in ("a", "b c")]
    found = replied({"requests": rows}, "gemini-embedding-2", "batchEmbedContents")
    assert len(found["embeddings"]) == 2
    assert found["usageMetadata"]["promptTokenCount"] == 3
    older = replied({"requests": rows}, "gemini-embedding-001", "batchEmbedContents")
    assert list(older) == ["embeddings"]


def listed(query: str = "", model: str = "", provider: str = "gemini") -> Any:
    mount = PROVIDERS[provider].mounts[0]
    serving = Serving(NONCE, NOW_S, SEED, mount.facts, path="/v1beta/models", query=query)
    return json.loads(payload(DIALECT.models(mount.snapshots(), serving, model)))


def test_the_list_of_models_comes_in_pages_that_make_the_whole() -> None:
    names: list[str] = []
    token = ""
    while True:
        page = listed(f"pageSize=7&pageToken={token}")
        names += [row["name"] for row in page["models"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert names == [row["name"] for row in listed("pageSize=1000")["models"]]
    assert names == sorted(set(names))


def test_a_model_is_told_with_its_methods_and_limits() -> None:
    flash = listed(model="gemini-2.5-flash")
    assert flash["name"] == "models/gemini-2.5-flash"
    assert (flash["inputTokenLimit"], flash["outputTokenLimit"], flash["thinking"]) == (1048576, 65536, True)
    assert {"generateContent", "countTokens"} <= set(flash["supportedGenerationMethods"])
    assert "embedContent" in listed(model="gemini-embedding-001")["supportedGenerationMethods"]
    assert listed(provider="vertex")["publisherModels"][0]["name"].startswith("publishers/google/models/")
