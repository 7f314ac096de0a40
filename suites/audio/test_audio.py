"""Sound: what comes, what is paid, and what becomes of a provider that fails."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from schemas.catalogue import MODELS
from suites import media
from suites.case import Case, expect_status, providers
from suites.requirement import over, requirement

SIGNS = (b"ID3", b"\xff", b"RIFF", b"OggS", b"fLaC")  # how sounds begin
WORDS = "One key opens every model."


@requirement("AUD-001")
@over(words=("Hi.", "One key, every model. " * 40))
async def test_charged_by_the_request(case: Case, words: str) -> None:
    """Short or long: one price, and a link that serves the sound."""
    reply = await case.ask("audio", words)
    expect_status(reply, 200)
    found = media.items(reply.json)
    assert len(found) == 1, f"{len(found)} sounds came; one was due"
    served = await case.request("GET", str(found[0].get("url")))
    assert served.status == 200, f"the link answers {served.status}"
    assert served.raw.startswith(SIGNS), f"no sound: {served.raw[:16]!r}"
    await case.one_upstream_call(reply)
    model = MODELS[reply.sent.document["model"]]
    books = await case.books(rows=1)
    assert books.charged_uc == model.unit_uc, f"charged {books.charged_uc} uc; due {model.unit_uc}"
    told = (books.row["status"], books.row["unit"], books.row["units"], books.row["costUc"])
    assert told == ("succeeded", "request", 1, model.unit_uc), f"the log says {told}"


@requirement("AUD-002")
@over(fault=("status=503", "reset"))
async def test_second_provider_speaks(case: Case, fault: str) -> None:
    """The first provider fails: the second's sound, charged once."""
    first, second = case.chain("audio")[:2]
    reply = await case.ask("audio", "Hi.", fault=f"{fault} provider={first}")
    entries = await case.reached(fault.partition("=")[0], reply)
    expect_status(reply, 200)
    assert providers(entries)[-1] == second, f"calls {providers(entries)}"
    assert await case.charged() == MODELS[reply.sent.document["model"]].unit_uc


@requirement("AUD-002")
async def test_free_when_all_fail(case: Case) -> None:
    """502, and nothing is paid."""
    reply = await case.ask("audio", "Hi.", fault="status=500")
    await case.reached("status", reply)
    expect_status(reply, 502, "api_error")
    books = await case.books(rows=1)
    assert (books.charged_uc, books.held_uc) == (0, 0), f"charged {books.charged_uc} uc, held {books.held_uc} uc"


@requirement("AUD-003")
@over(what=("no text", "no voice", "no sound", "poor"))
async def test_refused(case: Case, what: str) -> None:
    """What an operation needs and was not sent, and who may not call it: nobody is asked, nothing is paid."""
    case.model("audio")
    fields: dict[str, dict[str, Any]] = {
        "no text": {"text": None},
        "no voice": {"model": "audio-clone"},
        "no sound": {"model": "audio-asr", "text": None},
        "poor": {},
    }
    if what == "poor":
        await case.use(uc=1_998_999_999)
    reply = await case.ask("audio", "Hi.", **fields[what])
    expect_status(reply, *((403, "access_denied") if what == "poor" else (400, "invalid_request_error")))
    await case.nothing_upstream(reply)
    assert (await case.books()).charged_uc == 0


@requirement("AUD-004")
async def test_transcript(case: Case) -> None:
    """What one operation spoke, the other hears: word for word, as text."""
    case.model("audio")
    spoken = await case.ask("audio", WORDS)
    expect_status(spoken, 200)
    sound = await case.request("GET", str(media.items(spoken.json)[0].get("url")))
    link = f"data:audio/mpeg;base64,{b64encode(sound.raw).decode()}"
    reply = await case.ask("audio", model="audio-asr", text=None, audio=link)
    expect_status(reply, 200)
    assert reply.json.get("text") == WORDS, f"heard {reply.json.get('text')!r}; said {WORDS!r}"
    assert not reply.json.get("data"), f"a transcript has links: {reply}"
    due = sum(MODELS[one.sent.document["model"]].unit_uc for one in (spoken, reply))
    books = await case.books(rows=2)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc; due {due}"
