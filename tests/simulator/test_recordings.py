"""The fleet against recorded replies of the real providers: same paths and types, same order of events, same framing.

The recordings and the script that compares them stand beside the project (`../shared`); without them nothing is.
The files in `recordings/` say, for each vendor's recordings of some endpoints, which row of the fleet they are held to
and how a recording's features are asked for of it: `folder` (of the recordings) and `row` are the label unless said,
`endpoint` is a regular expression; the rest is the map of the script.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests import servers

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared"
SCRIPT = SHARED / "shape_distance.py"
RECORDINGS = SHARED / "recordings"
KINDS = {"recording", "recording_body_only"}
MAP: dict[str, dict[str, Any]] = {
    label: conf
    for path in sorted((HERE / "recordings").glob("*.json"))
    for label, conf in json.loads(path.read_text()).items()
}
EXCEPTIONS: dict[str, str] = {
    row["id"]: row["reason"]
    for path in sorted((HERE / "recordings").glob("*.yaml"))
    for row in yaml.safe_load(path.read_text()).get("exceptions", [])
}
ELSEWHERE = {
    (row["folder"], row["endpoint"]): row["reason"]
    for row in yaml.safe_load((HERE / "recordings" / "elsewhere.yaml").read_text())["elsewhere"]
}
NO_MEDIA = re.compile(  # endpoints at which neither text nor media is asked for; all others are
    r"realtime\.websocket|skills|rerank|POST /tokenize"
    r"|[A-Z]+ /(realtime|fine_tuning|threads|assistants|batches|messages/batches|files|upload|conversations|collections"
    r"|vector_stores|cachedContents|fileSearchStores|models/\{o\}/\{n\}/versions/\{v\}/trainings)(/.*)?"
)
WHOLE_MEAN_DUE = 0.98
MEAN_DUE = 0.95  # of one label
EACH_DUE = 0.90
TIMEOUT_S = 30

pytestmark = pytest.mark.skipif(
    not SCRIPT.is_file() or not RECORDINGS.is_dir(), reason=f"no recordings beside the project ({SHARED})"
)


@pytest.fixture(scope="module")
def fleet() -> Iterator[dict[str, Any]]:
    """A fleet as a process of its own: the `fleet` object of its ready line."""
    server = servers.start("simulator")
    try:
        yield server.told["fleet"]
    finally:
        server.stop()


@pytest.fixture(scope="module")
def shapes() -> ModuleType:
    """The comparing script, as a module."""
    spec = importlib.util.spec_from_file_location("shape_distance", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def score(result: dict[str, Any], framing_facts: int) -> float:
    """Mean of the shares that are alike: paths with types; of a stream also order and framing. 0 for another status."""
    if "error" in result or result["status"][0] != result["status"][1] or result["form"][0] != result["form"][1]:
        return 0.0
    shares: list[float] = [result["score"]]
    if "order" in result:
        shares.append(result["order"]["score"])
    if framing_facts:
        shares.append(1 - len(result.get("framing", {})) / framing_facts)
    return sum(shares) / len(shares)


def replay(shapes: ModuleType, fleet: dict[str, Any], label: str) -> tuple[dict[str, float], dict[str, str]]:
    """({id: score}, {id: why it was skipped}) of the recordings of one label; prints what differs."""
    folder, row = MAP[label].get("folder", label), MAP[label].get("row", label)
    conf = {"url": f"{{base}}/{row}{{path}}"} | MAP[label]
    conf |= {"base": fleet["base_url"], "key": fleet["providers"][row]["key"]}
    found = shapes.recordings([str(RECORDINGS / folder)], {folder}, conf["endpoint"], KINDS)
    facts = {recording["id"]: len(shapes.real_shape(recording).framing) for recording in found}
    scores: dict[str, float] = {}
    skipped: dict[str, str] = {}
    for run in shapes.runs(found):
        for result in shapes.replayed(run, conf, TIMEOUT_S):
            if "skipped" in result:
                skipped[result["id"]] = result["skipped"]
                continue
            scores[result["id"]] = score(result, facts[result["id"]])
            print(f"{scores[result['id']]:.3f}", shapes.told(result, 4))
    return scores, skipped


@pytest.mark.parametrize("label", sorted(MAP))
def test_replies_have_the_shape_of_the_recorded_ones(shapes: ModuleType, fleet: dict[str, Any], label: str) -> None:
    """Replays every recorded request. Observed: share of alike paths, events and framing, each and in the mean."""
    scores, skipped = replay(shapes, fleet, label)
    assert scores or skipped, "no recording has that endpoint"
    if not scores:
        return
    low = {name for name, share in scores.items() if share < EACH_DUE}
    known = EXCEPTIONS.keys() & scores.keys()
    counted = [share for name, share in scores.items() if name not in known]
    mean = sum(counted) / len(counted) if counted else 1.0
    print(f"{label}: mean {mean:.4f} of {len(counted)} recordings, {len(known)} excepted, {len(skipped)} not replayed")
    assert mean >= MEAN_DUE
    assert low - known == set(), "below the line without a written reason"
    assert known - low == set(), "no exception any more: remove the row"


def test_the_whole_is_alike(shapes: ModuleType, fleet: dict[str, Any]) -> None:
    """All labels together; a recording that several labels replay counts at its lowest."""
    scores: dict[str, float] = {}
    for label in sorted(MAP):
        for name, share in replay(shapes, fleet, label)[0].items():
            scores[name] = min(share, scores.get(name, 1.0))
    counted = [share for name, share in scores.items() if name not in EXCEPTIONS]
    mean = sum(counted) / len(counted)
    print(f"all: mean {mean:.4f} of {len(counted)} recordings, {len(scores) - len(counted)} excepted")
    assert mean >= WHOLE_MEAN_DUE


def test_every_recording_of_text_or_media_is_held_to_or_told_why_not() -> None:
    """Bodies that were captured without their request cannot be asked for; all others have a label or a reason."""
    index = json.loads((RECORDINGS / "index.json").read_text())
    held = [(row.get("folder", label), re.compile(row["endpoint"])) for label, row in MAP.items()]
    due = {
        (row["provider"], row["endpoint"])
        for row in index
        if row["kind"] == "recording" and not NO_MEDIA.fullmatch(row["endpoint"])
    }
    labelled = {
        (provider, endpoint)
        for provider, endpoint in due
        if any(folder == provider and known.search(endpoint) for folder, known in held)
    }
    assert due - labelled - ELSEWHERE.keys() == set(), "neither a label nor a reason"
    assert ELSEWHERE.keys() & labelled == set(), "held to by now: remove the row"
    assert ELSEWHERE.keys() - due == set(), "no such recordings: remove the row"
    assert all(len(reason.split()) >= 5 for reason in ELSEWHERE.values())


def test_every_exception_has_a_reason() -> None:
    """A row without a sentence, or for a recording that is not there, is no reason."""
    for name, reason in EXCEPTIONS.items():
        assert len(reason.split()) >= 5, name
        assert (RECORDINGS / f"{name}.json").is_file(), name
