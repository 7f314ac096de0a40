"""What Replicate tells of its models: lists, search, versions, collections, hardware, deployments, the account."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import yaml

from simulator import draws
from simulator.dialects.base import Profile
from simulator.dialects.predictions import files, works
from simulator.dialects.replicate import cog
from simulator.models import facts as models

Json = dict[str, Any]

DIALECT: Final = "replicate"
FILE: Final = Path(__file__).parent / "account.yaml"
SITE: Final = "https://replicate.com"
STORED: Final = "files"  # the row that uploaded files belong to
PAGE: Final = 100
MODELS_PAGE: Final = 25
EXAMPLE_MS: Final = 1_700_000_000_000  # when the examples of models were made: long ago
EXAMPLE_LIFE_MS: Final = 100 * 365 * 86_400_000  # examples are kept
KNOWN_LENGTH: Final = 64  # of a version's id


@cache
def account() -> Mapping[str, Any]:
    """What belongs to the account: `account.yaml`."""
    found: Mapping[str, Any] = yaml.safe_load(FILE.read_bytes())
    return found


def names(facts: Mapping[str, Any]) -> list[str]:
    """The models of a provider, in the order of their rows."""
    return [name for name in models.listed(DIALECT, facts) if name != STORED]


def profile(facts: Mapping[str, Any], name: str) -> Profile | None:
    """What is known of a model."""
    return models.profile(DIALECT, DIALECT, name, facts)


def model_of(facts: Mapping[str, Any], version: str) -> str | None:
    """The model that a version belongs to."""
    for name in names(facts):
        found = profile(facts, name)
        if found is not None and version in found.facts.get("versions", {}):
            return name
    return None


def latest(found: Profile) -> str:
    """The id of a model's newest version."""
    return next(iter(found.facts["versions"]), "")


def deployed(found: Profile) -> str:
    """What stands for the version where a model is run by its name."""
    return f"dp-{draws.digest('deployed', found.model).hex()}"


# --- models -----------------------------------------------------------------------------------------------------------


def version(found: Profile, key: str) -> Json:
    """The version object."""
    row = found.facts["versions"][key]
    training = found.facts.get("training") if row.get("trains") else None
    document = cog.document(found.facts["inputs"], shape(found), training, tells_ready=bool(row.get("ready")))
    return {"id": key, "created_at": row["created"], "cog_version": row["cog"], "openapi_schema": document}


def shape(found: Profile) -> str:
    """How the output of a model looks: a list of addresses, one, pieces of text or an object."""
    makes = found.facts["makes"]
    if makes in ("text", "transcript"):
        return "text" if makes == "text" else "object"
    return "one" if found.facts.get("one_output") else "list"


def model(found: Profile, site: str) -> Json:
    """The model object. `site` is where the API's paths begin, and with them all links."""
    facts = found.facts
    owner, _, name = found.model.partition("/")
    key = latest(found)
    return {
        "cover_image_url": facts.get("cover"),
        "created_at": facts["created"],
        "default_example": example(found, site),
        "description": facts["description"],
        "github_url": facts.get("github"),
        "is_official": found.has("official"),
        "latest_version": version(found, key) if key else None,
        "license_url": facts.get("license"),
        "name": name,
        "owner": owner,
        "paper_url": facts.get("paper"),
        "run_count": draws.integer("runs", found.model) % 10_000_000,
        "url": f"{SITE}/{found.model}",
        "visibility": "public",
        "weights_url": None,
    }


