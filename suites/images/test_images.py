"""Pictures: what comes, what is paid, who may, and what becomes of a provider that fails."""

from __future__ import annotations

import base64
from typing import Any

from schemas.catalogue import MODELS, cheapest
from suites import media, oracle
from suites.case import Case, expect_status, providers
from suites.exchange import Reply
from suites.outcomes import HarnessError, NotApplicable
from suites.requirement import over, requirement
from suites.samples import PIXEL

INSTANT = "job_times queue_s=0 cold_s=0 run_s=0"
STARTER_UC = 1_999_000_000  # of cumulative top-up: $19.99
CHAIN_MODEL = "nano_banana"  # whose chain crosses dialects
SIGNS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")  # how pictures begin
LINK = "https://example.com/a.png"
TINY = f"data:image/png;base64,{PIXEL}"


def listed(case: Case, model: str) -> str:
    """A model of the API reference, where the target serves pictures at all."""
    case.model("images")
    return model


def due_uc(model: str, units: int) -> int:
    """The price of so many pictures of the plain size."""
    return units * MODELS[model].unit_uc


async def pictures(case: Case, due: int, **options: Any) -> Reply:
    """A call that succeeds with exactly so many pictures."""
    faults = [INSTANT, *([options.pop("fault")] if "fault" in options else [])]
    reply = await case.ask("images", "A teapot.", fault=faults, **options)
    expect_status(reply, 200)
    found = media.items(reply.json)
    assert len(found) == due, f"{len(found)} pictures; due {due}"
    assert isinstance(reply.json.get("created"), int), f"no `created`: {reply}"
    for item in found:
        assert item.get("url") or item.get("b64_json"), f"neither link nor bytes: {str(item)[:200]}"
    return reply


async def paid(case: Case, reply: Reply, uc: int, units: int) -> None:
    """Raise unless ledger and log agree on this charge."""
    books = await case.books(rows=1)
    assert books.charged_uc == uc, f"charged {books.charged_uc} uc; due {uc}"
    row = books.row
    told = (row["status"], row["unit"], row["units"], row["costUc"])
    assert told == ("succeeded", "image", units, uc), (
        f"the log says {told}; due {units} images, {uc} uc: {reply.status}"
    )


async def refused(case: Case, status: int, kind: str, **options: Any) -> Reply:
    """A call that is refused before anybody is asked or anything is paid."""
    reply = await case.ask("images", "A teapot.", fault=INSTANT, **options)
    expect_status(reply, status, kind)
    await case.nothing_upstream(reply)
    books = await case.books()
    assert (books.charged_uc, books.held_uc) == (0, 0), f"charged {books.charged_uc} uc, held {books.held_uc} uc"
    return reply


@requirement("IMG-001")
@over(model=("nano_banana", "gpt-4o-image", "flux-2-pro"), form=("url", "b64_json"))
async def test_picture_as_asked(case: Case, model: str, form: str) -> None:
    """A link that serves a picture to anybody who has it, or its bytes."""
    reply = await pictures(case, 1, model=listed(case, model), response_format=form)
    (item,) = media.items(reply.json)
    assert set(item) & {"url", "b64_json"} == {form}, f"{form} was asked for; came {sorted(item)}"
    if form == "url":
        served = await case.request("GET", item["url"])
        assert served.status == 200, f"the link answers {served.status}"
        data = served.raw
    else:
        data = base64.b64decode(item["b64_json"], validate=True)
    assert data.startswith(SIGNS), f"no picture: {data[:16]!r}"
    assert await case.upstream(reply), "no upstream was asked"
    await paid(case, reply, due_uc(model, 1), 1)


@requirement("IMG-002")
@over(model=("nano_banana", "gpt-4o-image"), n=(1, 2, 10))
async def test_charged_by_the_picture(case: Case, model: str, n: int) -> None:
    """A provider that makes several at once, and one that is asked several times."""
    reply = await pictures(case, n, model=listed(case, model), n=n)
    entries = await case.upstream(reply)
    assert len(entries) in (1, n), f"{len(entries)} upstream calls for {n} pictures"
    await paid(case, reply, due_uc(model, n), n)


