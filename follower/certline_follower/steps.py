"""One function per kind of step that deals with the master or the cache; each may be repeated after a kill."""

from dataclasses import replace
from datetime import datetime, timedelta

from certline_follower import copies, custody, planning, pulling, reports, wishes
from certline_follower.held import Subject
from certline_follower.host import Host, StepFailed, StepRefused
from certline_follower.master_client import AGENT
from certline_follower.master_faults import MasterFault, Refused, Unreachable
from certline_follower.state import Asked, HeldBack, Refusal, Retry, Staged, later
from certline_shared import certificates, keys
from certline_shared.certificates import CertificateFacts
from certline_shared.failpoints import failpoint
from certline_shared.manifest import check_files
from certline_shared.messages import BadMessage, LineWish, Report, VersionContent, read_time, time_text
from certline_shared.names import display

FAILPOINTS = (
    "key.written",
    "line.asked",
    "version.pulled",
    "report.sending",
    "report.sent",
)
FIRST_WAIT = timedelta(seconds=60)  # the master merges changes within it


def make_key(host: Host, step: wishes.MakeKey | wishes.MakeAhead) -> None:
    """The key is on disk before the state says so; one that a kill left there is taken."""
    held = host.state.line(step.line)
    spent = held.spent.get(step.key_type) if step.slot == "current" else None
    try:
        pin = host.material.keys.make(step.line, step.key_type, step.slot, spent)
    except (OSError, ValueError) as error:
        raise StepFailed(f"line {step.line}: its {step.key_type} key cannot be made or read: {error}") from None
    failpoint("key.written")
    host.save_line(step.line, custody.with_key(held, step.key_type, step.slot, pin))


def ask(host: Host, step: wishes.Ask) -> None:
    """Put the wish; the same wish may be put again. Raises Unreachable."""
    held = host.state.line(step.line)
    try:
        csrs, upcoming = _requests(host, step)
        host.client.put_line(step.line, LineWish(step.wished, csrs, seq=host.next_sequence(), next_csrs=upcoming))
    except Refused as refused:
        if refused.passing:
            raise StepFailed(f"line {step.line}: the master failed: {refused}") from None
        host.save_line(step.line, replace(held, refusal=_refusal(host, step, refused)))
        raise StepRefused(f"line {step.line} is refused: {_why(refused)}") from None
    except (OSError, ValueError) as error:
        raise StepFailed(f"line {step.line}: its key cannot be used: {error}") from None
    failpoint("line.asked")
    sent = {kind: (held.next_keys if kind in step.promoted else held.keys)[kind] for kind in step.key_types}
    ahead = {kind: held.next_keys[kind] for kind in step.ahead}
    before = held.asked
    wish = (sent, ahead, step.names, step.subject)
    is_same = before and (before.keys, before.next_keys, before.names, before.subject) == wish
    again = before.retry if before and is_same else None
    retry = later(again, "", host.now(), host.chance, first=FIRST_WAIT, longest=wishes.LONGEST_WAIT)
    host.save_line(step.line, replace(held, asked=Asked(step.names, sent, retry, ahead, step.subject), refusal=None))


def _requests(host: Host, step: wishes.Ask) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """For the current keys, and for the next ones. Raises OSError, ValueError."""
    slots: dict[str, custody.KeySlot] = dict.fromkeys(step.promoted, "next")
    current = {kind: host.material.keys.key(step.line, kind, slots.get(kind, "current")) for kind in step.key_types}
    upcoming = {kind: host.material.keys.key(step.line, kind, "next") for kind in step.ahead}
    return (
        {kind: request(key, step.names, step.subject) for kind, key in current.items()},
        {kind: request(key, step.names, step.subject) for kind, key in upcoming.items()},
    )


def request(key: keys.PrivateKey, names: tuple[str, ...], subject: Subject) -> bytes:
    """With the common name only while it is one of the names: the master may not know of a change of these yet."""
    common_name = subject.common_name if subject.common_name in names else None
    return keys.make_csr(key, names, common_name=common_name, must_staple=subject.must_staple)


def _why(refused: Refused) -> str:
    names = refused.problem.names
    return f"no grant for {', '.join(map(display, names))}" if refused.kind == "not-granted" and names else str(refused)


def _refusal(host: Host, step: wishes.Ask, refused: Refused) -> Refusal:
    former = host.state.line(step.line).refusal
    retry = Retry((former.retry.attempts if former else 0) + 1, time_text(_again_at(host, refused)), _why(refused))
    return Refusal(refused.problem.names, retry, step.manifest)


