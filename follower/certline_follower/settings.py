"""The follower's own file: what this host wants, where it goes, and which local services use it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from certline_follower import file_settings, hook_settings, service_settings, toml_reading
from certline_follower.example_settings import EXAMPLE
from certline_follower.faults import SettingsError
from certline_follower.hook_settings import NO_HOOKS, Hooks
from certline_follower.output import Archive, Output, OutputMode
from certline_follower.parts import OutputKind
from certline_follower.passphrases import Source, source_of
from certline_follower.service_settings import Service, check_name
from certline_follower.toml_reading import Table
from certline_shared import names as dns
from certline_shared.key_types import KeyType
from certline_shared.windows import Window

__all__ = [
    "LineSettings", "Output", "OutputKind", "OutputMode", "Service", "Settings", "SettingsError", "example", "find",
    "load",
]  # fmt: skip

SYSTEM_FOLDER = Path("/etc/certline")
FILE_NAME = "certline-follower.toml"
DEFAULT_STATE_DIR = "/var/lib/certline-follower"

_KEY_TYPES = '["rsa-3072", "ecdsa-p256"]'


@dataclass(frozen=True, slots=True)
class LineSettings:
    """One certificate line on this host; `names` only where the host asks for the line itself (normal form)."""

    name: str
    names: tuple[str, ...] | None
    key_types: tuple[KeyType, ...]  # one certificate of each; the first is what an output shows that names none
    services: tuple[str, ...]
    outputs: tuple[Output, ...]
    together: bool = True  # a version is installed only with certificates of all key types
    key_file: Path | None = None  # of a key that is made elsewhere: read, never written
    passphrase: Source | None = None  # where that of its keys comes from; None: they are not encrypted
    archive: Archive | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file; all paths absolute."""

    file: Path
    master_url: str | None
    trust_ca_file: Path | None
    state_dir: Path
    keep: int
    poll_seconds: float
    lines: tuple[LineSettings, ...]
    services: Mapping[str, Service]
    windows: tuple[Window, ...] = ()  # of lines whose services have none of their own
    rotate_keys_days: float | None = None  # how old this host's own keys may get; None: changed only on command
    hooks: Hooks = NO_HOOKS
    rehearsal: bool = False  # of these lines, beside what is in use, see rehearsal_settings.py


def find(config: str | None, cwd: Path, system: Path = SYSTEM_FOLDER) -> Path:
    """The settings file: `config` or FILE_NAME, in `cwd`, then in the system folder; an absolute one only there.

    Raises SettingsError naming the files tried.
    """
    name = Path(config or FILE_NAME)
    tried = [name] if name.is_absolute() else [cwd / name, system / name]
    for candidate in tried:
        if _is_there(candidate):
            return candidate
    listed = ", ".join(str(candidate) for candidate in tried)
    raise SettingsError(f"no settings file; tried {listed}: write one there, or name yours with --config FILE")


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it may well be there; reading it will say what is wrong
        return True


def load(path: Path) -> Settings:
    """Read and check the file; relative paths count from its folder. Raises SettingsError."""
    file = Path(os.path.abspath(path))  # noqa: PTH100 resolve() would follow links, and folders count from the link
    top = toml_reading.read(file)
    top.only("state_dir", "keep", "windows", "master", "line", "services", "hooks")
    master, lines = top.table("master"), top.tables("line")
    services = service_settings.services(top.table("services"), lines)
    master.only("url", "poll", "ca_file", "rotate_keys_days")
    places: file_settings.Places = []
    settings = Settings(
        file=file,
        master_url=_url(master),
        trust_ca_file=_ca_file(master, file.parent),
        state_dir=_placed(top.text("state_dir") or DEFAULT_STATE_DIR, file.parent),
        keep=top.whole("keep", 5, 1, 1000),
        poll_seconds=master.number("poll", 300, 1, 86_400),
        rotate_keys_days=_rotate_keys_days(master),
        lines=tuple(_line(table, file.parent, services, places) for table in lines),
        services=services,
        windows=service_settings.read_windows(top),
        hooks=hook_settings.hooks(top.table("hooks"), [table.text("name") or "" for table in lines]),
    )
    _check_names(settings, lines)
    file_settings.check_places(settings.file, settings.state_dir, places)
    users = {name: [line.name for line in settings.lines if name in line.services] for name in services}
    service_settings.check_probes(top.table("services"), services, users)
    return settings


