"""Keys that are locked to pages, to addresses, or to both."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from suites.accounts.keyring import make, somebody
from suites.case import Case, expect_status
from suites.exchange import Reply, Sent
from suites.outcomes import Untestable
from suites.person import address_of, exchange
from suites.provisioning import Key
from suites.requirement import over, requirement

PAGE = "https://app.example.com"
FORGED = (
    "x-forwarded-for",
    "x-real-ip",
    "forwarded",
    "cf-connecting-ip",
    "true-client-ip",
    "fly-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
)


async def call(case: Case, key: Key, headers: Mapping[str, str], address: str = "") -> Reply:
    """A chat request from an address."""
    token = case.fresh()
    document = await case.document("chat", token, "Say something.", {"answer": "tokens=2"})
    url, made = case.url("chat"), {**await case.headers("chat", key), **headers}
    return await exchange(case, Sent("POST", url, made, orjson.dumps(document), "chat", token, document), address)


async def refused(case: Case, reply: Reply) -> None:
    """403, and no upstream was called."""
    expect_status(reply, 403, "access_denied")
    await case.nothing_upstream(reply)


def elsewhere(case: Case) -> str:
    """Another address of this machine. Raises Untestable where there is none."""
    address = address_of(case, case.fresh())
    if not address:
        raise Untestable("the client has but one address")
    return address


@requirement("ACC-002")
async def test_locked_to_pages(case: Case) -> None:
    """The page itself; then others that look like it, none, and two."""
    key = await make(await somebody(case), origins=[PAGE, "http://localhost:3000"])
    for origin in (PAGE, PAGE.upper(), PAGE + ":443", "http://localhost:3000"):
        expect_status(await call(case, key, {"origin": origin}), 200)
    wrong = (
        "http://app.example.com",
        PAGE + ":8443",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "https://xapp.example.com",
        "https://example.com",
        "http://localhost",
        "null",
        "",
    )
    for origin in wrong:
        await refused(case, await call(case, key, {"origin": origin} if origin else {}))


@requirement("ACC-003")
async def test_locked_to_addresses(case: Case) -> None:
    """From the address and the network it is locked to, and from another one."""
    ada, here = await somebody(case), elsewhere(case)
    one = await make(ada, ips=[here])
    network = await make(ada, ips=["203.0.113.0/24", here.rpartition(".")[0] + ".0/24"])
    for key in (one, network):
        expect_status(await call(case, key, {}, here), 200)
        await refused(case, await call(case, key, {}))


@requirement("ACC-003")
@over(name=FORGED)
async def test_claimed_addresses(case: Case, name: str) -> None:
    """A header that says one comes from there."""
    key = await make(await somebody(case), ips=["203.0.113.5"])
    value = "for=203.0.113.5" if name == "forwarded" else "203.0.113.5"
    await refused(case, await call(case, key, {name: value}))
    await refused(case, await call(case, key, {name: f"{value}, 10.0.0.1"}))


@requirement("ACC-013")
async def test_locked_to_both(case: Case) -> None:
    """Each half alone does not do."""
    here = elsewhere(case)
    key = await make(await somebody(case), origins=[PAGE], ips=[here])
    expect_status(await call(case, key, {"origin": PAGE}, here), 200)
    await refused(case, await call(case, key, {"origin": PAGE}))
    await refused(case, await call(case, key, {}, here))
    await refused(case, await call(case, key, {}))
