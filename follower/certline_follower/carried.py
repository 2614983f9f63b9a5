"""A bundle that was carried here: followed like the master's own answers, with a receipt to carry back."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from certline_follower import following, steps, wishes
from certline_follower.custody import slot_of
from certline_follower.host import Host
from certline_follower.master_client import AGENT, ManifestAnswer
from certline_follower.master_faults import Refused
from certline_follower.recovering import recover
from certline_follower.state import HeldLine
from certline_follower.turn import Outcome, insist, work
from certline_shared import bundles, codec
from certline_shared.bundles import BadBundle, Bundle, Receipt
from certline_shared.clock import Clock
from certline_shared.failpoints import failpoint
from certline_shared.manifest import BadManifest, Manifest, ManifestLine
from certline_shared.messages import LineAnswer, LineAsk, LineTold, LineWish, Problem, Report, VersionContent, time_text

FAILPOINTS = ("bundle.followed", "bundle.applied")


@dataclass(slots=True)
class Carrier:
    """In the master's place while a bundle is applied: gives what was carried here, keeps what goes back."""

    clock: Clock
    versions: dict[tuple[str, int], VersionContent]
    wishes: dict[str, LineWish] = field(default_factory=dict)
    said: Report = field(default_factory=lambda: Report(AGENT, 0, ()))

    def close(self) -> None:
        """There is no connection."""

    def now(self) -> datetime:
        """By this host's own clock: nobody else tells the time here."""
        return self.clock.now()

    def skew(self) -> int | None:
        """Unknown for the same reason."""
        return None

    def believe(self, signing_keys: tuple[bytes, ...], tls_pins: tuple[str, ...]) -> None:
        """There are no answers to believe; the identity has learnt them."""

    def manifest(self, etag: str | None, wait: int = 0) -> ManifestAnswer:  # noqa: ARG002 the port's arguments
        return ManifestAnswer(None, etag)

    def version(self, line: str, number: int) -> VersionContent:
        found = self.versions.get((line, number))
        if found is None:
            raise Refused(Problem("about:blank", "not found", 404, "the bundle does not have this version"), None)
        return found

    def put_line(self, name: str, wish: LineWish) -> LineAnswer:
        self.wishes[name] = replace(wish, seq=None)
        return LineAnswer(name, "waiting", wish.names or ())

    def ask_line(self, name: str, what: str, ask: LineAsk) -> LineTold:
        """Never reached: a command is for the master itself."""
        del ask
        raise Refused(Problem("about:blank", "refused", 409, f"a bundle cannot {what} line {name}"), None)

    def hand_back(self, content: VersionContent) -> None:
        """Never reached: a bundle is followed as it is."""
        del content

    def report(self, report: Report) -> None:
        """What is said later of a line takes the place of what was said before."""
        told = {one.line: one for one in (*self.said.deployments, *report.deployments)}
        copies = self.said.keys if report.keys is None else report.keys
        self.said = replace(report, deployments=tuple(told.values()), keys=copies, seq=None)


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of a bundle: the turn's outcome, notes for the operator, and the receipt's file."""

    outcome: Outcome
    notes: tuple[str, ...]
    receipt: bytes
    wished: tuple[str, ...]  # lines for which the master must hear the receipt


def apply(host: Host, bundle: Bundle) -> Applied:
    """Check all of it, follow its manifest, and do what a turn does.

    Raises BadBundle when nothing of it may be used: then nothing was changed. StateError, InstallFault as a turn does.
    """
    notes = recover(host)
    manifest, versions = _checked(host, bundle)
    host.client.close()
    host.client = carrier = Carrier(host.clock, versions)
    following.follow(host, manifest, bundle.manifest, etag=None)
    failpoint("bundle.followed")
    host.save(following.untold(host.state))
    insist(host)
    outcome = Outcome(news=True)
    work(host, outcome)
    failpoint("bundle.applied")
    receipt = _receipt(host, carrier, manifest)
    host.save(following.untold(host.state))  # a receipt may be lost on its way: what it says is said online again
    return Applied(outcome, tuple(notes), receipt, tuple(sorted(carrier.wishes)))


def _checked(host: Host, bundle: Bundle) -> tuple[Manifest, dict[tuple[str, int], VersionContent]]:
    """Expiry by this host's own clock: there is no other (TUF's freeze)."""
    try:
        manifest = following.opened(host, bundle.manifest, now=host.clock.now())
        following.check_versions(host, manifest)
    except BadManifest as error:
        raise BadBundle(f"the bundle is refused: {error}{_about_the_clock(host, error)}") from None
    return manifest, bundles.check_contents(bundle, manifest)


def _about_the_clock(host: Host, error: BadManifest) -> str:
    if "freeze" not in str(error):
        return ""
    return f", and this host's clock says {time_text(host.clock.now())}: set the clock, or have a new bundle made"


def _receipt(host: Host, carrier: Carrier, manifest: Manifest) -> bytes:
    offered = {line.name: line for line in manifest.lines}
    for line in host.settings.lines:
        held = host.state.line(line.name)
        if line.name not in carrier.wishes and _is_owed(held, offered.get(line.name)):
            carrier.wishes[line.name] = _again(host, line.name, line.names, held)
    receipt = Receipt(
        format=bundles.RECEIPT,
        follower_id=host.identity.follower_id,
        seq=host.next_sequence(),
        nonce=codec.base64url(host.chance.token(16)),
        time=time_text(host.clock.now()),
        report=replace(carrier.said, agent=AGENT, manifest_serial=manifest.serial, epoch=manifest.epoch),
        wishes=carrier.wishes,
    )
    return bundles.sign_receipt(receipt, host.identity.identity_key)


def _is_owed(held: HeldLine, offered: ManifestLine | None) -> bool:
    """A wish that was made before and that the master did not know yet: its receipt may be lost."""
    if held.asked is None or held.refusal is not None:
        return False
    return wishes.lacking(offered) or any(kind in held.asked.next_keys for kind in wishes.next_types(offered, held))


def _again(host: Host, name: str, wished: tuple[str, ...] | None, held: HeldLine) -> LineWish:
    asked = held.asked
    if asked is None:
        return LineWish(wished, {})
    key_of = host.material.keys.key
    slots = {kind: slot_of(held, kind, pin) or "current" for kind, pin in asked.keys.items()}
    csrs = {kind: steps.request(key_of(name, kind, slot), asked.names, asked.subject) for kind, slot in slots.items()}
    ahead = {kind: pin for kind, pin in asked.next_keys.items() if held.next_keys.get(kind) == pin}
    upcoming = {kind: steps.request(key_of(name, kind, "next"), asked.names, asked.subject) for kind in ahead}
    return LineWish(wished, csrs, next_csrs=upcoming)