def _again_at(host: Host, refused: Refused) -> datetime:
    """The time that the master names, within the hour; else in an hour."""
    latest = host.now() + wishes.LONGEST_WAIT
    if refused.retry_after is not None:
        return min(host.now() + timedelta(seconds=refused.retry_after), latest)
    try:
        named = read_time(refused.problem.retry_at or "")
    except BadMessage:
        return latest
    return max(host.now() + timedelta(seconds=10), min(named, latest))


def pull(host: Host, step: pulling.Pull) -> None:
    """Fetch, check against the manifest and keep a version; one that does not fit is held back. Raises Unreachable."""
    held = host.state.line(step.line)
    try:
        content = host.client.version(step.line, step.version.number)
        valid_from = max(one.not_before for one in _check_content(step, content))
        files = copies.opened(
            host.identity, step.line, step.version.number, content.files, step.pins,
            passphrase=host.material.keys.passphrase(step.line),
        )  # fmt: skip
        host.material.keep_version(step.line, step.version, files)
    except Unreachable:
        raise
    except (MasterFault, OSError, ValueError) as error:
        former = held.held_back.retry if held.held_back and held.held_back.version.same(step.version) else None
        held_back = HeldBack(step.version, host.later(former, str(error)))
        host.save_line(step.line, replace(held, held_back=held_back))
        raise StepFailed(f"line {step.line}: version {step.version.number} is not taken: {error}") from None
    failpoint("version.pulled")
    since = time_text(valid_from)
    state = copies.counted(host) if len(files) > len(content.files) else host.state
    if step.staged:
        got = replace(held, staged=Staged(step.version, since), held_back=None)
    else:
        got = replace(held, pulled=step.version, held_back=None, valid_from=since)
    host.save(state.with_line(step.line, got))


def activate(host: Host, step: pulling.Activate) -> None:
    """What was pulled ahead counts as pulled; the master need not be asked."""
    held = host.state.line(step.line)
    since = held.staged.valid_from if held.staged else held.valid_from
    host.save_line(step.line, replace(held, pulled=step.version, valid_from=since, staged=None))


def _check_content(step: pulling.Pull, content: VersionContent) -> list[CertificateFacts]:
    """All files of one manifest, and nothing else (TUF's mix and match); of each key type. Raises ValueError."""
    if content.version != step.version.number:
        raise ValueError("what came is not what the manifest lists")
    check_files(step.files, content.files)
    return [_facts(content, key_type, pin) for key_type, pin in step.pins.items()]


def _facts(content: VersionContent, key_type: str, pin: str) -> CertificateFacts:
    chain = content.files.get(f"{key_type}/chain.pem")
    if chain is None:
        raise ValueError(f"it has no {key_type}/chain.pem")
    facts = certificates.read_chain(chain)
    if facts.spki_sha256 != pin:
        raise ValueError(f"its {key_type} certificate is for another key than the manifest says")
    return facts


def report(host: Host, step: reports.Report) -> None:
    """Tell the master. Raises Unreachable."""
    failpoint("report.sending")
    try:
        host.client.report(replace(_report(host, step), seq=host.next_sequence()))
    except Refused as refused:
        raise StepFailed(f"the master refuses the report: {refused}") from None
    failpoint("report.sent")
    state = host.state
    for one in step.deployments:
        held = state.line(one.line)
        told = replace(held, told_staged=one) if one.state == "staged" else replace(held, reported=one)
        state = state.with_line(one.line, told)
    copies_told = state.told_copies if step.copies is None else step.copies
    host.save(replace(state, told_copies=copies_told, skew=state.skew if step.skew is None else step.skew))


def _report(host: Host, step: reports.Report) -> Report:
    state = host.state
    return Report(AGENT, state.serial, step.deployments, epoch=state.epoch or None, skew=step.skew, keys=step.copies)


def prune(host: Host, _step: planning.Prune) -> None:
    """Remove what nothing needs."""
    state = host.state
    host.installer.prune()
    held = {line.name: state.line(line.name) for line in host.settings.lines}
    pulled = [(name, line.pulled) for name, line in held.items() if line.pulled]
    needed = [(name, version) for name, version in pulled if not version.same(state.installed(name))]
    host.material.prune([*needed, *((name, line.staged.version) for name, line in held.items() if line.staged)])
    failed = {tag: retry for tag, retry in state.failed.items() if not retry.is_due(host.now())}
    host.save(replace(copies.counted(host), prune=False, failed=failed))
