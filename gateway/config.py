"""The gateway's options: defaults (`gateway.yaml`) < a file < environment (`WINDTUNNEL_GATEWAY_<KEY>`) < flags.

Every value is checked here, once; a wrong one is told as what came and what was due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import yaml

from gateway import addresses, origins

DEFAULTS_FILE: Final = Path(__file__).parent / "gateway.yaml"
ENVIRONMENT_PREFIX: Final = "WINDTUNNEL_GATEWAY_"
LLM_DIALECTS: Final = ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")
MEDIA_DIALECTS: Final = (  # the modules of gateway/upstreams/media
    *("openai_images", "openai_audio", "openrouter_images", "gemini_images", "ark", "bfl", "xai", "fal", "replicate"),
    "openai_videos",
    *("kling", "minimax", "dashscope", "veo", "vertex_veo", "vidu", "fish"),
)
DIALECTS: Final = (*LLM_DIALECTS, *MEDIA_DIALECTS, "runpod")
SECRET_KEY_MIN: Final = 32  # characters
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class ConfigError(ValueError):
    """The configuration is wrong (the operator's fault)."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider as the gateway sees it."""

    name: str
    dialects: tuple[str, ...]  # that it speaks
    base_url: str  # without a slash at the end; the dialect's own path is appended
    key: str = field(default="", repr=False)
    region: str = ""
    models: Mapping[str, str] = field(default_factory=dict)  # our model id -> this upstream's, where they differ
    prefixes: Mapping[str, str] = field(default_factory=dict)  # dialect -> what stands between base URL and its path
    lacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # dialect -> models (or globs) not served in it

    def model(self, model_id: str) -> str:
        """What this upstream calls a model of ours."""
        return self.models.get(model_id, model_id)

    def speaks(self, dialect: str, model_id: str = "") -> bool:
        """Whether it speaks this dialect (and serves a model of ours in it)."""
        return dialect in self.dialects and not any(fnmatchcase(model_id, one) for one in self.lacks.get(dialect, ()))

    def dialect_of_words(self, model_id: str) -> str:
        """The first LLM dialect that it serves a model in: calls of other wires are translated into it; "": none."""
        return next((name for name in self.dialects if name in LLM_DIALECTS and self.speaks(name, model_id)), "")

    def root(self, dialect: str) -> str:
        """What a dialect's own paths are appended to."""
        return self.base_url + self.prefixes[dialect] if dialect in self.prefixes else self.base_url


@dataclass(frozen=True, slots=True)
class Config:
    """All options. Units are in the names."""

    database: str
    admin_token: str | None
    upstreams: Mapping[str, Upstream]
    chains: Mapping[str, Sequence[str]]
    keepalive_s: float = 15
    first_byte_timeout_s: float = 60
    idle_timeout_s: float = 60
    finish_grace_s: float = 5
    total_timeout_s: float = 600
    image_timeout_s: float = 120
    video_timeout_s: float = 300
    audio_timeout_s: float = 120
    poll_factor: float = 1
    gpu_upstream: str = "runpod"
    gpu_poll_s: float = 5
    gpu_inline_s: float = 240
    gpu_queue_s: float = 1800
    gpu_deploy_s: float = 60
    gpu_keep_s: float = 604_800
    connect_timeout_s: float = 5
    retries: int = 1
    backoff_ms: float = 250
    retry_after_max_s: float = 2
    breaker_failures: int = 5
    breaker_cooldown_s: float = 30
    drain_s: float = 30
    max_body_bytes: int = 32 * 1024 * 1024
    objects: str = "windtunnel-objects"
    made_days: int = 30
    link_s: int = 86_400
    file_bytes_max: int = 256 * 1024 * 1024
    account_bytes_max: int = 10 * 1024 * 1024 * 1024
    public_url: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    sso_timeout_s: float = 5
    sso_skew_s: float = 60
    sso_trust_domains: bool = False
    allow_private_hosts: tuple[str, ...] = ()
    allow_ports: tuple[int, ...] = (80, 443, 8080, 8443)
    trusted_proxies: tuple[str, ...] = ()
    smtp_url: str | None = field(default=None, repr=False)
    smtp_from: str = "gateway@localhost"
    smtp_ca: str | None = None
    redis_url: str | None = field(default=None, repr=False)
    redis_prefix: str = "windtunnel"
    test_clock: bool = False
    log_level: str = "warning"
    otlp_endpoint: str | None = None

    def chain(self, model_id: str) -> tuple[Upstream, ...]:
        """The upstreams of a model in the order they are tried; empty where no pattern fits."""
        for pattern, names in self.chains.items():
            if fnmatchcase(model_id, pattern):
                return tuple(self.upstreams[name] for name in names)
        return ()


POSITIVE: Final = frozenset(
    {
        *("keepalive_s", "first_byte_timeout_s", "idle_timeout_s", "total_timeout_s", "connect_timeout_s"),
        *("gpu_poll_s", "image_timeout_s", "video_timeout_s", "audio_timeout_s", "sso_timeout_s"),
    }
)
OPTIONS: Final = {option.name: str(option.type) for option in fields(Config)}
ROW_OPTIONS: Final = {option.name for option in fields(Upstream)} - {"name", "dialects"} | {"dialect"}


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    providers: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """The configuration. `flags` that are None are not given; `providers` is a fleet's list. Raises ConfigError."""
    values = read_file(DEFAULTS_FILE)
    if file is not None:
        for name, value in read_file(file).items():
            known(name, str(file))
            if name == "upstreams":
                value = {**values["upstreams"], **mapping(value, f"{file}: upstreams")}
            values[name] = value
    for name, text in (environment or {}).items():
        if name.startswith(ENVIRONMENT_PREFIX):
            option = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            known(option, name)
            values[option] = from_text(option, text, name)
    values.update({name: value for name, value in (flags or {}).items() if value is not None})
    return build(values, providers or {})


def build(values: Mapping[str, Any], providers: Mapping[str, Mapping[str, Any]]) -> Config:
    """The checked Config of raw values."""
    checked: dict[str, Any] = {}
    for name, type_ in OPTIONS.items():
        if name in values and name not in ("upstreams", "chains"):
            checked[name] = scalar(name, type_, values[name])
    upstreams = {
        name: upstream(str(name), mapping(row, f"upstreams.{name}"), providers)
        for name, row in mapping(values.get("upstreams"), "upstreams").items()
    }
    chains = {
        str(pattern): chain(str(pattern), names, upstreams)
        for pattern, names in mapping(values.get("chains"), "chains").items()
    }
    return Config(upstreams=upstreams, chains=chains, **checked)


def read_file(file: Path) -> dict[str, Any]:
    """A YAML file's top mapping."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(file.read_bytes(), Loader=loader)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    return dict(mapping({} if data is None else data, str(file)))


def known(name: str, where: str) -> None:
    """Raises ConfigError unless `name` is an option."""
    if name not in OPTIONS:
        raise ConfigError(f"{where}: unknown option {name!r}; known are {', '.join(OPTIONS)}")


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """`value`, which must be a mapping."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: got {value!r}, a mapping was due")
    return value


