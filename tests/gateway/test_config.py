"""Options: where they come from, and what is said of wrong ones."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gateway import config
from gateway.__main__ import gateway
from gateway.config import Config, ConfigError


def test_the_defaults_name_every_option() -> None:
    told = yaml.safe_load(config.DEFAULTS_FILE.read_text())
    assert set(told) == {option.name for option in fields(Config)}
    loaded = config.load()
    assert (loaded.keepalive_s, loaded.retries, loaded.breaker_failures) == (15, 1, 5)
    for option in fields(Config):
        if option.name not in ("database", "admin_token", "upstreams", "chains"):
            assert getattr(loaded, option.name) == option.default


def test_flag_beats_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("keepalive_s: 1\nidle_timeout_s: 1\ndrain_s: 1\n")
    environment = {"WINDTUNNEL_GATEWAY_IDLE_TIMEOUT_S": "2", "WINDTUNNEL_GATEWAY_DRAIN_S": "2", "OTHER": "x"}
    loaded = config.load(file, environment, {"drain_s": 3, "retries": None})
    assert (loaded.keepalive_s, loaded.idle_timeout_s, loaded.drain_s, loaded.retries) == (1, 2, 3, 1)


def test_chains_take_the_first_pattern_that_fits() -> None:
    loaded = config.load()
    for model, names in {
        "gpt-5.5": ["openai", "openai-eu"],
        "claude-opus-4-6": ["anthropic", "anthropic-eu", "openrouter"],
        "gemini-3.1-pro": ["gemini", "gemini-eu", "aggregator", "aggregator-eu"],
        "glm-5": ["aggregator", "aggregator-eu", "glm"],
    }.items():
        assert [upstream.name for upstream in loaded.chain(model)] == names


def test_a_fleet_replaces_addresses_and_keys() -> None:
    loaded = config.load(
        providers={"openai": {"base_url": "http://127.0.0.1:1/openai/", "key": "s3cret", "region": "x"}}
    )
    mine = loaded.upstreams["openai"]
    assert (mine.base_url, mine.key) == ("http://127.0.0.1:1/openai", "s3cret")
    assert loaded.upstreams["openai-eu"].base_url.endswith(":8101/openai-eu")
    assert "s3cret" not in repr(loaded.upstreams["openai"])


def test_upstreams_are_added_to_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    row = {"dialect": "openai_chat", "base_url": "https://a.example", "models": {"gpt-5.5": "their-name"}}
    file.write_text(yaml.safe_dump({"upstreams": {"mine": row}, "chains": {"*": ["mine", "openai"]}}))
    loaded = config.load(file)
    assert loaded.chain("gpt-5.5")[0].model("gpt-5.5") == "their-name"
    assert loaded.chain("gpt-5.5")[1].model("gpt-5.5") == "gpt-5.5"


def test_an_upstream_may_speak_several_dialects(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    both = {"dialect": ["openai_chat", "openai_responses", "openai_chat"], "base_url": "https://a.example"}
    one = {"dialect": "openai_responses", "base_url": "https://b.example"}
    file.write_text(yaml.safe_dump({"upstreams": {"both": both, "one": one}, "chains": {"*": ["both", "one"]}}))
    first, second = config.load(file).chain("gpt-5.5")
    assert first.dialects == ("openai_chat", "openai_responses")
    assert (first.speaks("openai_chat"), second.speaks("openai_chat")) == (True, False)


def test_a_model_may_not_be_served_in_every_dialect_of_its_upstream(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    row = {"dialect": ["openai_responses", "openai_chat"], "base_url": "https://a.example"}
    lacks = {"openai_responses": ["gpt-audio*"]}
    file.write_text(yaml.safe_dump({"upstreams": {"both": row | {"lacks": lacks}}, "chains": {"*": ["both"]}}))
    (both,) = config.load(file).chain("gpt-5.5")
    assert both.speaks("openai_responses", "gpt-5.5")
    assert both.dialect_of_words("gpt-5.5") == "openai_responses"
    assert not both.speaks("openai_responses", "gpt-audio-1.5-official")
    assert both.dialect_of_words("gpt-audio-1.5-official") == "openai_chat"


WRONG: dict[str, tuple[Any, str]] = {
    "unknown option": ({"keepalive": 1}, "unknown option 'keepalive'"),
    "text for a number": ({"keepalive_s": "soon"}, "keepalive_s: got 'soon', float > 0 was due"),
    "zero": ({"idle_timeout_s": 0}, "idle_timeout_s: got 0, float > 0 was due"),
    "bool for a number": ({"retries": True}, "retries: got True, int was due"),
    "float for an int": ({"retries": 1.5}, "retries: got 1.5, int was due"),
    "negative": ({"backoff_ms": -1}, "backoff_ms: got -1, float was due"),
    "number for a text": ({"database": 5}, "database: got 5, str was due"),
    "number for a bool": ({"test_clock": 1}, "test_clock: got 1, bool was due"),
    "log level": ({"log_level": "loud"}, "log_level: got 'loud', one of debug, info, warning, error was due"),
    "not a mapping": ([1], "a mapping was due"),
    "upstreams": ({"upstreams": []}, "upstreams: got [], a mapping was due"),
    "upstream option": ({"upstreams": {"a": {"dialect": "soap", "url": "x"}}}, "upstreams.a: unknown option 'url'"),
    "dialect": ({"upstreams": {"a": {"dialect": "soap", "base_url": "http://x"}}}, "upstreams.a.dialect: got 'soap'"),
    "no dialect": ({"upstreams": {"a": {"base_url": "http://x"}}}, "upstreams.a.dialect: got None, one of openai_chat"),
    "no dialects": ({"upstreams": {"a": {"dialect": [], "base_url": "http://x"}}}, "upstreams.a.dialect: got []"),
    "dialects": ({"upstreams": {"a": {"dialect": ["openai_chat", {}]}}}, "upstreams.a.dialect: got {}, one of"),
    "base_url": ({"upstreams": {"a": {"dialect": "openai_chat", "base_url": "ftp://x"}}}, "base_url: got 'ftp://x'"),
    "chain": ({"chains": {"*": "openai"}}, "chains.*: got 'openai', a list of upstreams was due"),
    "unknown upstream": ({"chains": {"*": ["nobody"]}}, "chains.*: unknown upstream 'nobody'"),
    "twice": ({"chains": {"*": ["openai", "openai"]}}, "listed twice"),
    "prefix": (
        {"upstreams": {"a": {"dialect": "kling", "base_url": "http://x", "prefixes": {"kling": "api"}}}},
        "upstreams.a.prefixes.kling: got 'api', a path that begins",
    ),
    "prefix of another dialect": (
        {"upstreams": {"a": {"dialect": "kling", "base_url": "http://x", "prefixes": {"fal": "/api"}}}},
        "upstreams.a.prefixes: got 'fal', one of the upstream's dialects (kling) was due",
    ),
    "models of another dialect": (
        {"upstreams": {"a": {"dialect": "kling", "base_url": "http://x", "lacks": {"fal": ["x"]}}}},
        "upstreams.a.lacks: got 'fal', one of the upstream's dialects (kling) was due",
    ),
    "one model": (
        {"upstreams": {"a": {"dialect": "kling", "base_url": "http://x", "lacks": {"kling": "x"}}}},
        "upstreams.a.lacks.kling: got 'x', a list of models or globs was due",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_are_told_in_one_line(case: str, tmp_path: Path) -> None:
    value, said = WRONG[case]
    file = tmp_path / "g.yaml"
    file.write_text(yaml.safe_dump(value))
    with pytest.raises(ConfigError) as raised:
        config.load(file)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_wrong_environment() -> None:
    with pytest.raises(ConfigError, match="unknown option 'nothing'"):
        config.load(environment={"WINDTUNNEL_GATEWAY_NOTHING": "1"})
    with pytest.raises(ConfigError, match="retries: got 'many'"):
        config.load(environment={"WINDTUNNEL_GATEWAY_RETRIES": "many"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "/nowhere/g.yaml"], "/nowhere/g.yaml: No such file or directory"),
        (["--set", "retries"], "KEY=VALUE was due"),
        (["--set", "nothing=1"], "unknown option 'nothing'"),
        (["--log-level", "loud"], "log_level: got 'loud'"),
        (["--fleet", "http://127.0.0.1:1"], "no fleet at http://127.0.0.1:1"),
        (["--fleet", "nonsense"], "no fleet at nonsense"),
        (["--port", "0", "--database", "nonsense"], "nonsense"),
        (["--port", "0", "--host", "203.0.113.7"], "cannot listen on 203.0.113.7:0"),
    ],
)
def test_the_command_says_what_is_wrong_and_exits_with_2(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(gateway, arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.startswith("gateway: ")
    assert result.output.count("\n") == 1