@requirement("IMG-002")
@over(n=(0, -3, 11, 1000, None))
async def test_count_clamped(case: Case, n: int | None) -> None:
    """Below 1 is 1, above 10 is 10, nothing is 1."""
    due = 1 if n is None else max(1, min(10, n))
    reply = await pictures(case, due, model=listed(case, "gpt-4o-image"), n=n)
    entry = (await case.upstream(reply))[-1]
    assert entry.body.get("n", 1) == due, f"the upstream was asked for {entry.body.get('n')}"
    await paid(case, reply, due_uc("gpt-4o-image", due), due)


@requirement("IMG-003")
@over(model=("nano_banana", "gpt-4o-image", "flux-2-pro"))
async def test_hidden_count(case: Case, model: str) -> None:
    """A large count under the names that vendors have for it, beside `n` of 1."""
    hidden: dict[str, Any] = {
        "num_images": 4, "num_outputs": 4, "batch_size": 4, "candidateCount": 4, "max_images": 4,
        "parameters": {"n": 4}, "generationConfig": {"candidateCount": 4},
    }  # fmt: skip
    reply = await case.ask("images", "A teapot.", fault=INSTANT, model=listed(case, model), n=1, **hidden)
    expect_status(reply, 200)
    came = len(media.items(reply.json))
    assert came == 1, f"{came} pictures came for `n` of 1"
    for entry in await case.upstream(reply):
        sent = str(entry.body)
        kept = [name for name in hidden if f"'{name}'" in sent and name != "generationConfig"]
        assert not kept, f"a hidden count went upstream: {kept} in {sent[:600]}"
    await paid(case, reply, due_uc(model, 1), 1)


@requirement("IMG-004")
@over(n=(2, 5))
async def test_partial_results(case: Case, n: int) -> None:
    """Of several calls for one picture each, one is refused for good: the others are delivered and charged."""
    first = case.chain("images")[0]
    model = listed(case, CHAIN_MODEL)
    fault = f"status=400 provider={first} attempt=2"
    reply = await pictures(case, n - 1, model=model, n=n, fault=fault)
    await case.reached("status", reply)
    await paid(case, reply, due_uc(model, n - 1), n - 1)


@requirement("IMG-005")
@over(size=("1024x1024", "1536x1024", "2048x2048", "4096x4096"), n=(1, 3))
async def test_price_of_a_size(case: Case, size: str, n: int) -> None:
    """1K, 2K and 4K have their own prices; that the upstream tells tokens as well changes nothing."""
    row = MODELS[listed(case, "gpt-image-2")]
    unit_uc = {"2048x2048": row.size_uc["2K"], "4096x4096": row.size_uc["4K"]}.get(size, row.unit_uc)
    reply = await pictures(case, n, model=row.id, size=size, n=n)
    entry = (await case.upstream(reply))[-1]
    assert entry.status == 200
    await paid(case, reply, n * unit_uc, n)


@requirement("IMG-006")
@over(short_uc=(0, 1, STARTER_UC - 300_000_000))
async def test_tier(case: Case, short_uc: int) -> None:
    """$19.99 of cumulative top-up opens it, a microcredit less does not."""
    model = listed(case, "gpt-4o-image")
    await case.use(uc=STARTER_UC - short_uc)
    if short_uc:
        reply = await refused(case, 403, "access_denied", model=model)
        assert "19.99" in (reply.error or ("", ""))[1], f"the message names no sum: {reply}"
    else:
        await paid(case, await pictures(case, 1, model=model), due_uc(model, 1), 1)