def from_text(name: str, text: str, where: str) -> Any:
    """The value of an environment variable: YAML where the option is no plain text."""
    if OPTIONS[name].startswith("str"):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{where}: got {text!r}, {OPTIONS[name]} was due") from None


def setting(text: str) -> tuple[str, Any]:
    """(option, value) of `KEY=VALUE`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: KEY=VALUE was due")
    known(name, "--set")
    return name, from_text(name, value, f"--set {name}")


def scalar(name: str, type_: str, value: Any) -> Any:
    """One plain option, checked."""
    if type_.startswith("tuple"):
        return listed(name, type_, value)
    if type_ == "bool":
        good = isinstance(value, bool)
    elif type_ in ("int", "float"):
        numbers = int if type_ == "int" else (int, float)
        good = isinstance(value, numbers) and not isinstance(value, bool) and 0 <= value < 1e12
        good = good and not (name in POSITIVE and value <= 0)
    else:
        good = isinstance(value, str) or (value is None and "None" in type_)
    if name == "smtp_url" and good and value is not None:
        check_mail_server(value)
    if name == "log_level" and value not in LOG_LEVELS:
        raise ConfigError(f"log_level: got {value!r}, one of {', '.join(LOG_LEVELS)} was due")
    if name == "secret_key" and value is not None and not (isinstance(value, str) and len(value) >= SECRET_KEY_MIN):
        raise ConfigError(f"secret_key: a text of {SECRET_KEY_MIN} characters or more was due")
    if name in ("breaker_failures", "max_body_bytes") and good:
        good = value >= 1
    if not good:
        due = f"{type_} > 0" if name in POSITIVE else type_
        raise ConfigError(f"{name}: got {value!r}, {due} was due")
    return value


def check_mail_server(url: str) -> None:
    """Raises ConfigError, without the URL: there is a password in it."""
    from gateway.mail.server import server_of

    try:
        server_of(url, "")
    except ValueError as error:
        raise ConfigError(f"smtp_url: {error}") from None


def listed(name: str, type_: str, value: Any) -> tuple[Any, ...]:
    """One option that is a list; a single value stands for a list of it."""
    values = value if isinstance(value, (list, tuple)) else [value]
    due = int if type_ == "tuple[int, ...]" else str
    if not all(isinstance(item, due) and not isinstance(item, bool) for item in values):
        raise ConfigError(f"{name}: got {value!r}, a list of {due.__name__} was due")
    if name == "trusted_proxies":
        try:
            origins.networks(values)
        except ValueError:
            raise ConfigError(f"{name}: got {value!r}, a list of addresses and CIDRs was due") from None
    if name == "allow_private_hosts":
        try:
            addresses.allowed(values)
        except ValueError:
            raise ConfigError(f"{name}: got {value!r}, a list of host names, addresses and CIDRs was due") from None
    return tuple(values)


def upstream(name: str, row: Mapping[str, Any], providers: Mapping[str, Mapping[str, Any]]) -> Upstream:
    """One upstream, pointed at the fleet's provider of the same name if there is one."""
    where = f"upstreams.{name}"
    wrong = set(row) - ROW_OPTIONS
    if wrong:
        raise ConfigError(f"{where}: unknown option {sorted(wrong)[0]!r}")
    facts = {option: value for option, value in row.items() if option != "dialect"}
    if name in providers:
        facts.update({key: providers[name][key] for key in ("base_url", "key") if key in providers[name]})
    facts["dialects"] = dialects(row.get("dialect"), f"{where}.dialect")
    if not isinstance(facts.get("base_url"), str):
        raise ConfigError(f"{where}.base_url: got {facts.get('base_url')!r}, a text was due")
    if not facts["base_url"].startswith(("http://", "https://")):
        raise ConfigError(f"{where}.base_url: got {facts['base_url']!r}, an http:// or https:// URL was due")
    for option in ("key", "region"):
        if not isinstance(facts.get(option, ""), str):
            raise ConfigError(f"{where}.{option}: got {facts[option]!r}, a text was due")
    facts["base_url"] = facts["base_url"].rstrip("/")
    facts["models"] = dict(mapping(facts.get("models", {}), f"{where}.models"))
    facts["prefixes"] = prefixes(facts.get("prefixes", {}), facts["dialects"], f"{where}.prefixes")
    facts["lacks"] = lacks(facts.get("lacks", {}), facts["dialects"], f"{where}.lacks")
    return Upstream(name=name, **facts)


