"""What only Gemini's wire has in an answer: its own tools' runs, blocked prompts, other ends of an answer, pictures.

Each function gives the blocks for `[[answer: native=NAME]]`. What a block's content says: `part` is one more part of
the content, `candidate` are more keys of the candidate (in a stream: of its last chunk), `first` those of its first
chunk alone, `prompt_feedback` stands in place of all candidates, `finish` is how a candidate without content ended,
`tool_tokens` what a tool's results cost. Source: recorded replies; reasons and words from the official client's types.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from types import MappingProxyType
from typing import Any, Final

from simulator.answers.answer import Block, Native
from simulator.ask import Ask
from simulator.dialects.gemini.spoken import spoken
from simulator.media import pictures

BLOCK_REASONS: Final = (
    *("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "JAILBREAK", "MODEL_ARMOR"),
)
FINISH_REASONS: Final = (
    *("SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_OTHER", "NO_IMAGE", "IMAGE_RECITATION"),
    *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    "MALFORMED_RESPONSE",
)
IMAGE_TOKENS: Final = 1290
SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
SCALES: Final[Mapping[str, float]] = {"512": 0.5, "2K": 2, "4K": 4}  # by imageSize
_PAGES: Final = (
    ("example.com", "The river towns have made teapots for a long time."),
    ("example.org", "Water remembers its boiling point for about an hour."),
    ("example.net", "Porcelain keeps what it was taught in the kiln."),
)
_CHIP: Final = (
    "<style>\n.container {{\n  display: flex;\n}}\n</style>\n"
    '<div class="container"><a class="chip" href="{uri}">{query}</a></div>\n'
)
_FETCH_TOKENS: Final = 640


def search(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A search of the web: the call and its results where the request asks to see them, and what the text rests on."""
    query = _query(ask)
    entry = _CHIP.format(uri=_redirect(dice), query=query)
    chunks = [{"web": {"uri": _redirect(dice), "title": title}} for title, _ in _PAGES]
    supports = [
        {"segment": {"startIndex": 1, "endIndex": len(text), "text": text}, "groundingChunkIndices": [at]}
        for at, (_, text) in enumerate(_PAGES)
    ]
    grounding = {
        "searchEntryPoint": {"renderedContent": entry},
        "groundingChunks": chunks,
        "groundingSupports": supports,
        "webSearchQueries": [query],
    }
    blocks: list[Block] = []
    if ask.body.get("toolConfig", {}).get("includeServerSideToolInvocations"):
        name = {"toolType": "GOOGLE_SEARCH_WEB", "id": _call_id(dice)}
        blocks = [
            Native({"part": {"toolCall": name | {"args": {"queries": [query]}}}, "signed": True}),
            Native({"part": {"toolResponse": name | {"response": {"search_suggestions": entry}}}, "signed": True}),
        ]
    first: dict[str, Any] = {"groundingMetadata": {}}
    return (*blocks, Native({"candidate": {"groundingMetadata": grounding}, "first": first}))


def fetch(ask: Ask, dice: Random) -> tuple[Block, ...]:  # noqa: ARG001
    """A page that was read because the prompt names it."""
    words = " ".join(turn.text for turn in ask.turns).split()
    uri = next((word.rstrip(".,)?!") for word in words if word.startswith("http")), "https://example.com/teapots")
    metadata = {"urlMetadata": [{"retrievedUrl": uri, "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"}]}
    support = {"segment": {"endIndex": len(_PAGES[0][1]), "text": _PAGES[0][1]}, "groundingChunkIndices": [0]}
    grounding = {"groundingChunks": [{"web": {"uri": uri, "title": "A page"}}], "groundingSupports": [support]}
    told = {
        "candidate": {"groundingMetadata": grounding, "urlContextMetadata": metadata},
        "first": {"groundingMetadata": {}, "urlContextMetadata": metadata},
        "tool_tokens": _FETCH_TOKENS,
    }
    return (Native(told),)


def file_search(ask: Ask, dice: Random) -> tuple[Block, ...]:  # noqa: ARG001
    """A query of the caller's own files."""
    tool: Mapping[str, Any] = next(
        (tool["fileSearch"] for tool in ask.body.get("tools", ()) if "fileSearch" in tool), {}
    )
    stores = tool.get("fileSearchStoreNames") or tool.get("file_search_store_names") or ["fileSearchStores/store"]
    code = {"language": "PYTHON", "code": f'print(file_search.query(query="{_query(ask)}"))\n'}
    text = _PAGES[0][1]
    chunk = {"retrievedContext": {"text": text, "fileSearchStore": stores[0]}}
    support = {"segment": {"startIndex": 1, "endIndex": len(text), "text": text}, "groundingChunkIndices": [0]}
    grounding = {"groundingChunks": [chunk], "groundingSupports": [support]}
    told = {"candidate": {"groundingMetadata": grounding}, "tool_tokens": _FETCH_TOKENS}
    return (Native({"part": {"executableCode": code}}), Native(told))


