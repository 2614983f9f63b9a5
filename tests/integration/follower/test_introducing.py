"""A host that introduces itself believes an approval only from who knows the code that it showed and never sent."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from certline_follower import identity as identities
from certline_follower.enrolment import EnrolmentError
from certline_follower.introducing import Introducing, NotApproved, Wanted
from certline_follower.master_faults import Unreachable, Untrusted
from certline_shared import introduction, messages, signing
from certline_shared.messages import Introduction, IntroductionAnswer
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock

ORIGIN = "https://master.example"
PINS = ("ab" * 32,)


@dataclass
class Answerer:
    """Who answers: the master, or somebody who poses as it. It hears what the operator types into it."""

    key: bytes = field(default_factory=lambda: signing.generate_identity()[1])
    typed: str | None = None
    change: Callable[[IntroductionAnswer], IntroductionAnswer] = lambda answer: answer
    away: int = 0  # answers that are lost
    heard: list[Introduction] = field(default_factory=list)

    def introduce(self, body: bytes) -> IntroductionAnswer:
        said = messages.decode(Introduction, body)
        self.heard.append(said)
        if self.away:
            self.away -= 1
            raise Unreachable("nobody is there")
        answer = IntroductionAnswer("pending", (self.key,), PINS, said.nonce, 1)
        return self.change(self._approved(answer, said) if self.typed else answer)

    def _approved(self, answer: IntroductionAnswer, said: Introduction) -> IntroductionAnswer:
        print_ = introduction.fingerprint(said.identity_key, said.sealing_key, self.key)
        _, code = introduction.typed(self.typed or "")
        proof = introduction.approval(code, print_, "f-1")
        return replace(
            answer,
            state="approved",
            follower_id="f-1",
            follower="web-1",
            epoch=3,
            time="2026-11-20T12:00:00Z",
            proof=proof,
        )


@dataclass
class Host:
    folder: Path
    shown: list[str] = field(default_factory=list)
    checked: list[tuple[str, ...]] = field(default_factory=list)

    def run(
        self, answerer: Answerer, *, wait: float = 0.0, trust: str = "pin", origin: str = ORIGIN
    ) -> identities.Identity:
        wanted = Wanted(origin, "web-1", trust, "agent")
        made = Introducing(
            wanted, self.folder, answerer, FakeClock(), SeededChance(), self.shown.append, self.checked.append
        )
        return made.run(wait)

    def begin(self, answerer: Answerer) -> str:
        with pytest.raises(NotApproved) as waiting:
            self.run(answerer)
        return waiting.value.shown

    @property
    def is_enrolled(self) -> bool:
        return identities.path_in(self.folder).exists()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_approved_with_what_it_showed_it_is_enrolled(host: Host) -> None:
    master = Answerer()
    master.typed = host.begin(master)
    made = host.run(master)
    assert (made.follower_id, made.follower, made.origin, made.trust) == ("f-1", "web-1", ORIGIN, "pin")
    assert (made.signing_keys, made.tls_pins, made.epoch) == ((master.key,), PINS, 3)
    assert signing.identity_public(made.identity_key) == master.heard[0].identity_key == master.heard[-1].identity_key
    assert host.checked == [PINS]
    assert sorted(path.name for path in host.folder.iterdir()) == ["identity.json"]


def test_who_is_in_between_and_says_approved_by_itself_is_not_believed(host: Host) -> None:
    between = Answerer()
    host.begin(between)
    between.typed = introduction.shown(introduction.fingerprint(b"", b"", b""), b"guessed")
    with pytest.raises(Untrusted, match="does not know the code shown"):
        host.run(between)
    assert not host.is_enrolled


def test_an_approval_without_a_proof_is_not_believed(host: Host) -> None:
    master = Answerer()
    master.typed = host.begin(master)
    master.change = lambda answer: replace(answer, proof=None)
    with pytest.raises(Untrusted, match="does not know the code shown"):
        host.run(master)
    assert not host.is_enrolled


def test_an_approval_of_another_follower_than_the_proof_is_for_is_not_believed(host: Host) -> None:
    master = Answerer()
    master.typed = host.begin(master)
    master.change = lambda answer: replace(answer, follower_id="f-2")
    with pytest.raises(Untrusted):
        host.run(master)


def test_after_it_showed_a_fingerprint_no_other_signing_key_is_taken(host: Host) -> None:
    master = Answerer()
    shown = host.begin(master)
    with pytest.raises(EnrolmentError, match="another signing key than before"):
        host.run(Answerer(typed=shown))
    assert not host.is_enrolled


def test_an_answer_to_another_request_is_not_taken(host: Host) -> None:
    with pytest.raises(Untrusted, match="another request"):
        host.run(Answerer(change=lambda answer: replace(answer, nonce="old")))


def test_a_connection_that_ends_at_a_proxy_is_refused_unless_its_ca_is_known(host: Host) -> None:
    master = Answerer()
    master.typed = host.begin(master)

    def ends_elsewhere(_pins: tuple[str, ...]) -> None:
        raise Untrusted("the connection ends before it")

    introducing = Introducing(
        Wanted(ORIGIN, "web-1", "pin", "agent"), host.folder, master, FakeClock(), SeededChance(), host.shown.append,
        ends_elsewhere,
    )  # fmt: skip
    with pytest.raises(Untrusted, match="ends before it"):
        introducing.run(0.0)
    assert not host.is_enrolled
    assert host.run(master, trust="chain").trust == "chain"


def test_the_code_is_in_nothing_that_is_sent(host: Host) -> None:
    master = Answerer()
    shown = host.begin(master)
    code = shown.replace("-", "")[40:]
    sent = b"".join(messages.encode(one) for one in master.heard)
    kept = (host.folder / "introduction.json").read_bytes()
    assert code.encode() not in sent
    assert b'"code"' in kept
    assert (host.folder / "introduction.json").stat().st_mode & 0o777 == 0o600


def test_it_waits_through_an_outage_and_shows_its_fingerprint_once(host: Host) -> None:
    master = Answerer()
    master.typed = host.begin(master)
    host.shown.clear()
    master.away = 3
    assert host.run(master, wait=60.0).follower == "web-1"
    assert len(host.shown) == 1


def test_with_nobody_there_it_says_so_when_the_time_is_over(host: Host) -> None:
    with pytest.raises(Unreachable):
        host.run(Answerer(away=1_000), wait=30.0)


def test_with_another_master_it_begins_with_another_code_and_the_same_keys(host: Host) -> None:
    first, second = Answerer(), Answerer()
    shown = host.begin(first)
    with pytest.raises(NotApproved) as waiting:
        host.run(second, origin="https://other.example")
    assert waiting.value.shown != shown
    assert first.heard[0].identity_key == second.heard[0].identity_key


def test_an_enrolled_host_is_not_introduced_again(host: Host) -> None:
    master = Answerer()
    master.typed = host.begin(master)
    host.run(master)
    with pytest.raises(EnrolmentError, match="enrolled already"):
        host.run(master)
