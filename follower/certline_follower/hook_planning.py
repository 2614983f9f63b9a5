"""Which hooks are run next, and which wait. Pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from certline_follower.choosing import Draft
from certline_follower.happenings import FILE_FIELD, open_actions
from certline_follower.hook_settings import CERT_EVENTS, KEY_EVENTS, NAMES, SPREAD, Action, Hooks
from certline_follower.state import Happening

Values = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class RunHook:
    """Run a hook's command once, for one happening or for all that it gathers."""

    action: Action
    causes: Mapping[str, str]  # happening -> what it is told of, see Happening.now
    values: Values
    lines: tuple[str, ...]
    generation: int
    reason: str

    @property
    def tag(self) -> str:
        """The same after a kill, and only for the same cause."""
        return hashlib.sha256(repr((self.action.tag, sorted(self.causes.items()))).encode()).hexdigest()[:16]


def single_steps(hooks: Hooks, owed: Mapping[str, Happening]) -> Iterator[RunHook]:
    """One for each happening and each action at its event."""
    for key, one in owed.items():
        for action in open_actions(hooks, one):
            if action.event not in SPREAD:
                values: Values = {"line": one.line, **one.fields, **_names([one], several=False)}
                reason = f"{one.fields.get(FILE_FIELD.get(one.event, ''), '') or one.line} changed"
                yield RunHook(action, {key: one.now}, values, (one.line,), one.generation, _why(one, reason))


def _why(one: Happening, reason: str) -> str:
    if one.event == "line_failed":
        return f"the master says of {one.line}: {one.fields.get('error', '')}"
    return f"the master took {one.line} back" if one.event == "line_revoked" else reason


def gathered_steps(hooks: Hooks, owed: Mapping[str, Happening]) -> Iterator[RunHook]:
    """One for each action that gathers, in the order of SPREAD."""
    for spread in SPREAD:
        causes: dict[Action, dict[str, Happening]] = {}
        for key, one in owed.items():
            for action in open_actions(hooks, one):
                if action.event == spread:
                    causes.setdefault(action, {})[key] = one
        yield from (_gathered(action, found) for action, found in causes.items())


def _gathered(action: Action, causes: Mapping[str, Happening]) -> RunHook:
    happened = list(causes.values())
    paths = {one.fields[FILE_FIELD[one.event]]: one.event for one in happened if one.event in FILE_FIELD}
    lines = tuple(dict.fromkeys(one.line for one in happened))
    values: Values = {
        "certs": tuple(path for path, event in paths.items() if event in CERT_EVENTS),
        "keys": tuple(path for path, event in paths.items() if event in KEY_EVENTS),
        **_names(happened, several=True),
    }
    newest = max(one.generation for one in happened)
    return RunHook(
        action, {key: one.now for key, one in causes.items()}, values, lines, newest, f"{', '.join(lines)} changed"
    )


def _names(happened: Sequence[Happening], *, several: bool) -> Values:
    by_line = {one.line: one.names for one in happened if one.names}
    firsts = tuple(names[0] for names in by_line.values())
    everything = tuple(dict.fromkeys(name for names in by_line.values() for name in names))
    one = firsts if several else (firsts[0] if firsts else "")
    return dict(zip(NAMES, (one, everything), strict=True))


@dataclass(slots=True)
class HookPlan:
    """Before the reloads what makes files of files, after them what carries them on."""

    before: list[RunHook] = field(default_factory=list)
    after: list[RunHook] = field(default_factory=list)
    held: frozenset[str] = frozenset()  # lines whose services are not reloaded yet: a required hook failed


def hook_plan(hooks: Hooks, draft: Draft) -> HookPlan:
    """What is due now."""
    owed = draft.state.happenings
    before = list(single_steps(hooks, owed))
    held = [step for step in before if _is_held(draft, step)]
    after = [step for step in gathered_steps(hooks, owed) if not _is_held(draft, step)]
    lines = frozenset(line for step in held for line in step.lines)
    return HookPlan([step for step in before if step not in held], after, lines)


def _is_held(draft: Draft, step: RunHook) -> bool:
    """Whether it failed, and its time has not come again."""
    retries = [draft.state.happenings[key].failed.get(step.action.tag) for key in step.causes]
    waiting = [retry for retry in retries if retry and not retry.is_due(draft.now)]
    if not waiting or len(waiting) < len(retries):
        return False
    draft.hold(waiting[0], f"{step.action.name}: {waiting[0].error}; tried again at {waiting[0].due}")
    return True
