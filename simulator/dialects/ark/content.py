"""What a clip is made from: the `content` of a task, and which of the modes it asks for.

t2v text alone, i2v a first frame, flf2v a first and a last one, r2v references; they exclude each other. Source: Ark's
documentation, creating a video generation task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from simulator.dialects.ark import fields
from simulator.dialects.ark.problems import refuse
from simulator.media import results

ITEMS: Final = ("text", "image_url", "video_url", "audio_url", "draft_task")
ROLES: Final = {
    "image_url": ("first_frame", "last_frame", "reference_image"),
    "video_url": ("reference_video",),
    "audio_url": ("reference_audio",),
}


class Given(NamedTuple):
    """The content as read."""

    text: str
    mode: str  # "t2v", "i2v", "flf2v", "r2v" or "draft"
    first: results.Given | None = None  # the first frame, or else the first picture
    images: int = 0
    videos: int = 0
    audios: int = 0
    draft: str = ""  # the id of the draft that is to be made a clip


class _Item(NamedTuple):
    kind: str
    role: str
    picture: results.Given | None


def read(content: Sequence[Any], folder: str, secret: bytes) -> Given:
    """The content. Raises Refused. `folder` and `secret` are those of links to pictures that the fleet made."""
    texts: list[str] = []
    items: list[_Item] = []
    draft = ""
    for at, raw in enumerate(content):
        where = f"content[{at}]"
        item = fields.of_kind(raw, dict, where)
        kind = fields.one_of(item.get("type"), f"{where}.type", *ITEMS)
        inner = item.get(kind)
        if kind == "text":
            texts.append(fields.of_kind(inner, str, f"{where}.text"))
            continue
        inner = fields.of_kind(inner, dict, f"{where}.{kind}")
        if kind == "draft_task":
            draft = fields.of_kind(inner.get("id"), str, f"{where}.draft_task.id")
            continue
        role = item.get("role")
        if role is not None:
            fields.one_of(role, f"{where}.role", *ROLES[kind])
        if kind == "image_url":
            picture = fields.picture(inner.get("url"), f"{where}.image_url", folder, secret)
            items.append(_Item(kind, str(role or ""), picture))
        else:
            _check_address(kind, inner.get("url"), where)
            items.append(_Item(kind, ROLES[kind][0], None))
    text = "\n".join(texts)
    if draft:
        return Given(text, "draft", draft=draft)
    mode = _mode(items)
    if mode == "t2v" and not text.strip():
        raise refuse("content", "text content must contain a prompt description")
    return _given(text, mode, items)


def _check_address(kind: str, url: object, where: str) -> None:
    """Raise Refused unless a clip or a sound is at an address that it may have."""
    address: str = fields.of_kind(url, str, f"{where}.{kind}.url")
    web = (*fields.WEB, "asset://")
    if kind == "video_url" and not address.startswith(web):
        raise refuse("content", "reference_video must be provided as a web url")
    if not address.startswith((*web, "data:audio/")):
        raise refuse(f"{where}.{kind}", "invalid url specified")


def _mode(items: Sequence[_Item]) -> str:
    """The mode that the roles ask for. Raises Refused where they do not go together."""
    roles = [item.role for item in items]
    if not items:
        return "t2v"
    if "" in roles:
        if len(items) > 1:
            raise refuse("content", "role must be specified for image contents")
        return "i2v"
    if "first_frame" in roles or "last_frame" in roles:
        if any(role.startswith("reference") for role in roles):
            raise refuse("content", "first/last frame content cannot be mixed with reference media content")
        if roles.count("first_frame") != 1 or roles.count("last_frame") > 1:
            raise refuse("content", "exactly one first_frame, and at most one last_frame, is expected")
        return "flf2v" if "last_frame" in roles else "i2v"
    if all(role == "reference_audio" for role in roles):
        raise refuse("content", "reference_audio needs at least one reference image or video")
    return "r2v"


def _given(text: str, mode: str, items: Sequence[_Item]) -> Given:
    pictures = [item for item in items if item.picture is not None]
    firsts = [item.picture for item in pictures if item.role == "first_frame"]
    firsts += [item.picture for item in pictures]
    images, videos, audios = (sum(item.kind == kind for item in items) for kind in ROLES)
    return Given(text, mode, firsts[0] if firsts else None, images, videos, audios)
