"""URLs of users lead to the public Internet alone: whoever gives another is refused, and nothing is connected to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from suites import identity, tripwire
from suites.case import Case, expect_status
from suites.exchange import Reply
from suites.person import due
from suites.requirement import over, requirement
from suites.tripwire import Tripwire

Door = Callable[[Case, str], Awaitable[Reply]]
PUBLIC = "93.184.215.14"  # nothing is sent there: it is named where URLs are kept for later
NOWHERE = "no-such-host.invalid"  # RFC 6761: resolves to nothing


async def picture(case: Case, url: str) -> Reply:
    """A reference image that the gateway itself must fetch."""
    return await case.ask("images", "Like this.", model="nano_banana_2", image_urls=[url])


async def sound(case: Case, url: str) -> Reply:
    """A recording to be transcribed."""
    case.model("audio")
    return await case.ask("audio", model="audio-asr", text=None, audio=url)


async def job_input(case: Case, url: str) -> Reply:
    """A URL among the inputs of a hosted GPU model."""
    return await gpu(case, "gpu/wan-video", {"input": {"prompt": "A cat.", "image_url": url}})


async def job_webhook(case: Case, url: str) -> Reply:
    """Where to call when a GPU job ends."""
    return await gpu(case, "gpu/wan-video", {"input": {"prompt": "A cat."}, "webhookUrl": url})


async def deployment_webhook(case: Case, url: str) -> Reply:
    """Where a deployment's jobs call."""
    told = {"slug": case.fresh().replace(".", "-"), "dockerImage": "acme/worker:1", "gpuTypes": ["ADA_24"]}
    return await gpu(case, "deployments", {**told, "webhookUrl": url})


async def gpu(case: Case, path: str, document: Any) -> Reply:
    """One POST to the GPU surface."""
    headers = {**await case.headers("chat", None)}
    url = f"{case.target.openai_url}/{path}"
    return await case.request("POST", url, headers=headers, body=case.encode(document))


async def issuer(case: Case, url: str) -> Reply:
    """An OpenID provider."""
    org = await identity.organisation(case)
    return await org.owner.post(org.path, org.told("oidc", issuer=url.replace("http:", "https:", 1)))


async def metadata(case: Case, url: str) -> Reply:
    """A SAML provider's metadata."""
    org = await identity.organisation(case)
    return await org.owner.post(org.path, org.told("saml", metadataUrl=url.replace("http:", "https:", 1)))


