"""What one Gemini model takes: methods, limits, thinking, output forms, and thoughts that this fleet signed.

Every rule is switched by a fact of the profile, so that another model or surface is a row of data.

    methods                 of the API; absent: generateContent, countTokens
    context_tokens          input limit
    thinking                {min, max, optional}: budgets, and whether 0 is one; absent: the model does not think
    levels                  of thinking; absent: none
    modalities              combinations of response modalities; absent: [[TEXT]]
    logprobs                whether log probabilities can be asked for
    json_with_tools         whether a response schema and function declarations go together (default true)
    signatures_required     calls in the turn under way must bear the signature that they came with
    unreachable_hosts       globs of hosts whose files cannot be fetched
    signature_secret        bytes or hex: verifies the signatures in the history; absent: any is taken
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from simulator.answers import signatures
from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.gemini.contents import each, role_of
from simulator.dialects.gemini.fields import decoded
from simulator.dialects.gemini.problems import refuse
from simulator.dialects.gemini.request import Body
from simulator.problem import Problem, Refused

METHODS: Final = ("generateContent", "countTokens")
METHOD_OF: Final = {
    "generate": "generateContent",
    "count_tokens": "countTokens",
    "embed": "embedContent",
    "batch_embed": "embedContent",
}
BYPASSES: Final = frozenset({"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"})
_UNSIGNED: Final = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, "
    "and missing thought_signature may lead to degraded model performance. Additional data, function call "
    "`default_api:{name}` , position {position}. Please refer to "
    "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
)
_UNREACHABLE: Final = (
    "Cannot fetch content from the provided URL. Please ensure the URL is valid and accessible by Vertex AI. Vertex AI "
    "respects robots.txt rules, so confirm the URL is allowed to be crawled. Status: URL_ROBOTED-ROBOTED_DENIED"
)


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    if METHOD_OF[ask.operation] not in profile.facts.get("methods", METHODS):
        raise Refused(Problem("unknown_model", param=ask.model))
    context = profile.facts.get("context_tokens")
    if context is not None and ask.input_tokens > context and ask.operation == "generate":
        raise refuse(
            f"The input token count ({ask.input_tokens}) exceeds the maximum number of tokens allowed ({context})."
        )
    if ask.operation in ("embed", "batch_embed"):
        _dimensions(ask, profile)
        return
    config = ask.body.get("generationConfig", {})
    _modalities(config, profile)
    _thinking(config.get("thinkingConfig", {}), profile)
    if (config.get("responseLogprobs") or config.get("logprobs")) and not profile.has("logprobs"):
        raise refuse(f"Logprobs is not enabled for models/{profile.model}")
    json_asked = config.get("responseMimeType") == "application/json"
    if json_asked and not profile.facts.get("json_with_tools", True) and any(t.kind == "function" for t in ask.tools):
        raise refuse("Function calling with a response mime type: 'application/json' is unsupported")
    _files(ask.body, profile)
    _signatures(ask.body, profile)


def _dimensions(ask: Ask, profile: Profile) -> None:
    most = profile.facts.get("dimensions", 3072)
    for one in ask.body["requests"]:
        asked = one.get("outputDimensionality", most)
        if not 1 <= asked <= most:
            where = "* EmbedContentRequest.output_dimensionality"
            raise refuse(f"{where}: must be in the range [1, {most}], got {asked}.\n")


def _modalities(config: Mapping[str, Any], profile: Profile) -> None:
    taken = profile.facts.get("modalities", [["TEXT"]])
    asked = config.get("responseModalities") or (["TEXT"] if profile.has("must_say_modalities") else None)
    if asked is None or any(sorted(asked) == sorted(one) for one in taken):
        return
    raise refuse(
        f"The requested combination of response modalities ({', '.join(asked)}) is not supported by the model. "
        f"models/{profile.model} accepts the following combination of response modalities:\n"
        + "".join(f"* {', '.join(one)}\n" for one in taken)
    )


def _thinking(thinking: Mapping[str, Any], profile: Profile) -> None:
    limits, levels = profile.facts.get("thinking"), profile.facts.get("levels", ())
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if limits is None:
        if budget or level or (thinking.get("includeThoughts") and budget is None):
            raise refuse(f"Thinking is not enabled for models/{profile.model}")
        return
    if level is not None and budget is not None:
        raise refuse("You can only set only one of thinking budget and thinking level.")
    if level is not None and not levels:
        raise refuse("Thinking level is not supported for this model.")
    if level is not None and level not in (*levels, "THINKING_LEVEL_UNSPECIFIED"):
        raise refuse(f"Thinking level {level} is not supported for this model. Please retry with other thinking level.")
    if budget == 0 and not limits.get("optional", True):
        raise refuse("Budget 0 is invalid. This model only works in thinking mode.")
    if budget not in (None, 0, -1) and not limits["min"] <= budget <= limits["max"]:
        raise refuse(
            f"The thinking budget {budget} is invalid. Please choose a value between {limits['min']} and "
            f"{limits['max']}."
        )


def _files(body: Mapping[str, Any], profile: Profile) -> None:
    """No file is ever fetched: hosts that cannot be reached are data."""
    globs = profile.facts.get("unreachable_hosts", ())
    for uri in _uris(body):
        if any(fnmatchcase(urlsplit(uri).hostname or "", glob) for glob in globs):
            raise refuse(_UNREACHABLE)


def _uris(body: Mapping[str, Any]) -> Iterator[str]:
    for part in each(body.get("contents", ()), "fileData"):
        yield part["fileData"].get("fileUri", "")
    for part in each(body.get("contents", ()), "functionResponse"):
        for inner in part["functionResponse"].get("parts", ()):
            yield inner.get("fileData", {}).get("fileUri", "")


def secret(profile: Profile) -> bytes | None:
    """The fleet's signing secret, when the profile has one."""
    value = profile.facts.get("signature_secret")
    return bytes.fromhex(value) if isinstance(value, str) else value


