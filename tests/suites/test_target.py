"""Target files: what they mean, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from suites.launch import TEMPLATE, describe
from suites.target import TargetError, build_target, profiles, read_target, target_of_url

SMALLEST: dict[str, Any] = {"name": "mine", "base_urls": {"openai": "http://h:1/api/v1"}, "models": {"chat": ["m"]}}


def test_smallest_target() -> None:
    target = build_target(SMALLEST, "t")
    assert target.anthropic_url == target.api_url == "http://h:1/api"
    assert target.root_url == "http://h:1"
    assert target.features == profiles()["hypereal"]
    assert target.hooks == frozenset()
    assert target.timeouts.keepalive_s == 15


def test_every_hook() -> None:
    ready = {"gateway": {"base_url": "http://h:1", "admin_url": "http://h:1/admin", "admin_token": "t"}}
    fleet = {"fleet": {"base_url": "http://h:2", "control_url": "http://h:2/__fleet"}}
    target = build_target(describe(ready, fleet, ["start", "{folder}"], "reference"), "t")
    assert target.hooks == {
        *("fleet_control", "provisioning", "ledger", "upstreams_view", "usage_log", "test_clock", "restart"),
    }
    assert target.openai_url == "http://h:1/api/v1"
    assert target.upstreams["chat"] == ("openai", "openai-eu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "name: None is not of type 'string'"),
        ({"base_urls": {"openai": "h:1"}}, "base_urls.openai: 'h:1' does not match"),
        ({"base_urls": {}}, "base_urls: 'openai' is a required property"),
        ({"models": {"chat": []}}, "models.chat:"),
        ({"colour": "red"}, "'colour' was unexpected"),
        ({"policies": {"disconnect": "maybe"}}, "policies.disconnect: 'maybe' is not one of"),
        ({"features": ["telepathy"]}, "features: unknown 'telepathy'; known are "),
        ({"profile": "imaginary"}, "profile: unknown 'imaginary'; known are "),
        ({"translation": {}}, "translation: {} should be non-empty"),
        ({"translation": {"chat": [{"model": "m"}]}}, "translation.chat.0: 'others' is a required property"),
        ({"translation": {"images": []}}, "'images' was unexpected"),
        ({"retries": -1}, "retries: -1 is less than the minimum"),
        (
            {"provisioning": {"kind": "sql", "url": "http://h", "token": "t"}},
            "provisioning.kind: 'admin_api' was expected",
        ),
    ],
)
def test_problems_name_the_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TargetError) as caught:
        build_target(SMALLEST | change, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert message in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="No such file"):
        read_target(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(TargetError) as caught:
        read_target(broken)
    assert "\n" not in str(caught.value)


def test_template_is_a_target_once_filled_in() -> None:
    assert TEMPLATE.is_file()
    ready = {"gateway": {"base_url": "http://h:1/", "admin_url": "http://h:1/admin", "admin_token": "t"}}
    build_target(describe(ready, {"fleet": {"base_url": "x", "control_url": "http://h:2/__fleet"}}, ["x"], "n"), "n")


@pytest.mark.parametrize("url", ["http://h:1/api/v1", "http://h:1/api/v1/", "http://h:1/api"])
def test_target_of_url(url: str) -> None:
    target = target_of_url(url, "ck_x", "openai-chat")
    assert (target.openai_url, target.anthropic_url) == ("http://h:1/api/v1", "http://h:1/api")
    assert target.key == "ck_x"
    assert target.features == profiles()["openai-chat"]
