"""Contents of Responses items: texts, pictures, files and sounds, read and written.

Source: wire reference 2.1; openai-python, `types/responses/response_input_{text,image,file}_param.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.errors import shown
from gateway.translation.chat.parts import DATA_URL, Json, Piece, data_of, object_of, pieces_of, read_sound, text_of
from gateway.translation.prompt import Content, File, Image, Text, Untranslatable

PDF: Final = "application/pdf"
DETAILS: Final[Mapping[str, str]] = {"low": "low", "high": "high", "original": "high"}  # as told -> as understood


def read_content(content: Any, where: str) -> tuple[Piece, ...]:
    """What `content` or `output` holds. Raises Untranslatable."""
    return pieces_of(content, where, read_part)


def read_part(part: Any, where: str) -> Piece | None:
    """One part; None for one that is empty or tells thoughts."""
    members = object_of(part, where)
    match members.get("type"):
        case "input_text" | "output_text" | "text":
            text = text_of(members.get("text"), f"{where}.text")
            return Text(text) if text else None
        case "refusal":
            text = text_of(members.get("refusal"), f"{where}.refusal")
            return Text(text) if text else None
        case "input_image":
            return read_image(members, where)
        case "input_file":
            return read_file(members, where)
        case "input_audio":
            return read_sound(members.get("input_audio"), f"{where}.input_audio")
        case "reasoning_text" | "summary_text":
            return None
        case kind:
            raise Untranslatable(f"`{where}` is of the type {shown(kind)!r}, which has no counterpart.")


def read_image(members: Mapping[str, Any], where: str) -> Image:
    """A picture in the request or at a web address. Raises Untranslatable."""
    url = text_of(members.get("image_url"), f"{where}.image_url")
    if not url:
        raise Untranslatable(f"`{where}` has no `image_url`; a picture kept elsewhere cannot be carried over.")
    detail = DETAILS.get(text_of(members.get("detail"), f"{where}.detail"), "")
    if (inline := DATA_URL.fullmatch(url)) is not None:
        return Image(inline[1].lower() or "image/png", data_of(inline[2], f"{where}.image_url"), detail=detail)
    return Image(url=web_address(url, f"{where}.image_url"), detail=detail)


def read_file(members: Mapping[str, Any], where: str) -> File:
    """A document in the request or at a web address. Raises Untranslatable."""
    name = text_of(members.get("filename"), f"{where}.filename")
    data = text_of(members.get("file_data"), f"{where}.file_data")
    if data:
        inline = DATA_URL.fullmatch(data)
        media_type, data = (inline[1].lower(), inline[2]) if inline else ("", data)
        return File(media_type or PDF, data_of(data, f"{where}.file_data"), name=name)
    url = text_of(members.get("file_url"), f"{where}.file_url")
    if not url:
        raise Untranslatable(f"`{where}` has no data; a file kept elsewhere cannot be carried over.")
    return File(url=web_address(url, f"{where}.file_url"), name=name)


def web_address(url: str, where: str) -> str:
    """An address that a server can be reached at. Raises Untranslatable."""
    if not url.lower().startswith(("http://", "https://")):
        raise Untranslatable(f"`{where}` is neither a web address nor base64 data.")
    return url


def write_parts(pieces: Iterable[Content]) -> list[Json]:
    """The parts of a user's message, or of what a tool gave. Raises Untranslatable."""
    return [write_part(piece) for piece in pieces]


def write_part(piece: Content) -> Json:
    """One part. Raises Untranslatable."""
    match piece:
        case Text(text):
            return {"type": "input_text", "text": text}
        case Image(media_type, data, url, detail):
            address = url or f"data:{media_type or 'image/png'};base64,{data}"
            return {"type": "input_image", "image_url": address, "detail": detail or "auto"}
        case File(media_type, data, url, name):
            if url:
                return {"type": "input_file", "file_url": url}
            inline = f"data:{media_type or PDF};base64,{data}"
            return {"type": "input_file", "filename": name or "document.pdf", "file_data": inline}
        case _:
            raise Untranslatable("Responses has no room for speech.")


def write_output(content: Sequence[Text | Image | File]) -> str | list[Json]:
    """What a tool gave: one text, or parts. Raises Untranslatable."""
    if not content:
        return ""
    first = content[0]
    return first.text if len(content) == 1 and isinstance(first, Text) else write_parts(content)
