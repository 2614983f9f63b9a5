"""The settings of hooks: at which events which commands run, for which lines."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from certline_follower import command_settings
from certline_follower.command_settings import as_vector, check_words
from certline_follower.toml_reading import Table
from certline_shared import placeholders
from certline_shared.placeholders import BadPlaceholder
from certline_shared.running import AS_WE_ARE, Surroundings

DEFAULT, EVERY = "default", "every"

_NAMED = ("key_name", "key_type")
_KEY = (*_NAMED, "passphrase_fd")
_CERTIFICATE = (*_NAMED, "certificate_name")
EVENTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "private_key_rollover": (*_KEY, "private_key_file", "backup_key_file", "previous_key_file"),
    "private_key_installed": (*_KEY, "private_key_file"),
    "backup_key_installed": (*_KEY, "backup_key_file"),
    "previous_key_installed": (*_KEY, "previous_key_file"),
    "certificate_installed": (*_CERTIFICATE, "certificate_file"),
    "full_certificate_installed": (*_CERTIFICATE, "full_certificate_file"),
    "chain_installed": (*_CERTIFICATE, "chain_file"),
    "full_key_installed": (*_CERTIFICATE, "passphrase_fd", "full_key_file"),
    "params_installed": (*_CERTIFICATE, "params_file"),
    "post-certchange": ("certificate_name",),
    "post-keychange": ("key_name",),
    "line_issued": ("certificate_name",),
    "line_failed": ("certificate_name", "error"),
    "line_revoked": ("certificate_name",),
})  # fmt: skip
"""What may happen to a line on this host, each with its own placeholders: acmebot's events of files and keys, the two
of Let's Encrypt Tiny, and what the master tells."""

TEST = "test"  # the placeholder that is empty but in a rehearsal
COMMON = ("line", "version", TEST)
NAMES = ("domains_cn", "domains_all")
SPREAD: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "upload_certs": ("certs",),
    "upload_keys": ("keys",),
    "update": ("certs", "keys"),
})  # fmt: skip
"""What runs once per section and turn, with all that changed in it, in this order (lematt's actions)."""

KEY_EVENTS = ("private_key_installed", "backup_key_installed", "previous_key_installed", "full_key_installed")
CERT_EVENTS = ("certificate_installed", "full_certificate_installed", "chain_installed", "params_installed")

_LATER = {"hpkp_header_installed": "HPKP headers", "sct_installed": "SCT files", "ocsp_installed": "OCSP files"}
_MASTERS = (
    "set_dns_challenge", "clear_dns_challenge", "dns_zone_update", "set_http_challenge", "clear_http_challenge",
    "prepare", "order_issued", "order_failed",
)  # fmt: skip
_SECTION = ("lines", "timeout", "required", "rehearse", *command_settings.KEYS)