DOORS: dict[str, Door] = {
    "picture": picture,
    "sound": sound,
    "job-input": job_input,
    "job-webhook": job_webhook,
    "deployment-webhook": deployment_webhook,
    "issuer": issuer,
    "metadata": metadata,
}
FETCHED = ("picture", "sound")  # while the caller waits
PRIVATE = (
    *("127.0.0.2", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1", "[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[ff02::1]"),
    *("[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[::127.0.0.2]", "[64:ff9b::7f00:2]", "[2002:7f00:2::1]"),
    *("[2001:0:7f00:2::1]", "168.63.129.16"),
)
DISGUISED = (
    *("2130706434", "0x7f000002", "0x7f.0.0.2", "0177.0.0.2", "017700000002", "127.2", "127.0.2", "127.0.0.2."),
    *("%31%32%37.0.0.2", "127。0。0。2", "①②⑦.0.0.2", "[fe80::1%25eth0]", "user:pass@127.0.0.2", "127.0.0.1@127.0.0.2"),
)
STRANGE = (
    *("file:///etc/passwd", "ftp://{host}/", "gopher://{host}/", "//{host}/", "{host}/a.png", "javascript:alert(1)"),
    *(
        "http:///a.png",
        "http://",
        "https://{host} /",
        "http://127.0.0.1\\@{host}/",
        "http://{host}\n.example/",
        "http://[",
    ),
    *("http://127.0.0.1:{port}:80/", "http://127.0.0.2:99999/", "http://127.0.0.2:0/"),
)


def untouched(wire: Tripwire) -> None:
    """Raise unless nobody came."""
    assert not wire.touched, f"the gateway connected to a private address: {wire.touched}"


def expect_refused(reply: Reply) -> str:
    """The words of a refusal, which is the caller's own fault. Raises unless it is one."""
    expect_status(reply, 400, "invalid_request_error")
    return (reply.error or ("", ""))[1]


@requirement("URL-001")
@over(door=tuple(DOORS), host=PRIVATE)
async def test_private_address_refused(case: Case, door: str, host: str) -> None:
    """400 at every door, nothing is connected to, no provider is asked and nothing is paid."""
    async with tripwire.stretched() as wire:
        expect_refused(await DOORS[door](case, f"http://{host}:{wire.port}/a.png"))
        untouched(wire)
    if door in FETCHED:
        await case.nothing_upstream()
        assert (await case.books()).charged_uc == 0


@requirement("URL-002")
@over(door=tuple(DOORS), host=DISGUISED)
async def test_disguised_address_refused(case: Case, door: str, host: str) -> None:
    """Numbers, octal, hexadecimal, short forms, other scripts, names before an @: 400, and nothing is connected to."""
    async with tripwire.stretched() as wire:
        expect_refused(await DOORS[door](case, f"http://{host}:{wire.port}/a.png"))
        untouched(wire)


@requirement("URL-003")
@over(door=tuple(DOORS), number=range(len(STRANGE)))
async def test_strange_url_refused(case: Case, door: str, number: int) -> None:
    """Other schemes, no scheme, no host, blanks and backslashes that readers take in different ways."""
    async with tripwire.stretched() as wire:
        url = STRANGE[number].format(host=f"{tripwire.HOST}:{wire.port}", port=wire.port)
        expect_refused(await DOORS[door](case, url))
        untouched(wire)


@requirement("URL-004")
@over(door=FETCHED)
async def test_words_tell_nothing(case: Case, door: str) -> None:
    """An open port, a closed one, an address where nothing is and a name that there is not get the same words."""
    async with tripwire.stretched() as wire:
        places = {f"{tripwire.HOST}:{wire.port}", f"{tripwire.HOST}:1", "10.255.255.1:80", f"{NOWHERE}:80", "[::1]:80"}
        told = {}
        for place in sorted(places):
            words = expect_refused(await DOORS[door](case, f"http://{place}/a.png"))
            told[place] = words.replace(place.rpartition(":")[0].strip("[]"), "HOST")
        assert len(set(told.values())) == 1, f"the words tell one from the other: {told}"
        untouched(wire)


@requirement("URL-005")
@over(door=FETCHED, status=(301, 302, 307, 308))
async def test_redirect_to_private_refused(case: Case, door: str, status: int) -> None:
    """A server that may be asked sends the gateway on to a private address: refused there, and nothing is paid."""
    hook = case.fresh().replace(".", "-")
    async with tripwire.stretched() as wire:
        location = f"http://{tripwire.HOST}:{wire.port}/a.png"
        await case.fleet.hurt_receiver(hook, kind="redirect", status=status, location=location)
        words = expect_refused(await DOORS[door](case, f"{case.fleet.site}/__hooks/{hook}/a.png"))
        untouched(wire)
    assert len(await case.fleet.received(hook, 1, 2000)) == 1, "the gateway never asked the first server"
    assert tripwire.HOST in words, f"refused for another reason: {words}"
    await case.nothing_upstream()
    assert (await case.books()).charged_uc == 0


@requirement("URL-005")
async def test_redirect_of_metadata_not_followed(case: Case) -> None:
    """A provider whose metadata are elsewhere, at a private address, is saved without the green check."""
    hook = case.fresh().replace(".", "-")
    org = await identity.organisation(case)
    async with tripwire.stretched() as wire:
        await case.fleet.hurt_receiver(hook, kind="redirect", location=f"https://{tripwire.HOST}:{wire.port}/")
        told = org.told("saml", metadataUrl=f"{case.fleet.site}/__hooks/{hook}/metadata")
        provider = due(await org.owner.post(org.path, told), 201)
        untouched(wire)
    assert await case.fleet.received(hook, 1, 2000), "the gateway never asked for the metadata"
    assert provider["reachable"] is False


@requirement("URL-006")
async def test_few_redirects_are_followed(case: Case) -> None:
    """A server that always sends one on is asked four times, and then no more."""
    hook = case.fresh().replace(".", "-")
    await case.fleet.hurt_receiver(hook, kind="redirect", status=302)
    expect_refused(await picture(case, f"{case.fleet.site}/__hooks/{hook}/a.png"))
    visits = await case.fleet.received(hook, 4, 2000)
    assert len(visits) == 4, f"{len(visits)} requests; the first and three redirects were due"


@requirement("URL-007")
@over(door=FETCHED)
async def test_nothing_of_ours_goes_along(case: Case, door: str) -> None:
    """Who is asked for a picture or a sound learns neither the caller's key nor a provider's, and no cookie."""
    hook = case.fresh().replace(".", "-")
    await DOORS[door](case, f"{case.fleet.site}/__hooks/{hook}/a.png?size=1")
    (visit,) = await case.fleet.received(hook, 1, 5000)
    headers = {name.lower(): value for name, value in visit["headers"]}
    assert (visit["method"], visit["query"], visit["body"]) == ("GET", "size=1", "")
    secret = await case.secret(None)
    for name, value in headers.items():
        assert name not in ("authorization", "cookie", "x-api-key", "x-goog-api-key", "referer"), f"{name}: {value}"
        assert secret not in value, f"the caller's key goes along in {name}"


@requirement("URL-008")
@over(door=("deployment-webhook", "job-webhook"), port=(22, 25, 6379, 11434))
async def test_port_refused(case: Case, door: str, port: int) -> None:
    """A public address at the port of a mail server, a database or a shell."""
    words = expect_refused(await DOORS[door](case, f"http://{PUBLIC}:{port}/"))
    assert str(port) in words, f"refused for another reason: {words}"


@requirement("URL-009")
@over(kind=identity.KINDS)
async def test_identity_is_asked_for_over_tls(case: Case, kind: str) -> None:
    """An issuer, or metadata, at an http:// URL of a public host."""
    org = await identity.organisation(case)
    field = {"oidc": "issuer", "saml": "metadataUrl"}[kind]
    words = expect_refused(await org.owner.post(org.path, org.told(kind, **{field: f"http://{NOWHERE}/"})))
    assert "https" in words, f"refused for another reason: {words}"
    assert due(await org.owner.get(org.path), 200) == {"providers": []}


@requirement("URL-010")
@over(name=("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"))
async def test_what_a_provider_names_is_checked(case: Case, name: str) -> None:
    """A provider that may be asked says that one of its endpoints is at a private address: no green check, no visit."""
    org = await identity.organisation(case)
    honest = await case.request("GET", f"{org.told('oidc')['issuer']}/.well-known/openid-configuration")
    async with tripwire.stretched() as wire, tripwire.stretched("127.0.0.1") as idp:
        issuer = f"http://127.0.0.1:{idp.port}"
        document = {**honest.json, "issuer": issuer, name: f"https://{tripwire.HOST}:{wire.port}/"}
        idp.body = case.encode(document)
        provider = due(await org.owner.post(org.path, org.told("oidc", issuer=issuer)), 201)
        assert idp.touched, "the gateway never asked for the discovery document"
        assert provider["reachable"] is False, f"{name} at a private address gets the green check"
        assert name in provider["problem"], f"refused for another reason: {provider['problem']}"
        untouched(wire)
