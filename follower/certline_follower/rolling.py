"""The keys of this host's lines as they lie on disk: looked at, and moved on once what they were made for is live."""

from collections.abc import Iterator
from dataclasses import replace

from certline_follower import custody
from certline_follower.custody import KeySlot
from certline_follower.generation import LinesFacts
from certline_follower.host import Host, StepFailed
from certline_follower.state import HeldLine, State


def mended(host: Host) -> list[str]:
    """At a start: what a kill or somebody else left of the keys is put right; notes about what cannot be."""
    if host.keeper.read_only:
        return []
    notes = []
    for line in host.settings.lines:
        try:
            host.material.keys.encrypt(line.name)
        except (OSError, ValueError) as error:
            notes.append(f"line {line.name}: its keys cannot be encrypted: {error}")
    try:
        return notes + move_on(host)
    except StepFailed as failed:
        return [*notes, str(failed)]


def keep_up(host: Host) -> None:
    """The same in each turn; a key that cannot be read is told of by the step that needs it. Raises StepFailed."""
    if not host.keeper.read_only:
        move_on(host)


def move_on(host: Host) -> list[str]:
    """Look at what is there, and let next keys whose certificate is live take their place. Raises StepFailed."""
    state, notes = looked_at(host)
    host.save(state)
    roll_on(host)
    return notes


def looked_at(host: Host) -> tuple[State, list[str]]:
    """The state with the keys that are on disk, whoever put them there, and notes about those that cannot be read.

    Only a file that is another one than before is opened.
    """
    state, notes = host.state, list[str]()
    for line in host.settings.lines:
        held = _held(host, line.name, state.line(line.name), notes)
        if held != state.line(line.name):
            state = state.with_line(line.name, held)
    return state, notes


def _held(host: Host, name: str, held: HeldLine, notes: list[str]) -> HeldLine:
    pins: dict[KeySlot, dict[str, str]] = {}
    marks: dict[str, str] = {}
    for slot, files in host.material.keys.found(name).items():
        pins[slot] = {}
        for key_type, mark in files.items():
            known = custody.pins_of(held, key_type).get(slot)
            place = f"{slot}/{key_type}"
            if known is None or held.marks.get(place, mark) != mark:
                known = _pin(host, name, key_type, slot, notes)
            if known is not None:
                pins[slot][key_type], marks[place] = known, mark
    return replace(held, keys=pins["current"], next_keys=pins["next"], previous_keys=pins["previous"], marks=marks)


def _pin(host: Host, name: str, key_type: str, slot: KeySlot, notes: list[str]) -> str | None:
    try:
        return host.material.keys.pin(name, key_type, slot)
    except (OSError, ValueError) as error:
        which = "" if slot == "current" else f"{slot} "
        notes.append(f"line {name}: its {which}{key_type} key cannot be read: {error}")
        return None


def roll_on(host: Host) -> None:
    """Next keys whose certificate is live become the current ones; after a kill, once more. Raises StepFailed."""
    live = host.installer.live()
    for name, key_type in tuple(_promotions(host.state, live.facts if live else {})):
        try:
            host.material.keys.promote(name, key_type)
        except OSError as error:
            raise StepFailed(
                f"line {name}: its next {key_type} key cannot take the current one's place: {error}"
            ) from None
        held = custody.promoted(host.state.line(name), key_type)
        host.save_line(name, held)


def _promotions(state: State, live: LinesFacts) -> Iterator[tuple[str, str]]:
    for name, types in live.items():
        for one in types:
            if not one.is_copy and state.line(name).next_keys.get(one.key_type) == one.spki_sha256:
                yield name, one.key_type
