"""What a prediction gives, and what it logs on the way."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from simulator import draws
from simulator.answers import tokens
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.predictions import files, inputs, words, works
from simulator.dialects.predictions.works import Work
from simulator.jobs.job import View, end_ms

FOLDER: Final = "/delivery/"
LIFE_MS: Final = 3_600_000  # of input, output and logs, from the end of a prediction
BAR: Final = 10  # characters of a progress bar
LOG_LINES: Final = 25
BLOCKS: Final = " ▏▎▍▌▋▊▉█"


def fields(kept: Kept) -> inputs.Fields:
    """The fields of the input: those of trainings, or those of predictions."""
    name = "training" if kept.ask.operation == "train" else "inputs"
    found: inputs.Fields = kept.profile.facts[name]
    return found


def work(kept: Kept) -> Work:
    """The work that was asked for."""
    values = inputs.read(fields(kept), kept.ask.body["input"]).values
    if kept.ask.operation == "train":
        return Work("weights", kept.ask.body["destination"], steps=100, seed=kept.serving.seed, form="tar")
    return works.read(values, kept.profile.facts, kept.serving.seed)


def pieces(kept: Kept) -> tuple[str, ...]:
    """What a text model says, in pieces; nothing for any other model."""
    if kept.profile.facts["makes"] != "text" or kept.ask.operation == "train":
        return ()
    return said(kept.profile, kept.ask.body["input"], kept.serving.seed)


def said(profile: Profile, given: dict[str, Any], seed: int) -> tuple[str, ...]:
    """What a text model says to an input."""
    facts = profile.facts
    meant = works.told(inputs.read(facts["inputs"], given).values, facts["inputs"])
    return words.said(str(meant.get("prompt", "")), meant, profile, seed)


def whole(kept: Kept, *, is_inlined: bool = False) -> Any:
    """The output of a prediction that succeeded. `is_inlined`: its files come as data URIs."""
    job, made = kept.serving.job, work(kept)
    if job is None:
        raise TypeError("only a job has an output")
    if made.makes == "text":
        return [] if job.plan.is_empty else list(pieces(kept))
    if job.plan.is_empty:
        return None if kept.profile.has("one_output") or not made.is_file else []
    if made.makes == "weights":
        new = draws.digest("trained", kept.serving.seed, kept.serving.nonce).hex() * 2
        return {"version": f"{kept.ask.body['destination']}:{new}", "weights": _address(kept, made, 0, "trained_model")}
    if made.makes == "transcript":
        return _transcript(kept)
    found = [
        f"data:{made.mime};base64,{b64encode(works.made(made, index)).decode()}"
        if is_inlined
        else _address(kept, made, index, f"out-{index}")
        for index in range(made.number)
    ]
    return found[0] if kept.profile.has("one_output") else found


def _address(kept: Kept, made: Work, index: int, name: str) -> str:
    """Where a file is delivered from, until an hour after the end."""
    job = kept.serving.job
    if job is None:
        raise TypeError("only a job has files")
    word = draws.word(40, "delivery", kept.serving.seed, kept.serving.nonce)
    path = f"{FOLDER}xezq/{word}/{name}.{made.extension}"
    secret = kept.profile.facts["signature_secret"]
    return files.link(kept.ask.site, path, made, index, secret, end_ms(job), LIFE_MS, job.plan)


def fetched(serving: Serving) -> Any:
    """The file of a link, or why it is not given."""
    return files.fetched(serving, FOLDER)


def _transcript(kept: Kept) -> dict[str, Any]:
    facts = kept.profile.facts
    meant = works.told(inputs.read(facts["inputs"], kept.ask.body["input"]).values, facts["inputs"])
    found = works.heard(meant, kept.serving.seed)
    spans = [{"start": span.start_s, "end": span.end_s, "text": span.text} for span in found.segments]
    return {"text": found.text, "segments": spans, "detected_language": found.language}


# --- logs -------------------------------------------------------------------------------------------------------------


def logs(kept: Kept, view: View) -> str:
    """What the model printed so far: the seed, then the bars of its progress."""
    made = work(kept)
    if not view.run_ms and not view.progress:
        return ""
    if made.makes == "text":
        return ""
    lines = [f"Using seed: {made.seed}"]
    if made.steps:
        done = round(view.progress * made.steps)
        stride = -(-made.steps // LOG_LINES)
        at = sorted({*range(0, done + 1, stride), done})
        run_s = view.run_ms / 1000
        rate = done / run_s if run_s else 0.0
        lines += [_bar(step, made.steps, rate) for step in at]
    return "\n".join(lines) + "\n"


def _bar(done: int, total: int, rate: float) -> str:
    """A line of tqdm."""
    eighths = BAR * 8 * done // total
    bar = (BLOCKS[8] * (eighths // 8) + (BLOCKS[eighths % 8] if eighths % 8 else "")).ljust(BAR)
    if not done or not rate:
        return f"{100 * done // total:3}%|{bar}| {done}/{total} [00:00<?, ?it/s]"
    spent, left = round(done / rate), round((total - done) / rate)
    return f"{100 * done // total:3}%|{bar}| {done}/{total} [{_clock(spent)}<{_clock(left)}, {rate:5.2f}it/s]"


def _clock(seconds: int) -> str:
    return f"{seconds // 60:02}:{seconds % 60:02}"


def counts(kept: Kept, run_ms: int) -> dict[str, float]:
    """The metrics that only text models tell."""
    said_so = pieces(kept)
    if not said_so:
        return {}
    run_s = max(run_ms, 1) / 1000
    meant = works.told(inputs.read(fields(kept), kept.ask.body["input"]).values, fields(kept))
    return {
        "input_token_count": tokens.count(str(meant.get("prompt", ""))),
        "output_token_count": len(said_so),
        "tokens_per_second": round(len(said_so) / run_s, 6),
        "time_to_first_token": round(run_s / len(said_so), 9),
    }