def _placed(text: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / text))


def _rotate_keys_days(master: Table) -> float | None:
    return None if master.raw("rotate_keys_days") is None else master.number("rotate_keys_days", 90, 1, 3_650)


def _url(master: Table) -> str | None:
    url = master.text("url")
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        bad = parts.scheme != "https" or not parts.hostname or parts.port == 0
    except ValueError:
        bad = True
    if bad or parts.username is not None or parts.query or parts.fragment:
        raise master.fault("url", f'{url!r} cannot be used: write url = "https://NAME-OR-IP:PORT", nothing more')
    return url.rstrip("/")


def _ca_file(master: Table, folder: Path) -> Path | None:
    text = master.text("ca_file")
    if text is None:
        return None
    path = _placed(text, folder)
    if not path.is_file():
        raise master.fault("ca_file", f"{path} is no file: correct the path, or leave ca_file out")
    return path


def _line(table: Table, folder: Path, services: Mapping[str, Service], places: file_settings.Places) -> LineSettings:
    """All its outputs are added to `places`, to be seen together with those of the other lines."""
    name = table.needed_text("name", "shop")
    check_name(table, "name", name, "line")
    if name == "generation.json":
        raise table.fault("name", "is taken by the follower's own file: choose another name")
    table.label = f'line "{name}"'
    table.only(
        "name", "names", "key_type", "key_types", "together", "key_file", "passphrase", "services",
        *file_settings.LINE_KEYS,
    )  # fmt: skip
    key_types = _key_types(table)
    found = file_settings.read(table, name, folder, key_types)
    places += found
    outputs = tuple(output for output, _ in found)
    together, archive = table.flag("together", default=True), file_settings.read_archive(table, name, folder)
    return LineSettings(
        name,
        _names(table),
        key_types,
        _used(table, services),
        outputs,
        together,
        _key_file(table, folder, key_types),
        source_of(table, folder),
        archive,
    )


def _key_file(table: Table, folder: Path, key_types: tuple[KeyType, ...]) -> Path | None:
    text = table.text("key_file")
    if text is not None and len(key_types) > 1:
        raise table.fault("key_file", "is one key: make a line of its own for each key type, or leave key_file out")
    return _placed(text, folder) if text else None


def _key_types(table: Table) -> tuple[KeyType, ...]:
    """`key_type` is the short form for one."""
    one, several = table.choice("key_type", list(KeyType)), table.texts("key_types", _KEY_TYPES)
    if several is None:
        return (KeyType(one or KeyType.ECDSA_P256),)
    if one is not None:
        raise table.fault("key_type", "stands beside key_types: write it into that list")
    for text in several:
        if text not in list(KeyType):
            raise table.fault("key_types", f"{text!r} is unknown: choose among {', '.join(KeyType)}")
    if not several or len(set(several)) < len(several):
        raise table.fault("key_types", f"is empty or has one twice: write, for example, key_types = {_KEY_TYPES}")
    return tuple(map(KeyType, several))


def _names(table: Table) -> tuple[str, ...] | None:
    texts = table.texts("names", '["www.example.org"]')
    if texts is None:
        return None
    try:
        return dns.normalise_all(texts)
    except dns.BadName as error:
        raise table.fault("names", str(error)) from None


def _used(table: Table, services: Mapping[str, Service]) -> tuple[str, ...]:
    used = table.texts("services", '["nginx"]') or ()
    for name in used:
        if name not in services:
            known = ", ".join(dict.fromkeys((*services, *service_settings.PRESETS)))
            raise table.fault("services", f"{name!r} has no table: write [services.{name}] (known without: {known})")
    return tuple(dict.fromkeys(used))


def _check_names(settings: Settings, tables: list[Table]) -> None:
    seen: set[str] = set()
    for line, table in zip(settings.lines, tables, strict=True):
        if line.name in seen:
            raise table.fault("name", f"{line.name!r} stands twice: give each line a name of its own")
        seen.add(line.name)


def example() -> str:
    """A commented settings file."""
    return EXAMPLE