def code_execution(ask: Ask, dice: Random) -> tuple[Block, ...]:  # noqa: ARG001
    """Code that the model wrote, and what it printed."""
    total = dice.randint(10, 99)
    code = {"language": "PYTHON", "code": f"print({total - 7} + 7)\n"}
    result = {"outcome": "OUTCOME_OK", "output": f"{total}\n"}
    return (Native({"part": {"executableCode": code}}), Native({"part": {"codeExecutionResult": result}}))


def citations(ask: Ask, dice: Random) -> tuple[Block, ...]:  # noqa: ARG001
    """Sources that the text repeats word by word."""
    cited = [{"startIndex": 0, "endIndex": 32, "uri": f"https://{host}/source"} for host, _ in _PAGES]
    return (Native({"candidate": {"citationMetadata": {"citations": cited}}}),)


def offered(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A run of every tool of Google's that the request offers."""
    kinds = {tool.kind for tool in ask.tools}
    runs = {
        search: kinds & {"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "googleMaps"},
        fetch: kinds & {"urlContext"},
        file_search: kinds & {"fileSearch", "retrieval"},
        code_execution: kinds & {"codeExecution"},
    }
    return tuple(block for run, wanted in runs.items() if wanted for block in run(ask, dice))


def image(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A picture of the prompt in the form that the request asks for; nothing when it wants words alone."""
    config = ask.body.get("generationConfig", {})
    if "IMAGE" not in (config.get("responseModalities") or ["IMAGE"]):
        return ()
    asked = config.get("imageConfig", {})
    scale = SCALES.get(asked.get("imageSize", ""), 1)
    width, height = (round(side * scale) for side in SIZES.get(asked.get("aspectRatio", ""), SIZES["1:1"]))
    options = asked.get("imageOutputOptions", {})
    mime = options.get("mimeType", "image/png")
    form: pictures.Form = "jpeg" if mime == "image/jpeg" else "png"
    quality = options.get("compressionQuality")
    prompt = ask.last_turn.text if ask.last_turn else ""
    data = pictures.picture(prompt, width, height, form, dice.getrandbits(32), quality if form == "jpeg" else None)
    part = {"inlineData": {"mimeType": f"image/{form}", "data": b64encode(data).decode()}}
    return (Native({"part": part}, tokens=IMAGE_TOKENS, final=True),)


def blocked(ask: Ask, dice: Random, reason: str = "PROHIBITED_CONTENT") -> tuple[Block, ...]:  # noqa: ARG001
    """A prompt that was not answered at all."""
    if "modelArmorConfig" in ask.body:
        reason = "MODEL_ARMOR"
    return (Native({"prompt_feedback": reason}, final=True),)


def ended(ask: Ask, dice: Random, reason: str) -> tuple[Block, ...]:  # noqa: ARG001
    """An answer that ended so, without content."""
    return (Native({"finish": reason}, final=True),)


NATIVES: Final[Mapping[str, Callable[[Ask, Random], tuple[Block, ...]]]] = MappingProxyType(
    {
        "google_search": search,
        "url_context": fetch,
        "file_search": file_search,
        "code_execution": code_execution,
        "citations": citations,
        "offered": offered,
        "image": image,
        "speech": spoken,
        "prompt_block": blocked,
        **{f"prompt_{reason.lower()}": partial(blocked, reason=reason) for reason in BLOCK_REASONS},
        **{f"finish_{reason.lower()}": partial(ended, reason=reason) for reason in FINISH_REASONS},
    }
)


def _query(ask: Ask) -> str:
    """The first words of what the user last said."""
    said = next((turn.text for turn in reversed(ask.turns) if turn.role == "user" and turn.text), "teapots")
    return " ".join(said.split()[:8]).replace('"', "")


def _redirect(dice: Random) -> str:
    """Where Google's links to sources lead."""
    token = b64encode(dice.randbytes(96), b"-_").decode()
    return f"https://vertexaisearch.cloud.google.com/grounding-api-redirect/{token}"


def _call_id(dice: Random) -> str:
    return "".join(dice.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8))


def merged(blocks: tuple[Block, ...], key: str) -> dict[str, Any]:
    """What the native blocks of an answer say under one key, together."""
    out: dict[str, Any] = {}
    for block in blocks:
        if isinstance(block, Native):
            out |= block.content.get(key, {})
    return out
