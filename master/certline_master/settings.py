"""The master's own settings: `certline.toml`, overridden by the environment (`CERTLINE_API__LISTEN=...`)."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from certline_master.settings_sections import (
    AlarmLimits,
    Api,
    Audit,
    CommandName,
    Dns,
    Http01,
    LocalCommand,
    LocalFollower,
    Logging,
    Outgoing,
    Responder,
    Secrets,
    Store,
    Workers,
)

NAME = "certline.toml"
SYSTEM_FOLDER = Path("/etc/certline")


class SettingsError(ValueError):
    """Settings that cannot be used; the text names file, line, field, what was wrong and what to do."""


class _Environment(EnvSettingsSource):
    """Without the variables that name a file: their content was read before, as if it stood in the settings."""

    def __call__(self) -> dict[str, Any]:
        found = super().__call__()
        return {section: _without_files(part) for section, part in found.items()}


def _without_files(part: Any) -> Any:
    return (
        {name: value for name, value in part.items() if not name.endswith("_file")} if isinstance(part, dict) else part
    )


class Settings(BaseSettings):
    """All settings, read once at start. Paths are absolute: relative ones count from the file's folder."""

    model_config = SettingsConfigDict(
        env_prefix="CERTLINE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    file: Path = Field(exclude=True)
    api: Api
    store: Store = Store()
    secrets: Secrets = Secrets()
    http01: Http01 = Http01()
    responder: Responder = Responder()
    dns: Dns = Dns()
    outbound: Outgoing = Outgoing()
    workers: Workers = Workers()
    alarms: AlarmLimits = AlarmLimits()
    logging: Logging = Logging()
    audit: Audit = Audit()
    local_follower: LocalFollower = LocalFollower()
    commands: dict[CommandName, LocalCommand] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file."""
        del env_settings, dotenv_settings, file_secret_settings
        return _Environment(settings_cls), init_settings

    @property
    def folder(self) -> Path:
        return self.file.parent


def find(config: str | None, folder: Path | None = None) -> Path:
    """Where the settings are: `config` as named, else NAME in the working directory, then in the system folder.

    A relative `config` is tried in both; an absolute one only there. Raises SettingsError naming what was tried.
    """
    wished = Path(config or NAME)
    tried = [wished] if wished.is_absolute() else [(folder or Path.cwd()) / wished, SYSTEM_FOLDER / wished]
    for path in tried:
        if path.is_file():
            return path.resolve()
    listed = f"found neither {tried[0]} nor {tried[1]}" if len(tried) > 1 else f"{wished} is not there"
    raise SettingsError(f"no settings: {listed}. Make them with `certline init --origin https://NAME:PORT`")


def load(path: Path) -> Settings:
    """Read and check the file. Raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise SettingsError(f"{path}: cannot be read: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise SettingsError(f"{path}: is not UTF-8 text") from fault
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise SettingsError(f"{path}: is not TOML: {fault}") from fault
    try:
        settings = Settings(file=path, **_with_file_secrets(raw, os.environ))
    except ValidationError as fault:
        raise SettingsError(_faults(path, text, fault)) from fault
    return _anchored(settings)


def _with_file_secrets(raw: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """`CERTLINE_STORE__URL_FILE=/run/secrets/url` gives `store.url` from that file."""
    for variable, value in environment.items():
        match = re.fullmatch(r"CERTLINE_([A-Z0-9]+)__([A-Z0-9_]+)_FILE", variable)
        if match:
            section, field = match[1].lower(), match[2].lower()
            try:
                content = Path(value).read_text(encoding="utf-8").strip()
            except OSError as fault:
                raise SettingsError(f"{variable}: {value} cannot be read: {fault.strerror}") from fault
            raw.setdefault(section, {})[field] = content
    return raw


def _faults(path: Path, text: str, fault: ValidationError) -> str:
    lines = []
    for error in fault.errors():
        where = [str(part) for part in error["loc"]]
        lines.append(f"{path}{_line_of(text, where)}: {'.'.join(where)}: {_said(error['type'], error['msg'])}")
    return "\n".join(lines)


def _said(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not a setting; remove it, or look at `certline config example`"
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")


def _line_of(text: str, where: list[str]) -> str:
    """`:LINE` of a setting, found by its section and its key, else of the section; "" when neither is in the text."""
    section, found = None, ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[([^\]]+)\]", line)
        if header:
            section = header[1].strip()
            if where[0] == section:
                found = f":{number}"
        elif section == where[0] and len(where) > 1 and re.match(rf"\s*{re.escape(where[1])}\s*=", line):
            return f":{number}"
    return found


def _anchored(settings: Settings) -> Settings:
    """The same settings with all paths absolute."""
    folder = settings.folder
    store, secrets, api, local = settings.store, settings.secrets, settings.api, settings.local_follower
    url = store.url
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        url = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
    kek = secrets.kek
    if kek is not None and kek.startswith("file:"):
        kek = f"file:{folder / kek.removeprefix('file:')}"
    return settings.model_copy(
        update={
            "store": store.model_copy(update={"url": url}),
            "secrets": secrets.model_copy(update={"kek": kek}),
            "api": api.model_copy(
                update={
                    "tls_certificate": _under(folder, api.tls_certificate),
                    "tls_key": _under(folder, api.tls_key),
                }
            ),
            "audit": settings.audit.model_copy(update={"file": _under(folder, settings.audit.file)}),
            "local_follower": local.model_copy(update={"config": _under(folder, local.config)}),
        }
    )


def _under(folder: Path, path: Path | None) -> Path | None:
    return None if path is None else folder / path


EXAMPLE = """\
# certline.toml: the master's settings. Relative paths count from this file's folder.

[api]
listen = "{listen}"
# The URLs under which followers reach this master; the API's certificate carries their names.
origins = [{origins}]
# tls = "files"                   # a certificate of your own instead of one from certline's private CA:
# tls_certificate = "api.pem"
# tls_key = "api.key"
# trust = "chain"                 # followers check the API's chain and dates (behind a TLS-terminating proxy)
# trusted_proxies = ["127.0.0.1/32"]  # whose X-Forwarded-For is believed; with tls "off" they speak plain HTTP

# [api.limits]                    # how many a minute, beyond a burst; 0 for no limit
# follower_per_minute = 240       # requests of one follower
# records_per_minute = 30         # events that one follower causes
# caller_per_minute = 1200        # requests with one admin token
# failures_per_minute = 60        # refused credentials and enrolments from one address

[store]
url = "{store}"
# url = "postgresql+psycopg://certline@/certline"

[secrets]
# The key that encrypts every secret in the store. Back it up apart from the database.
kek = "{kek}"

# [responder]                     # our own DNS server for zones with `solver: responder`
# listen = "0.0.0.0:53"

# [http01]                        # our own answers to http-01
# listen = "0.0.0.0:80"

# [dns]                           # resolvers for CNAMEs and name servers; the system's when left out
# nameservers = ["127.0.0.1:53"]

# [outbound]                      # CAs of your own: hosts and networks off the public Internet that may be asked
# private = ["ca.internal.example", "10.0.0.0/8"]

# [workers]
# threads = 16
# orders_at_once = 50

# [alarms]
# deployed_within = "75m"         # a version that its host does not use by then is told of
# survival_days = 3               # so much time must be left if the master, the CA or the DNS stopped now

# [commands.notify]               # a program that lines of the fleet file may name, at events of their orders
# argv = ["/usr/local/bin/notify", "{{event}}", "{{line}}"]

# [logging]
# level = "info"
# format = "auto"                 # plain on a terminal, else one JSON object a line
"""


def example(
    *,
    origins: tuple[str, ...] = ("https://master.example:8443",),
    listen: str = "0.0.0.0:8443",
    store: str = "sqlite:///data/certline.sqlite",
    kek: str = "file:kek",
) -> str:
    """A commented settings file."""
    quoted = ", ".join(f'"{text}"' for text in origins)
    return EXAMPLE.format(origins=quoted, listen=listen, store=store, kek=kek)