def sign(profile: Profile, part: Mapping[str, Any]) -> str:
    """The signature of a part by this model at this provider: a call's is bound to its function's name."""
    return signatures.sign(secret(profile) or b"", signatures.family(profile.snapshot), profile.provider, _signed(part))


def _signed(part: Mapping[str, Any]) -> str:
    return str(part.get("functionCall", {}).get("name", ""))


def _signatures(body: Mapping[str, Any], profile: Profile) -> None:
    contents = body.get("contents", [])
    if profile.has("signatures_required"):
        _present(contents)
    if secret(profile) is None or (isinstance(body, Body) and body.any_signature):
        return
    for part in each(contents, "thoughtSignature"):
        if not _valid(part, profile):
            raise Refused(Problem("stale_signature"))


def _present(contents: list[Mapping[str, Any]]) -> None:
    """The first call of every model's turn since the user last said something bears a signature."""
    responds = [any(each([one], "functionResponse")) for one in contents]
    said = [at for at, one in enumerate(contents) if role_of(one) == "user" and not responds[at]]
    for at in range(max(said, default=0), len(contents)):
        call = next(each([contents[at]], "functionCall"), None) if role_of(contents[at]) == "assistant" else None
        if call is not None and not call.get("thoughtSignature"):
            raise refuse(_UNSIGNED.format(name=call["functionCall"].get("name", ""), position=at + 1))


def _valid(part: Mapping[str, Any], profile: Profile) -> bool:
    """Whether this fleet signed it, in either alphabet of base64; or one of the words that turn validation off."""
    told = part["thoughtSignature"]
    try:
        raw = decoded(told)
    except (binascii.Error, ValueError):
        return told in BYPASSES
    if told in BYPASSES or raw.decode("latin-1") in BYPASSES:
        return True
    key, family = secret(profile) or b"", signatures.family(profile.snapshot)
    return signatures.verify(key, family, profile.provider, _signed(part), base64.b64encode(raw).decode())