@dataclass(frozen=True, slots=True)
class Action:
    """A command that runs at an event."""

    section: str
    event: str
    words: tuple[str, ...]
    timeout: float = 60
    required: bool = False  # what it is for does not count as installed before it ended well
    around: Surroundings = AS_WE_ARE
    rehearse: bool = True  # a rehearsal runs it too

    @property
    def tag(self) -> str:
        """What tells it from other actions, whatever else the settings say."""
        return hashlib.sha256(repr((self.section, self.event, self.words)).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        return f"hook {self.section}.{self.event}"


@dataclass(frozen=True, slots=True)
class Section:
    """Actions, and the lines that they are for instead of the default's."""

    name: str
    lines: tuple[str, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Hooks:
    """All sections of the file."""

    sections: tuple[Section, ...] = ()

    def of_line(self, line: str) -> tuple[Section, ...]:
        """The section that lists the line, else the default; and in addition the one for every line."""
        named = [section for section in self.sections if line in section.lines]
        own = named or [section for section in self.sections if section.name == DEFAULT]
        return (*own, *(section for section in self.sections if section.name == EVERY))

    def actions(self, line: str, event: str) -> tuple[Action, ...]:
        return tuple(action for section in self.of_line(line) for action in section.actions if action.event == event)


NO_HOOKS = Hooks()


def hooks(table: Table, lines: Sequence[str]) -> Hooks:
    """The table [hooks]; `lines`: those of the file. Raises SettingsError."""
    found: list[Section] = []
    for name in table.fields():
        if name in (*EVENTS, *SPREAD, *_SECTION):
            raise table.fault(
                name, "belongs to a section: write it under [hooks.default], [hooks.every] or [hooks.NAME]"
            )
        command_settings.check_section_name(table, name)
        section = _section(table.table(name), name, lines)
        _check_listed_once(table, section, found)
        found.append(section)
    return Hooks(tuple(found))


def _check_listed_once(table: Table, section: Section, others: Sequence[Section]) -> None:
    for line in section.lines:
        for other in others:
            if line in other.lines:
                fault = f"{line!r} stands in [hooks.{other.name}] too: which of the two is it for?"
                raise table.table(section.name).fault("lines", fault)


def _section(table: Table, name: str, lines: Sequence[str]) -> Section:
    _check_events(table)
    own = table.texts("lines", '["shop"]')
    if name in (DEFAULT, EVERY):
        if own is not None:
            all_or_others = "all lines" if name == EVERY else "the lines that no other section lists"
            raise table.fault("lines", f"this section is for {all_or_others}: give one for some lines another name")
        own = ()
    elif not own:
        raise table.fault("lines", f'is missing: write, for example, lines = ["{next(iter(lines), "shop")}"]')
    for line in own:
        if line not in lines:
            raise table.fault("lines", f"there is no line {line!r} in this file (there are: {', '.join(lines)})")
    actions = [action for field in table.fields() if field not in _SECTION for action in _actions(table, name, field)]
    if not actions:
        raise table.fault("certificate_installed", 'is missing, as all events are: write, for example, ["PROGRAM"]')
    return Section(name, own, tuple(actions))


def _check_events(table: Table) -> None:
    for field in table.fields():
        if field in _LATER:
            raise table.fault(field, f"{_LATER[field]} are not made by this release: leave it out")
        if field in _MASTERS:
            raise table.fault(field, "happens on the master: name a command of its certline.toml in the fleet file")
    table.only(*EVENTS, *SPREAD, *_SECTION)


def _actions(table: Table, section: str, event: str) -> list[Action]:
    """One argument vector, several, or tables with a `command` each."""
    given = table.raw(event)
    if isinstance(given, dict):
        return [_told(table, table.table(event), section, event)]
    if isinstance(given, list) and given and all(isinstance(one, dict) for one in given):
        return [_told(table, one, section, event) for one in table.tables(event)]
    if isinstance(given, list) and given and all(isinstance(one, list) for one in given):
        return [_action(table, table, section, event, _vector(table, event, one)) for one in given]
    return [_action(table, table, section, event, _vector(table, event, given))]


def _told(table: Table, own: Table, section: str, event: str) -> Action:
    own.only("command", "timeout", "required", "rehearse", *command_settings.KEYS)
    return _action(table, own, section, event, _vector(own, "command", own.raw("command")))


def _vector(table: Table, field: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        raise table.fault(field, f"expected a list of strings, found a string: write {field} = {as_vector(given)}")
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        raise table.fault(field, f'expected a list of strings: write {field} = ["PROGRAM", "ARGUMENT"]')
    check_words(table, field, tuple(given))
    return tuple(given)


def _action(table: Table, own: Table, section: str, event: str, words: tuple[str, ...]) -> Action:
    """`table` is the section, which says what is not said of the action itself."""
    field = event if own is table else "command"
    if any("{passphrase}" in word for word in words):
        fault = "a passphrase is never an argument, others could see it: {passphrase_fd} is the number of a file"
        raise own.fault(field, f"{fault} descriptor to read it from")
    single = (*COMMON, "domains_cn", *EVENTS[event]) if event in EVENTS else (TEST,)
    several = ("domains_all",) if event in EVENTS else (*NAMES, *SPREAD[event])
    try:
        placeholders.check(words, single=single, several=several)
    except BadPlaceholder as error:
        raise own.fault(field, str(error)) from None
    around = command_settings.surroundings(table)
    timeout = table.number("timeout", 60, 0.1, 86_400)
    required, rehearse = table.flag("required", default=False), table.flag("rehearse", default=True)
    if own is not table:
        around = command_settings.surroundings(own, around)
        timeout, required = own.number("timeout", timeout, 0.1, 86_400), own.flag("required", default=required)
        rehearse = own.flag("rehearse", default=rehearse)
    return Action(section, event, words, timeout, required, around, rehearse)
