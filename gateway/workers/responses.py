"""Kept responses in Redis: `gateway.kept_responses` for many workers.

A wire asks while it checks a request, without waiting. So what the request may refer to is fetched before (`look`),
into a memory of its own (`Found`), and what the call adds is written before its last byte goes out (`written`). Redis
forgets by age alone. While it does not answer a reference cannot be followed (503), and a new response is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.errors import Unavailable
from gateway.kept_responses import KEEP_S, Kept, KeptResponses
from gateway.workers.remote import Remote, RemoteDown, Script

BUSY: Final = "Earlier responses cannot be looked up at present; send the request again in a moment."
IDS_MAX: Final = 2000  # that one request refers to; more are taken as unknown

# KEYS: texts. Returns them.
READ: Final = Script("return redis.call('MGET', unpack(KEYS))")

# KEYS: the response, its items. ARGV: the response as text, its id, keep_s. What is there already stays.
ADD: Final = Script("""
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[3]) then return 0 end
for at = 2, #KEYS do redis.call('SET', KEYS[at], ARGV[2], 'NX', 'EX', ARGV[3]) end
return 1
""")

# KEYS: the response and its items.
FORGET: Final = Script("return redis.call('DEL', unpack(KEYS))")


class Found(KeptResponses):
    """What one request refers to, and what it adds."""

    def __init__(self, shared: SharedResponses) -> None:
        super().__init__()
        self._shared = shared
        self._added: list[Awaitable[None]] = []

    def put(self, response_id: str, kept: Kept) -> None:
        """Notes a response that is there already."""
        super().add(response_id, kept)

    def add(self, response_id: str, kept: Kept) -> None:
        """As there; to be written by `written`."""
        super().add(response_id, kept)
        self._added.append(self._shared.add(response_id, kept))

    async def written(self) -> None:
        """Returns when what was added is there for all workers."""
        while self._added:
            await self._added.pop()


class SharedResponses:
    """The responses of the last day, of all workers."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def look(self, response_ids: Sequence[str], item_ids: Sequence[str] = ()) -> Found:
        """What is known of these. Raises Unavailable."""
        found = Found(self)
        holders = await self._read("item", item_ids[:IDS_MAX])
        wanted = dict.fromkeys((*response_ids[:IDS_MAX], *(holder.decode() for holder in holders.values())))
        for response_id, text in (await self._read("response", list(wanted))).items():
            kept = Kept(**{**json.loads(text), "items": ()})
            mine = tuple(item_id for item_id, holder in holders.items() if holder.decode() == response_id)
            found.put(response_id, replace(kept, items=mine))
        return found

    async def add(self, response_id: str, kept: Kept) -> None:
        """Notes a response, if Redis answers. The id of another one that is known already stays what it was."""
        names = [self._name("response", response_id), *(self._name("item", item_id) for item_id in kept.items)]
        text = json.dumps(  # not orjson: an upstream may tell numbers of any size
            {name: getattr(kept, name) for name in ("user_id", "upstream", "input_tokens", "output_tokens", "until_s")}
            | {"items": kept.items}
        )
        await self._try(ADD, names, text, response_id, KEEP_S)

    async def forget(self, response_id: str) -> None:
        """It is deleted."""
        text = (await self._read("response", [response_id])).get(response_id)
        items = json.loads(text)["items"] if text is not None else []
        names = [self._name("response", response_id), *(self._name("item", item_id) for item_id in items)]
        await self._try(FORGET, names)

    async def _read(self, sort: str, idents: Sequence[str]) -> dict[str, bytes]:
        if not idents:
            return {}
        try:
            texts = await self._remote.run(READ, [self._name(sort, ident) for ident in idents])
        except RemoteDown:
            raise Unavailable(BUSY, [(b"retry-after", b"1")]) from None
        return {ident: text for ident, text in zip(idents, texts, strict=True) if text is not None}

    async def _try(self, script: Script, names: list[str], *arguments: Any) -> None:
        try:
            await self._remote.run(script, names, *arguments)
        except RemoteDown:
            return  # docs/decisions.md#several-workers

    def _name(self, sort: str, ident: str) -> str:
        return self._remote.name(sort, ident.encode("utf-8", "replace").decode())
