"""Mistral OCR dialect: POST /v1/ocr, a document in, its pages as Markdown out.

Nothing is read and nothing is downloaded: what stands on a page is invented, and the same for the same document. The
number of pages is a PDF's own, as far as its bytes tell (one, where they do not); a picture is one page of its size.
Keys and refusals are those of the chat wire. Sources: a recorded reply, Mistral's documentation of the request.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import orjson
from PIL import Image

from simulator import draws
from simulator.answers import prose
from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import fields
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import parsed
from simulator.media.sound import digest
from simulator.problem import Problem
from simulator.script import Frame, Script

DPI: Final = 93
LETTER: Final = (791, 1023)  # pixels of a page in Letter format at DPI
PAGES_MAX: Final = 1000
MARGIN: Final = 90
LINE: Final = 26  # pixels
LETTERS_PER_LINE: Final = 88
_PAGE: Final = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_RANGE: Final = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_FIELDS: Final[Mapping[str, fields.Check]] = {
    "model": fields.string,
    "include_image_base64": fields.boolean,
    "image_limit": fields.integer(0),
    "image_min_size": fields.integer(0),
    "table_format": fields.one_of("markdown", "html"),
    "extract_header": fields.boolean,
    "extract_footer": fields.boolean,
}


class Document(NamedTuple):
    """What is known of a document."""

    key: bytes  # what its text follows from
    pages: int
    size: tuple[int, int]  # of a page, in pixels
    size_bytes: int | None


class MistralOCR(OpenAIChat):
    """The wire of documents."""

    name: ClassVar[str] = "mistral_ocr"
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {("POST", "/ocr"): "ocr"}

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        body = parsed(request.body)
        given = fields.required(body, "document", "", fields.dictionary)
        for name, check in _FIELDS.items():
            if body.get(name) is not None:
                check(body[name], name)
        if not body.get("model"):
            raise fields.missing("model")
        document = _document(given)
        read = body | {"read": document, "wanted": _wanted(body.get("pages"), document.pages)}
        prompt = body.get("document_annotation_prompt")
        turns = (Turn("user", prompt),) if isinstance(prompt, str) else ()
        return Ask(operation, body["model"], turns, body=read)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Every model takes the same."""

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The pages that were wanted."""
        if profile is None:
            return self.error(Problem("missing_model"), serving)
        document: Document = ask.body["read"]
        wanted: list[int] = ask.body["wanted"]
        body = {
            "pages": [_page(document, index) for index in wanted],
            "model": profile.model,
            "document_annotation": None,
            "usage_info": {"pages_processed": len(wanted), "doc_size_bytes": document.size_bytes},
        }
        limit = profile.facts["rate_pages"]
        rates = (
            ("x-ratelimit-limit-ocr-pages-minute", str(limit)),
            ("x-ratelimit-remaining-ocr-pages-minute", str(max(0, limit - len(wanted)))),
            ("x-ratelimit-ocr-pages-query-cost", str(len(wanted))),
        )
        headers = (*openai_headers.native(serving, profile), *rates)
        return Script(200, headers, (Frame(orjson.dumps(body), "body"),), billed=(("pages", float(len(wanted))),))


# --- the document -----------------------------------------------------------------------------------------------------


def _document(given: Mapping[str, Any]) -> Document:
    """A document by its address, its bytes or the id of a file. Raises Refused."""
    kinds = [kind for kind in ("document_url", "image_url", "file_id") if given.get(kind) is not None]
    if len(kinds) != 1:
        raise refuse("document must have one of document_url, image_url and file_id", "document", "invalid_value")
    value = given[kinds[0]]
    if isinstance(value, dict) and kinds[0] == "image_url":
        value = value.get("url")
    if not isinstance(value, str) or not value:
        raise fields.wrong_type(f"document.{kinds[0]}", "a string", value if value != "" else None)
    if kinds[0] == "file_id" or not value.startswith("data:"):
        if "does-not-exist" in value or ".invalid" in value:
            raise refuse("Document could not be fetched from its URL", "document", "invalid_value")
        return Document(digest(value.encode("utf-8", "surrogatepass")), 1, LETTER, None)
    try:
        data = base64.b64decode(value.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise refuse("Document is not valid base64", "document", "invalid_value") from None
    if data.startswith(b"%PDF"):
        pages = max(1, len(_PAGE.findall(data)))
        if pages > PAGES_MAX:
            raise refuse(f"Document has more than {PAGES_MAX} pages", "document", "invalid_value")
        return Document(digest(data), pages, LETTER, len(data))
    try:
        with Image.open(io.BytesIO(data)) as image:
            return Document(digest(data), 1, image.size, len(data))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise refuse("Document is neither a PDF nor an image", "document", "invalid_value") from None


def _wanted(pages: Any, count: int) -> list[int]:
    """The pages to process, from 0: all, a list of numbers, or text such as "0,2-4". Raises Refused."""
    if pages is None:
        return list(range(count))
    found: list[int] = []
    for part in pages.split(",") if isinstance(pages, str) else pages if isinstance(pages, list) else [None]:
        match = _RANGE.fullmatch(str(part).strip()) if type(part) in (int, str) else None
        if match is None:
            raise refuse("pages must be a list of page numbers, or ranges of them", "pages", "invalid_value")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return sorted({page for page in found if page < count})


# --- a page -----------------------------------------------------------------------------------------------------------


def _page(document: Document, index: int) -> dict[str, Any]:
    """One page: a title and paragraphs, each with its place."""
    dice = draws.dice("ocr", document.key, index)
    texts = [f"# {prose.title(dice, 3).capitalize()}"]
    texts += ["".join(prose.pieces(dice, draws.between(dice, 40, 120))).replace("\n", " ") for _ in range(3)]
    width, height = document.size
    blocks, top = [], MARGIN
    for at, text in enumerate(texts):
        bottom = top + LINE * (1 + len(text) // LETTERS_PER_LINE)
        blocks.append(
            {
                "top_left_x": min(MARGIN, width),
                "top_left_y": min(top, height),
                "bottom_right_x": max(1, width - MARGIN),
                "bottom_right_y": min(bottom, height),
                "content": text,
                "confidence_scores": None,
                "type": "text" if at else "title",
            }
        )
        top = bottom + LINE
    return {
        "index": index,
        "markdown": "\n\n".join(texts),
        "images": [],
        "tables": [],
        "hyperlinks": [],
        "header": None,
        "footer": None,
        "dimensions": {"dpi": DPI, "height": height, "width": width},
        "confidence_scores": None,
        "blocks": blocks,
    }