def dialects(value: Any, where: str) -> tuple[str, ...]:
    """What an upstream speaks: one dialect, or a list of several."""
    names = value if isinstance(value, list) and value else [value]
    for name in names:
        if name not in DIALECTS:
            raise ConfigError(f"{where}: got {name!r}, one of {', '.join(DIALECTS)} was due")
    return tuple(dict.fromkeys(names))


def prefixes(value: Any, spoken: tuple[str, ...], where: str) -> dict[str, str]:
    """Paths to put before those of a dialect: `{anthropic_messages: /anthropic}`."""
    told = dict(mapping(value, where))
    for dialect, path in told.items():
        if dialect not in spoken:
            raise ConfigError(f"{where}: got {dialect!r}, one of the upstream's dialects ({', '.join(spoken)}) was due")
        if not isinstance(path, str) or not path.startswith("/") or path.endswith("/"):
            raise ConfigError(f"{where}.{dialect}: got {path!r}, a path that begins, but does not end with / was due")
    return told


def lacks(value: Any, spoken: tuple[str, ...], where: str) -> dict[str, tuple[str, ...]]:
    """Models that are not served in a dialect: `{openai_responses: ["gpt-audio*"]}`."""
    told = mapping(value, where)
    for dialect, models in told.items():
        if dialect not in spoken:
            raise ConfigError(f"{where}: got {dialect!r}, one of the upstream's dialects ({', '.join(spoken)}) was due")
        if not isinstance(models, list) or not all(isinstance(one, str) for one in models):
            raise ConfigError(f"{where}.{dialect}: got {models!r}, a list of models or globs was due")
    return {dialect: tuple(models) for dialect, models in told.items()}


def chain(pattern: str, names: Any, upstreams: Mapping[str, Upstream]) -> tuple[str, ...]:
    """One chain: known upstreams, each once."""
    where = f"chains.{pattern}"
    if not isinstance(names, list) or not names:
        raise ConfigError(f"{where}: got {names!r}, a list of upstreams was due")
    for name in names:
        if name not in upstreams:
            raise ConfigError(f"{where}: unknown upstream {name!r}; known are {', '.join(upstreams)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{where}: an upstream is listed twice")
    return tuple(names)
