"""Putting the former generation back, and what is held back because of it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from certline_follower import choosing, hook_causes
from certline_follower.faults import InstallFault
from certline_follower.generation import LineFacts
from certline_follower.host import Host, StepFailed
from certline_follower.state import Debt, HeldBack, Pending, Retry, Shown, State, swapped
from certline_shared.failpoints import failpoint
from certline_shared.messages import read_time, time_text

FAILPOINTS = ("install.going_back", "install.went_back")


def is_worth_it(host: Host, debt: Debt) -> bool:
    """Whether there is a former generation, and nothing in it that has expired: that would be as broken."""
    state = host.state
    if state.former is None or state.live is None or state.live.generation != debt.generation:
        return False
    ends = [_time(facts.not_after) for facts in _former(host, debt.lines)]
    return all(end is None or end > host.now() for end in ends)


def _former(host: Host, lines: Iterable[str]) -> list[LineFacts]:
    """What the former generation has of these lines."""
    found = host.installer.previous()
    if found is None or host.state.former is None or found.number != host.state.former.generation:
        return []
    return [one for name in lines for one in found.facts.get(name, ())]


def _time(text: str | None) -> datetime | None:
    return read_time(text) if text else None


def _try_again_at(host: Host, debt: Debt) -> str:
    """When the former certificates run short, the first of them."""
    now = host.now()
    ends = [(_time(facts.not_before), _time(facts.not_after)) for facts in _former(host, debt.lines)]
    moments = [choosing.try_again_at(since, until, now) for since, until in ends if until]
    return time_text(min(moments, default=now + choosing.SHORT))


def go_back(host: Host, debt: Debt, error: str) -> None:
    """Put the former generation back; what is blamed is on record before, so that it is not tried again at once."""
    state = _blamed(host, debt, error)
    live, former = state.live, state.former
    if live is None or former is None:
        raise StepFailed(f"{error}; there is no former generation")
    changed = {name for name in live.tags if live.tags[name] != former.tags.get(name)}
    users: dict[str, tuple[str, ...]] = {}
    for line in host.settings.lines:
        for service in line.services if line.name in changed else ():
            users[service] = (*users.get(service, ()), line.name)
    debts = {service: Debt(former.generation, lines) for service, lines in users.items()}
    owed = hook_causes.made_by_return(host, host.installer.previous())
    host.save(replace(state, pending=Pending(former, debts, back=True, happenings=owed)))
    failpoint("install.going_back")
    finish_going_back(host)


def _blamed(host: Host, debt: Debt, error: str) -> State:
    """The one new version among the debt's lines is held back; where it is several, or the settings, the generation."""
    state, due = host.state, _try_again_at(host, debt)
    live = state.live or Shown(0)
    before = state.former.versions if state.former else {}
    versions = {name: live.versions[name] for name in debt.lines if name in live.versions}
    new = {name: version for name, version in versions.items() if not version.same(before.get(name))}
    if len(new) != 1:  # which of them it is shows when each is installed alone
        tag = live.tag or choosing.generation_tag(live.tags)
        return replace(state, failed={**state.failed, tag: _blame(state.failed.get(tag), due, error)})
    ((name, version),) = new.items()
    line = state.line(name)
    same = line.held_back.retry if line.held_back and line.held_back.version.same(version) else None
    return state.with_line(name, replace(line, held_back=HeldBack(version, _blame(same, due, error))))


def _blame(former: Retry | None, due: str, error: str) -> Retry:
    return Retry((former.attempts if former else 0) + 1, due, error[:2_000], blamed=True)


def finish_going_back(host: Host) -> None:
    """Do the rollback that is on record. Raises StepFailed, then what is live stays and its debts are tried again."""
    pending = host.state.pending
    if pending is None or not pending.back:
        return
    try:
        host.installer.rollback_to(pending.shown.generation, host.installer.astray())
    except (InstallFault, OSError) as error:
        debts = {
            name: replace(debt, retry=host.later(debt.retry, str(error))) for name, debt in host.state.debts.items()
        }
        host.save(replace(host.state, pending=None, former=None, debts=debts))
        raise StepFailed(f"the former generation could not be put back: {error}") from None
    failpoint("install.went_back")
    host.save(swapped(host.state))