@requirement("IMG-007")
@over(spare_uc=(-1, 0))
async def test_estimate_against_balance(case: Case, spare_uc: int) -> None:
    """Ten pictures cost 216 credits: that much is left, or a microcredit less. The rest was spent on chat."""
    model = MODELS[listed(case, "gemini-3-pro-image-preview-official")]
    cost_uc = 10 * model.unit_uc
    if cost_uc <= oracle.MINIMUM_BALANCE_UC:
        raise NotApplicable("ten pictures cost less than the minimum balance")
    burner = MODELS["gpt-5.5-pro"]
    tokens = (STARTER_UC - cost_uc) // burner.output_uc + 1
    spent_uc = oracle.price_uc(burner.id, 9, tokens)
    await case.use(uc=cost_uc + spare_uc + spent_uc)
    usage = f"tokens=3 input_tokens=9 output_tokens={tokens}"
    burnt = await case.chat(model=burner.id, answer=usage, max_completion_tokens=tokens)
    expect_status(burnt, 200)
    books = await case.books(rows=1)
    if books.balance_uc != cost_uc + spare_uc:
        raise HarnessError(f"{books.balance_uc} uc are left after the chat; due {cost_uc + spare_uc}")
    reply = await case.ask("images", "A teapot.", fault=INSTANT, model=model.id, n=10)
    if spare_uc < 0:
        expect_status(reply, 402, "insufficient_credits")
        await case.nothing_upstream(reply)
    else:
        expect_status(reply, 200)


@requirement("IMG-008")
@over(fault=("status=503", "status=429", "reset", "malformed_body"))
async def test_fallback_across_dialects(case: Case, fault: str) -> None:
    """The first provider fails, the next speaks another wire: its pictures come, charged at the model's own price."""
    first, second, *_ = case.chain("images")
    model = listed(case, CHAIN_MODEL)
    reply = await pictures(case, 1, model=model, fault=f"{fault} provider={first}")
    entries = await case.reached(fault.partition("=")[0], reply)
    came = providers(entries)
    assert came[0] == first, f"calls {came}"
    assert came[-1] == second, f"calls {came}"
    assert came.count(second) == 1, f"calls {came}"
    await paid(case, reply, due_uc(model, 1), 1)


@requirement("IMG-008")
@over(fault=("status=500", "moderation_after_render form=empty"))
async def test_free_when_all_fail(case: Case, fault: str) -> None:
    """Every provider of the chain fails, or succeeds without a picture: 502, and nothing is paid."""
    reply = await case.ask(
        "images", "A teapot.", fault=["status=500 provider=gemini", "status=500 provider=openrouter", INSTANT, fault],
        model=listed(case, CHAIN_MODEL),
    )  # fmt: skip
    await case.reached(fault.partition("=")[0].partition(" ")[0], reply)
    expect_status(reply, 502, "api_error")
    books = await case.books(rows=1)
    assert (books.charged_uc, books.held_uc) == (0, 0), f"charged {books.charged_uc} uc, held {books.held_uc} uc"
    told = (books.row["status"], books.row["units"], books.row["costUc"])
    assert told == ("upstream_failed", 0, 0), f"the log says {told}"


@requirement("IMG-009")
@over(
    fields=(
        "size_unknown", "size_wide_2k", "data_url", "five_references", "ratio_unknown", "resolution_unknown",
        "five_urls", "reference_no_text", "n_text", "format_unknown",
    )
)  # fmt: skip
async def test_limits(case: Case, fields: str) -> None:
    """What the reference says that gpt-image-2 and NanoBanana 2 do not take is refused before anything is paid."""
    gpt, banana = {"model": listed(case, "gpt-image-2")}, {"model": "gemini-3-1-flash-t2i"}
    asked: dict[str, dict[str, Any]] = {
        "size_unknown": {**gpt, "size": "640x480"},
        "size_wide_2k": {**gpt, "size": "2048x1024"},
        "data_url": {**gpt, "reference_images": [TINY]},
        "five_references": {**gpt, "reference_images": [LINK] * 5},
        "ratio_unknown": {**banana, "aspect_ratio": "5:1"},
        "resolution_unknown": {**banana, "resolution": "8K"},
        "five_urls": {**banana, "image_urls": [LINK] * 5},
        "reference_no_text": {**gpt, "reference_images": [5]},
        "n_text": {**gpt, "n": "2"},
        "format_unknown": {**gpt, "response_format": "png"},
    }
    await refused(case, 400, "invalid_request_error", **asked[fields])


