"""The fleet as checks use it: its journal, its faults, and its native answers. Source: the control API of the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from suites.heard import Told
from suites.outcomes import HarnessError


@dataclass(frozen=True)
class Entry:
    """One request that a fake provider got, and what it truly sent."""

    row: Mapping[str, Any]

    @property
    def provider(self) -> str:
        return str(self.row["provider"])

    @property
    def attempt(self) -> int:
        """Which request of its case at this provider, from 1."""
        return int(self.row["attempt"])

    @property
    def faults(self) -> tuple[str, ...]:
        """The kinds that were applied."""
        return tuple(self.row["faults"])

    @property
    def status(self) -> int | None:
        return self.row["status"]  # type: ignore[no-any-return]

    @property
    def ended(self) -> str:
        """end, cut, reset, stall, peer_closed or pending."""
        return str(self.row["ended"])

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; values of a repeated one joined by a comma."""
        found: dict[str, str] = {}
        for name, value in self.row["headers"]:
            name = name.lower()
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @cached_property
    def body(self) -> Any:
        """The request's JSON; None where it is none."""
        try:
            return orjson.loads(self.row["body"])
        except orjson.JSONDecodeError:
            return None

    @property
    def told(self) -> Told | None:
        """The usage that the reply told; None when it told none."""
        return None if self.row["usage_told"] is None else Told(**self.row["usage_told"])

    @property
    def usage(self) -> Told:
        """The usage that the reply told. Raises HarnessError when the journal knows of none."""
        if self.told is None:
            raise HarnessError(f"the fleet's journal tells no usage: {self}")
        return self.told

    @property
    def arrived_ms(self) -> float:
        return float(self.row["arrived_ms"])

    @property
    def ended_ms(self) -> float | None:
        return self.row["ended_ms"]  # type: ignore[no-any-return]

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of content that left the provider."""
        return int(self.row["delivered"]["text_bytes"])

    def __str__(self) -> str:
        row = self.row
        return (
            f"{self.provider} attempt {self.attempt}: {row['method']} {row['path']} -> {self.status} {self.ended}, "
            f"faults {list(self.faults)}, frames {row['frames_sent']}/{row['frames_planned']}, told {row['usage_told']}"
        )


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet's control API. Whatever goes wrong with it is a HarnessError."""

    session: aiohttp.ClientSession
    url: str
    providers: Mapping[str, Mapping[str, str]]

    @classmethod
    async def connect(cls, session: aiohttp.ClientSession, url: str) -> Fleet:
        """The fleet behind a control URL."""
        providers = await _call(session, "GET", f"{url}/providers")
        return cls(session, url, providers.get("providers", providers))

    @property
    def site(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    async def journal(self, case: str, wait_ms: int = 3000) -> list[Entry]:
        """The requests of a case, in order, once none is pending or after `wait_ms`. `case` may end in `*`."""
        query = {"case": case, "wait_ms": str(wait_ms)}
        page = await _call(self.session, "GET", f"{self.url}/journal", params=query)
        return [Entry(row) for row in page["entries"]]

    async def add_faults(self, rules: Sequence[Mapping[str, Any]], ttl_s: int = 120) -> list[str]:
        """Install rules; each should name a case, so that nobody else meets them."""
        reply = await _call(self.session, "POST", f"{self.url}/faults", json={"rules": list(rules), "ttl_s": ttl_s})
        return list(reply["ids"])

    async def mails(self, case: str, count: int = 0, wait_ms: int = 0) -> list[Mapping[str, Any]]:
        """The mails to addresses with this tag, in order, once there are `count` or after `wait_ms`."""
        query = {"case": case, "count": str(count), "wait_ms": str(wait_ms)} if count else {"case": case}
        page = await _call(self.session, "GET", f"{self.url}/mails", params=query)
        return list(page["mails"])

    async def remove_fault(self, identity: str) -> None:
        """Take a rule back."""
        await _call(self.session, "DELETE", f"{self.url}/faults/{identity}")

    async def jobs(self, case: str) -> list[Mapping[str, Any]]:
        """The jobs of a case as they truly stand."""
        page = await _call(self.session, "GET", f"{self.url}/jobs", params={"case": case})
        return list(page["jobs"])

    async def received(self, case: str, count: int, wait_ms: int) -> list[Mapping[str, Any]]:
        """What the webhook receiver of a case got, once that are `count` calls or after `wait_ms`."""
        query = {"case": case, "count": str(count), "wait_ms": str(wait_ms)}
        page = await _call(self.session, "GET", f"{self.url}/received", params=query)
        return list(page["received"])

    async def hurt_receiver(self, case: str, **fault: Any) -> None:
        """A fault of the webhook receiver of a case, for as many `times` as it says."""
        body = {"faults": [{**fault, "case": case}]}
        await _call(self.session, "POST", f"{self.url}/neighbours/hooks/faults", json=body)

    async def hurt(self, neighbour: str, case: str, kind: str, **options: Any) -> None:
        """A fault of another neighbour (`oidc`, `saml`), for one case alone."""
        body = {"faults": [{"kind": kind, "case": case, **options}]}
        await _call(self.session, "POST", f"{self.url}/neighbours/{neighbour}/faults", json=body)

    async def sign_ons(self, case: str) -> list[Mapping[str, Any]]:
        """The steps of a case's sign-ons at the fleet's identity providers, in order."""
        page = await _call(self.session, "GET", f"{self.url}/sign-ons", params={"case": case})
        return list(page["steps"])

    async def native(self, entry: Entry) -> bytes:
        """What the provider answers to the very request of `entry`, without the gateway in between."""
        provider = self.providers[entry.provider]
        headers = {"content-type": "application/json"}
        if entry.row["path"].endswith("/messages"):
            headers |= {"x-api-key": provider["key"], "anthropic-version": "2023-06-01"}
        elif "enerateContent" in entry.row["path"]:
            headers["x-goog-api-key"] = provider["key"]
        else:
            headers["authorization"] = f"Bearer {provider['key']}"
        url = provider["base_url"] + entry.row["path"]
        try:
            async with self.session.post(url, data=entry.row["body"].encode(), headers=headers) as response:
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise HarnessError(f"{entry.provider} of the fleet does not answer: {error}") from error


async def _call(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> Any:
    try:
        async with session.request(method, url, **options) as response:
            raw = await response.read()
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise HarnessError(f"the fleet does not answer: {method} {url}: {error}") from error
    if response.status >= 300:
        raise HarnessError(f"the fleet refused {method} {url}: {response.status} {raw[:300]!r}")
    return orjson.loads(raw) if raw else None
