"""What happened to this host's files and lines that hooks are to be told of, and which of them are owed that. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from certline_follower.generation import LineFacts, LinesFacts
from certline_follower.hook_settings import CERT_EVENTS, KEY_EVENTS, SPREAD, Action, Hooks
from certline_follower.settings import LineSettings, Output, Settings
from certline_follower.state import Happening

FILE_FIELD: Mapping[str, str] = {
    event: event.removesuffix("_installed") + "_file" for event in (*KEY_EVENTS, *CERT_EVENTS)
}


@dataclass(frozen=True, slots=True)
class ShownFile:
    """An output as it is shown: where, and what tells its content from another."""

    path: str
    mark: str


@dataclass(frozen=True, slots=True)
class Showing:
    """What a generation shows: the outputs by their path in the settings, and what it holds of each line."""

    files: Mapping[Path, ShownFile] = field(default_factory=dict)
    facts: LinesFacts = field(default_factory=dict)


def event_of(output: Output) -> str:
    """The event that tells of an output's file, by what is in it; acmebot's names."""
    order = set(output.order)
    if "certificate" in order:
        whole = "full_certificate_installed" if "root" in order else "certificate_installed"
        return "full_key_installed" if "key" in order else whole
    slots = {"key": "private_key_installed", "next-key": "backup_key_installed"}
    slots |= {"previous-key": "previous_key_installed", "chain": "chain_installed", "root": "chain_installed"}
    return next((event for part, event in slots.items() if part in order), "params_installed")


def between(settings: Settings, before: Showing, after: Showing, generation: int) -> dict[str, Happening]:
    """What the change from one showing to the other makes happen."""
    found: dict[str, Happening] = {}
    for line in settings.lines:
        if settings.hooks.of_line(line.name):
            for key, one in _of_line(line, before, after):
                if one.now != one.before:
                    found[key] = replace(one, generation=generation)
    return found


def _of_line(line: LineSettings, before: Showing, after: Showing) -> Iterator[tuple[str, Happening]]:
    old, new = before.facts.get(line.name, ()), after.facts.get(line.name, ())
    if not new:
        return
    common = {"version": str(max(one.version for one in new)), "certificate_name": line.name, "key_name": line.name}
    names = new[0].names

    def happening(event: str, now: str, then: str, **fields: str) -> Happening:
        return Happening(event, line.name, {**common, **fields}, names, now, then)

    for output in line.outputs:
        shown, former = after.files.get(output.path), before.files.get(output.path)
        if shown is not None:
            event = event_of(output)
            told = {"key_type": str(output.key_type), FILE_FIELD[event]: shown.path}
            then = "" if former is None else former.mark
            yield f"{event} {line.name} {output.path}", happening(event, shown.mark, then, **told)
    for fact in new:
        pin = next((one.spki_sha256 for one in old if one.key_type == fact.key_type), "")
        if pin:
            told = {"key_type": str(fact.key_type), **_key_files(line, fact, after)}
            key = f"private_key_rollover {line.name} {fact.key_type}"
            yield key, happening("private_key_rollover", fact.spki_sha256, pin, **told)
    for event, fact_name in (("post-certchange", "serial"), ("post-keychange", "spki_sha256")):
        is_key = event == "post-keychange"
        now, then = [
            _marks(facts, fact_name, _staged(line, showing, is_key=is_key))
            for facts, showing in ((new, after), (old, before))
        ]
        yield f"{event} {line.name}", happening(event, now, then)
    then = str(max(one.version for one in old)) if old else ""
    yield f"line_issued {line.name}", happening("line_issued", common["version"], then)


def _marks(facts: Iterable[LineFacts], field: str, more: Iterable[str]) -> str:
    return " ".join(sorted([*(f"{one.key_type}:{getattr(one, field)}" for one in facts), *more]))


def _staged(line: LineSettings, showing: Showing, *, is_key: bool) -> Iterator[str]:
    """Files of a version that is staged are news like those of a live one, and again once they are gone."""
    for output in line.outputs:
        if output.stage and output.path in showing.files and (not is_key or output.order == ("key",)):
            yield showing.files[output.path].mark


def _key_files(line: LineSettings, fact: LineFacts, showing: Showing) -> dict[str, str]:
    """Where the slots of its key lie, as far as they are outputs."""
    shown = [one for one in line.outputs if one.key_type == fact.key_type and not one.stage]
    paths = {event_of(one): showing.files[one.path].path for one in shown if one.path in showing.files}
    events = ("private_key_installed", "backup_key_installed", "previous_key_installed")
    return {FILE_FIELD[event]: paths.get(event, "") for event in events}


def told(line: str, event: str, now: str, version: int | None, names: tuple[str, ...], **fields: str) -> Happening:
    """What the master told of a line."""
    known = {"version": "" if version is None else str(version), "certificate_name": line, **fields}
    return Happening(event, line, known, names, now)


def merged(owed: Mapping[str, Happening], news: Mapping[str, Happening]) -> dict[str, Happening]:
    """What is owed with what happened now; an older happening of the same thing is told no more."""
    found = dict(owed)
    for key, one in news.items():
        former = owed.get(key)
        found[key] = one if former is None else replace(one, before=former.before, seen=former.seen)
    return found


def is_owed(one: Happening, action: Action) -> bool:
    """Whether the action was not told of it; what was undone before it was told did not happen for it."""
    then = one.seen.get(action.tag, one.before)
    if one.event == "line_issued" and then and int(one.now) < int(then):
        return False
    return one.now != then


def is_still(one: Happening | None, action: Action, now: str) -> bool:
    """Whether that is what the action is owed."""
    return one is not None and one.now == now and is_owed(one, action)


def open_actions(hooks: Hooks, one: Happening) -> tuple[Action, ...]:
    """The actions that are owed it."""
    events = [one.event, *(spread for spread in SPREAD if _spreads(spread, one.event))]
    return tuple(action for event in events for action in hooks.actions(one.line, event) if is_owed(one, action))


def _spreads(action: str, event: str) -> bool:
    wanted = {"upload_certs": CERT_EVENTS, "upload_keys": KEY_EVENTS}
    return event in wanted.get(action, (*CERT_EVENTS, *KEY_EVENTS, "post-certchange", "post-keychange"))


def still_owed(hooks: Hooks, owed: Mapping[str, Happening]) -> dict[str, Happening]:
    """Without what no action waits for."""
    return {key: one for key, one in owed.items() if open_actions(hooks, one)}


def after_run(owed: Mapping[str, Happening], action: Action, causes: Mapping[str, str]) -> dict[str, Happening]:
    """Once the action was told; of what happened again meanwhile it was not."""
    found = dict(owed)
    for key, now in causes.items():
        if key in found:
            one = found[key]
            failed = {tag: retry for tag, retry in one.failed.items() if tag != action.tag}
            found[key] = replace(one, seen={**one.seen, action.tag: now}, failed=failed)
    return found
