"""What differs between the fleet as it is and as it is wanted. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from certline_master.domain.custody import Key
from certline_master.domain.durations import seconds_of, shown
from certline_master.domain.fleet import (
    KINDS,
    Current,
    DesiredFleet,
    DesiredFollower,
    DesiredGrants,
    DesiredGroup,
    DesiredIssuer,
    DesiredKey,
    DesiredLine,
    DesiredRollout,
    DesiredZone,
    Kind,
    Scope,
    Thing,
)
from certline_master.domain.line_options import option_facts, stored_options
from certline_master.domain.model import (
    Custody,
    Follower,
    Grant,
    GrantKind,
    Group,
    HttpName,
    Issuer,
    KeyOptions,
    Line,
    Owner,
    Rollout,
    Zone,
)

MOST_DELETED_SHARE = 0.2
FEWEST_GUARDED = 5


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A member's value before and after, as in the fleet file; of a secret only whether there is one."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    kind: Kind
    action: Literal["create", "update", "delete"]
    name: str
    fields: tuple[FieldChange, ...] = ()


# What refers to others is made after them and removed before them.
_DELETED_FIRST: tuple[Kind, ...] = ("line",)
_DELETED_LAST: tuple[Kind, ...] = ("key", "follower", "group", "http", "zone", "issuer")


def difference(
    current: Current, desired: DesiredFleet, scope: Scope, digest: Callable[[str], str]
) -> tuple[Change, ...]:
    """What has to change so that `current` becomes `desired` (in normal form), in an order in which it can be done.

    `digest` makes of a zone's secret what `Current.secrets` holds. Lines that a follower asked for go with it; a line
    that moves to another follower is made anew, for its key stays on the old host.
    """
    wanted = {kind: desired.of(kind) for kind in KINDS}
    held = {kind: {thing.name: thing for thing in current.of(kind) if scope.covers(kind, thing)} for kind in KINDS}
    after = _Facts(current, digest)
    deleted = {kind: sorted(set(held[kind]) - set(wanted[kind])) for kind in KINDS}
    moved = [name for name, line in desired.lines.items() if after.moves(held["line"].get(name), line)]
    deleted["line"] += [*moved, *_lines_of(deleted["follower"], current)]
    for name in moved:
        del held["line"][name]
    changes = [Change(kind, "delete", name) for kind in _DELETED_FIRST for name in deleted[kind]]
    changes += [change for kind in KINDS for change in _saves(kind, held[kind], wanted[kind], after)]
    changes += [Change(kind, "delete", name) for kind in _DELETED_LAST for name in deleted[kind]]
    return tuple(changes)


def guard(changes: Iterable[Change], current: Current, scope: Scope) -> str | None:
    """Why so many deletions are refused unless forced; None when they are few."""
    owned = sum(scope.covers(kind, thing) for kind in KINDS for thing in current.of(kind))
    deleted = sum(change.action == "delete" for change in changes)
    if owned < FEWEST_GUARDED or deleted <= MOST_DELETED_SHARE * owned:
        return None
    return (
        f"this deletes {deleted} of {owned} objects, more than {MOST_DELETED_SHARE:.0%}: use --force if that is meant"
    )


def _lines_of(followers: Iterable[str], current: Current) -> list[str]:
    gone = {follower.id for follower in current.followers if follower.name in set(followers)}
    return sorted(line.name for line in current.lines if line.follower_id in gone and line.owner is Owner.FOLLOWER)


def _saves(kind: Kind, held: Mapping[str, Thing], wanted: Mapping[str, Any], facts: "_Facts") -> Iterator[Change]:
    """Updates before creations: the former default issuer stops being it before another becomes it."""
    for name in sorted(wanted, key=lambda name: (name not in held, name)):
        before = facts.of(held[name]) if name in held else {}
        after = facts.wanted(name, wanted[name])
        changed = tuple(
            FieldChange(member, _shown(member, before.get(member)), _shown(member, value))
            for member, value in after.items()
            if before.get(member) != value and not (name not in held and value in (None, [], {}, False))
        )
        if name not in held:
            yield Change(kind, "create", name, changed)
        elif changed:
            yield Change(kind, "update", name, changed)


def _grants(held: Iterable[Grant]) -> dict[str, list[str]]:
    names = {str(kind): sorted(grant.name for grant in held if grant.kind is kind) for kind in GrantKind}
    return {kind: names[kind] for kind in sorted(names) if names[kind]}


def _wanted_grants(wanted: DesiredGrants) -> dict[str, list[str]]:
    return {kind: list(names) for kind, names in (("pull", wanted.pull), ("request", wanted.request)) if names}


def _custody(line: Line | DesiredLine) -> str | None:
    """Told only where it is not the usual one."""
    return str(line.custody) if line.custody is Custody.MASTER else None


def stored_rollout(wanted: DesiredRollout) -> Rollout:
    """A wish without faults, as it is kept."""
    after = None if wanted.after is None else seconds_of(wanted.after)
    return Rollout(wanted.canaries, wanted.wave, after)


def stored_key(wanted: DesiredKey) -> KeyOptions:
    """A wish without faults, as it is kept."""
    types = tuple(str(kind) for kind in wanted.key_types)
    return KeyOptions(types, wanted.policy, wanted.max_age, wanted.auto, wanted.pin_days)


def _key(options: KeyOptions) -> dict[str, Any]:
    return asdict(options) | {"key_types": list(options.key_types)}


def _rollout(rollout: Rollout | None) -> dict[str, Any] | None:
    if rollout is None:
        return None
    after = None if rollout.after_seconds is None else shown(rollout.after_seconds)
    return {"canaries": sorted(rollout.canaries), "wave": rollout.wave, "after": after}


def _shown(member: str, value: Any) -> Any:
    if member == "secret":
        return f"a secret ({value[:8]})" if value else None
    return value


@dataclass(frozen=True, slots=True)
class _Facts:
    """Both sides in the same words: member → plain JSON value."""

    current: Current
    digest: Callable[[str], str]

    def of(self, thing: Thing) -> dict[str, Any]:
        match thing:
            case Issuer():
                return {
                    "directory": thing.directory_url,
                    "contact": list(thing.contact),
                    "profile": thing.profile,
                    "preferred_chain": thing.preferred_chain,
                    "ca_certificates": thing.ca_certificates,
                    "default": thing.is_default,
                    "test_of": thing.test_of,
                }
            case Zone():
                secret = self.current.secrets.get(thing.name)
                return {"solver": thing.solver, "settings": thing.settings, "secret": secret}
            case HttpName():
                return {"solver": thing.solver}
            case Line():
                return {
                    "custody": _custody(thing),
                    "follower": self._name_of(thing.follower_id, self.current.followers),
                    "names": sorted(thing.names),
                    "issuer": self._name_of(thing.issuer_id, self.current.issuers),
                    "profile": thing.profile,
                    "key_types": [str(key_type) for key_type in thing.key_types],
                    "rollout": _rollout(thing.rollout),
                    "key": self._name_of(thing.key_id, self.current.keys),
                } | option_facts(thing.options)
            case Follower():
                grants, groups = _grants(thing.grants), sorted(thing.groups)
                of_it = {"grants": grants, "groups": groups, "networks": list(thing.networks)}
                return of_it | {"lock_clones": thing.lock_clones}
            case Group():
                return {"grants": _grants(thing.grants)}
            case Key():
                return _key(thing.options)

    def wanted(self, name: str, thing: Any) -> dict[str, Any]:
        match thing:
            case DesiredZone():
                kept = self.current.secrets.get(name) if thing.secret is None else None
                secret = self.digest(thing.secret) if thing.secret else kept
                return {"solver": thing.solver, "settings": thing.settings, "secret": secret}
            case DesiredLine():
                names, key_types = sorted(thing.names), [str(key_type) for key_type in thing.key_types]
                facts = {"custody": _custody(thing), "follower": thing.follower, "names": names, "issuer": thing.issuer}
                return (
                    facts
                    | {
                        "profile": thing.profile,
                        "key_types": key_types,
                        "rollout": _rollout(stored_rollout(thing.rollout) if thing.rollout else None),
                        "key": thing.key,
                    }
                    | option_facts(stored_options(thing))
                )
            case DesiredFollower():
                grants, groups = _wanted_grants(thing.grants), list(thing.groups)
                of_it = {"grants": grants, "groups": groups, "networks": list(thing.networks)}
                return of_it | {"lock_clones": thing.lock_clones}
            case DesiredKey():
                return _key(stored_key(thing))
            case DesiredGroup():
                return {"grants": _wanted_grants(thing.grants)}
            case DesiredIssuer():
                return {
                    "directory": thing.directory,
                    "contact": list(thing.contact),
                    "profile": thing.profile,
                    "preferred_chain": thing.preferred_chain,
                    "ca_certificates": thing.ca_certificates,
                    "default": thing.default,
                    "test_of": thing.test_of,
                }
        return {"solver": thing.solver}

    def moves(self, held: Thing | None, wanted: DesiredLine) -> bool:
        """From host to host; between host and master it stays the same line, with a new key."""
        stays = not isinstance(held, Line) or held.custody is not wanted.custody
        return not stays and held is not None and self.of(held)["follower"] != wanted.follower

    @staticmethod
    def _name_of(wanted_id: str | None, among: "Iterable[Issuer] | Iterable[Follower] | Iterable[Key]") -> str | None:
        return next((thing.name for thing in among if thing.id == wanted_id), None)