@requirement("IMG-009")
@over(ratio=("21:9", "2:3"), resolution=("0.5K", "4K"))
async def test_banana_takes(case: Case, ratio: str, resolution: str) -> None:
    """A ratio and a resolution of the list, with a data URL as reference: taken, and told to the provider."""
    model = "gemini-3-1-flash-t2i"
    listed(case, model)
    reply = await pictures(case, 1, model=model, aspect_ratio=ratio, resolution=resolution, image_urls=[TINY])
    entry = (await case.upstream(reply))[-1]
    sent = str(entry.body)
    assert ratio in sent, f"the provider was not told {ratio}: {sent[:400]}"
    assert PIXEL in sent, f"the provider was not given the reference: {sent[:400]}"
    await paid(case, reply, due_uc("nano_banana_2", 1), 1)


async def intended(case: Case, url: str, **fields: Any) -> Reply:
    """A call without a model, unless `fields` name one."""
    token = case.fresh()
    document = {"prompt": f"A teapot. {case.marks(token, fault=INSTANT)}", **fields}
    return await case.request(
        "POST", url, headers=await case.headers("images", None), body=case.encode(document), wire="images"
    )


@requirement("IMG-010")
@over(path=("/images/generations", "/images/generate"))
async def test_intent_is_cheapest(case: Case, path: str) -> None:
    """`text-to-image-fast` is the cheapest model that qualifies, on both paths; the log tells both names."""
    model = cheapest("text-to-image-fast")
    assert model is not None, "the intent of the reference is in the catalogue"
    case.model("images")
    url = case.target.openai_url + path
    reply = await intended(case, url, intent="text-to-image-fast")
    expect_status(reply, 200)
    assert len(media.items(reply.json)) == 1
    await paid(case, reply, model.unit_uc, 1)
    row = (await case.books(rows=1)).row
    told = (row["model"], row["requestedModel"])
    assert told == (model.id, "text-to-image-fast"), f"the log says {told}"


@requirement("IMG-010")
async def test_model_beats_intent(case: Case) -> None:
    """A pinned model is honoured whatever the intent beside it says."""
    model = listed(case, "gpt-4o-image")
    reply = await intended(case, case.url("images"), intent="text-to-image-quality", model=model)
    expect_status(reply, 200)
    await paid(case, reply, due_uc(model, 1), 1)


@requirement("IMG-010")
async def test_unknown_intent(case: Case) -> None:
    """Nothing stands for it: 400 that names those there are, and nobody is asked."""
    case.model("images")
    reply = await intended(case, case.url("images"), intent="text-to-opera")
    expect_status(reply, 400, "invalid_request_error")
    assert "text-to-image-fast" in (reply.error or ("", ""))[1], f"the message names no intent: {reply}"
    await case.nothing_upstream()
    assert (await case.books()).charged_uc == 0


@requirement("IMG-011")
async def test_same_key_one_picture(case: Case) -> None:
    """The same request with the same Idempotency-Key: one order, one charge, the same pictures."""
    model, token = listed(case, "gpt-4o-image"), case.fresh()
    headers = {"idempotency-key": f"{case.token}-once"}
    replies = [
        await case.ask("images", "A teapot.", token=token, fault=INSTANT, model=model, headers=headers)
        for _ in range(2)
    ]
    for reply in replies:
        expect_status(reply, 200)
    assert replies[0].document == replies[1].document, "the second answer is another one"
    await case.one_upstream_call(token)
    await paid(case, replies[0], due_uc(model, 1), 1)