def example(found: Profile, site: str) -> Json:
    """The prediction that a model is shown with."""
    facts = found.facts
    given = {name: row["default"] for name, row in facts["inputs"].items() if "default" in row} | facts["example"]
    work = works.read(given, facts, "example", found.model)
    key = draws.word(26, "example", found.model).lower()
    metrics = {"predict_time": 4.981337, "total_time": 4.95241}
    if work.makes == "text":
        output: Any = list(facts["said"])
        metrics |= {"input_token_count": 32, "output_token_count": len(output), "tokens_per_second": 75.58}
        metrics["time_to_first_token"] = 0.27
    elif work.is_file:
        address = f"/delivery/pbxt/{draws.word(48, 'example', found.model)}/out-0.{work.extension}"
        secret = facts["signature_secret"]
        link = files.link(site, address, work, 0, secret, EXAMPLE_MS, EXAMPLE_LIFE_MS)
        output = link if facts.get("one_output") else [link]
    else:
        output = {"text": facts["said"]}
    url = f"{site}/predictions/{key}"
    urls = {"get": url, "cancel": f"{url}/cancel"}
    if work.makes == "text":
        urls["stream"] = f"{site}/streams/{key}"
    return {
        "completed_at": "2023-11-14T22:13:20.000000Z",
        "created_at": "2023-11-14T22:13:15.000000Z",
        "data_removed": False,
        "error": None,
        "id": key,
        "input": given,
        "logs": f"Using seed: {work.seed}\n",
        "metrics": metrics,
        "model": found.model,
        "output": output,
        "started_at": "2023-11-14T22:13:15.018663Z",
        "status": "succeeded",
        "urls": urls,
        "version": latest(found),
        "webhook": None,
        "webhook_completed": None,
    }


def searched(facts: Mapping[str, Any], words: str) -> list[Profile]:
    """The models that a text is found in: in their names, or in what they are told to be."""
    found = (profile(facts, name) for name in names(facts))
    wanted = words.lower().split()
    return [
        one
        for one in found
        if one is not None and all(word in f"{one.model} {one.facts['description']}".lower() for word in wanted)
    ]


def created(body: Mapping[str, Any]) -> Json:
    """The object of a model that was just made: nothing runs in it yet, and it is not kept."""
    told = {name: body.get(name) for name in ("description", "visibility", "github_url", "paper_url", "license_url")}
    owner, name = body["owner"], body["name"]
    rest = {"run_count": 0, "cover_image_url": body.get("cover_image_url")}
    about = {"url": f"{SITE}/{owner}/{name}", "owner": owner, "name": name}
    return {**about, **told, **rest, "default_example": None, "latest_version": None}


# --- the rest ---------------------------------------------------------------------------------------------------------


def collection(facts: Mapping[str, Any], slug: str, site: str) -> Json | None:
    """A collection with its models."""
    row = next((row for row in account()["collections"] if row["slug"] == slug), None)
    if row is None:
        return None
    found = (profile(facts, name) for name in names(facts))
    held = [model(one, site) for one in found if one is not None and slug in one.facts.get("collections", ())]
    return {**row, "models": held}


def deployment(name: str) -> Json | None:
    """A deployment of the account, "owner/name"."""
    row = account()["deployments"].get(name)
    if row is None:
        return None
    owner, _, own = name.partition("/")
    release = {
        "number": 1,
        "model": row["model"],
        "version": row["version"],
        "created_at": "2024-02-15T16:32:57.018467Z",
        "created_by": account()["account"],
        "configuration": row["configuration"],
    }
    return {"owner": owner, "name": own, "current_release": release}


# --- pages ------------------------------------------------------------------------------------------------------------


def page(items: Sequence[Any], url: str, query: str, size: int = PAGE) -> Json:
    """A page of a list, with the addresses of its neighbours. Items from the cursor on."""
    at = min(_offset(query), len(items))
    return {
        "next": _at(url, at + size) if at + size < len(items) else None,
        "previous": _at(url, max(0, at - size)) if at else None,
        "results": list(items[at : at + size]),
    }


def _at(url: str, offset: int) -> str:
    return f"{url}?cursor={urlsafe_b64encode(b'o=%d' % offset).decode().rstrip('=')}"


def _offset(query: str) -> int:
    told = dict(parse_qsl(query)).get("cursor", "")
    try:
        found = urlsafe_b64decode(told + "=" * (-len(told) % 4))
    except (NoBase64, ValueError):
        return 0
    digits = found.removeprefix(b"o=")
    return int(digits) if digits.isdigit() and len(digits) < 9 else 0
