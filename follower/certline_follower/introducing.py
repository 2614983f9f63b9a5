"""Enrolment without a token: this host shows its keys, an operator compares fingerprints and approves it.

Who is in between could pose as the master. So the fingerprint is over the master's signing key as this host saw it
first, which is kept; and an approval is believed only from who knows the code that was shown here and never sent.
"""

import hmac
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from certline_follower import identity as identities
from certline_follower import joining
from certline_follower.enrolment import EnrolmentError, check_not_enrolled
from certline_follower.identity import Identity
from certline_follower.joining import OwnKeys
from certline_follower.master_faults import Unreachable, Untrusted
from certline_follower.private_files import write_private
from certline_shared import codec, introduction, messages, sealing
from certline_shared.chance import Chance
from certline_shared.clock import Clock
from certline_shared.failpoints import failpoint
from certline_shared.introduction import CODE_BYTES, JoinString
from certline_shared.messages import PROTOCOL, Introduction, IntroductionAnswer

FAILPOINTS = ("introduce.begun", "introduce.answered", "introduce.identity_written")
NAME = "introduction.json"
PAUSE = 5.0  # seconds between two looks
SHORT = 5  # seconds that the master may ask for before anything is shown


class Introducer(Protocol):
    """The one call of the master client that an introduction needs."""

    def introduce(self, body: bytes) -> IntroductionAnswer:
        """POST /v1/introductions. Raises MasterFault."""
        ...


@dataclass(frozen=True, slots=True)
class Begun:
    """An introduction that was begun, kept so that what was compared once stays true."""

    origin: str
    code: bytes = field(repr=False)
    signing_key: bytes | None = None  # the master's, as it was seen first


@dataclass(frozen=True, slots=True)
class Wanted:
    """What this host asks for."""

    origin: str
    name: str
    trust: str  # "pin" | "chain"
    agent: str


class NotApproved(Exception):
    """Nobody approved it yet; `shown` is what to compare."""

    def __init__(self, shown: str) -> None:
        super().__init__("nobody approved this host yet: run the same command again, the fingerprint stays the same")
        self.shown = shown


@dataclass(slots=True)
class Introducing:
    """One introduction under way."""

    wanted: Wanted
    state_dir: Path
    client: Introducer
    clock: Clock
    chance: Chance
    show: Callable[[str], None]  # the fingerprint, once
    check_tls: Callable[[tuple[str, ...]], None]  # raises Untrusted unless the connection is to whom these pins name

    def run(self, wait: float, *, again: bool = False) -> Identity:
        """Until it is approved, or `wait` seconds are over.

        Raises NotApproved, EnrolmentError, MasterFault, OSError.
        """
        done = joining.finished(self.state_dir)
        if done is not None:
            (self.state_dir / NAME).unlink(missing_ok=True)
            return done
        if not again:
            check_not_enrolled(self.state_dir)
        keys, begun = joining.keys_in(self.state_dir), self._begin()
        failpoint("introduce.begun")
        until, shown = self.clock.monotonic() + wait, ""
        while True:
            pause = PAUSE * self.chance.uniform(0.8, 1.2)
            try:
                answer = self._ask(keys)
                begun = self._same_master(begun, answer)
                shown = self._show(keys, begun, shown)
                if answer.state == "approved":
                    return self._finish(keys, begun, answer)
            except Unreachable as away:
                if not shown and away.retry_after and away.retry_after <= SHORT:
                    self.clock.pause(away.retry_after, threading.Event())  # others came from this address just now
                    continue
                if self.clock.monotonic() + pause > until:
                    raise
                pause = away.retry_after or pause
            if self.clock.monotonic() + pause > until:
                raise NotApproved(shown)
            self.clock.pause(pause, threading.Event())

    def _begin(self) -> Begun:
        """What was begun before with this master, else anew: on disk before it is shown."""
        path = self.state_dir / NAME
        with suppress(FileNotFoundError, codec.BadMessage):
            begun = codec.read(Begun, path.read_bytes(), most_bytes=identities.MOST_BYTES)
            if begun.origin == self.wanted.origin:
                return begun
        begun = Begun(self.wanted.origin, self.chance.token(CODE_BYTES))
        write_private(path, codec.write(begun))
        return begun

    def _ask(self, keys: OwnKeys) -> IntroductionAnswer:
        public, nonce = keys.public, codec.base64url(self.chance.token(16))
        said = Introduction(
            self.wanted.name, public.identity_key, public.sealing_key, sealing.SUITE, nonce, PROTOCOL, self.wanted.agent
        )
        answer = self.client.introduce(messages.encode(said))
        if answer.nonce != nonce or not answer.signing_keys:
            raise Untrusted("the answer to the introduction is to another request")
        return answer

    def _same_master(self, begun: Begun, answer: IntroductionAnswer) -> Begun:
        """Raises EnrolmentError when it has another key than what was shown here is about."""
        seen = answer.signing_keys[0]
        if begun.signing_key is None:
            begun = replace(begun, signing_key=seen)
            write_private(self.state_dir / NAME, codec.write(begun))
        elif begun.signing_key != seen:
            raise EnrolmentError(
                f"who answers at {begun.origin} has another signing key than before: somebody may be in between; if "
                f"the master's key was changed, remove {self.state_dir / NAME} and compare the new fingerprint"
            )
        return begun

    def _show(self, keys: OwnKeys, begun: Begun, shown: str) -> str:
        if not shown:
            shown = introduction.shown(_fingerprint(keys, begun), begun.code)
            self.show(shown)
        return shown

    def _finish(self, keys: OwnKeys, begun: Begun, answer: IntroductionAnswer) -> Identity:
        follower_id, follower, epoch = answer.follower_id, answer.follower, answer.epoch
        if follower_id is None or follower is None or epoch is None:
            raise Untrusted("the master's approval is not whole")
        code = introduction.code_text(begun.code)
        expected = introduction.approval(code, _fingerprint(keys, begun), follower_id)
        if not hmac.compare_digest(expected, answer.proof or b""):
            raise Untrusted(
                f"who answers at {begun.origin} says that this host was approved, and does not know the code shown "
                "here: it is not the master that an operator compared the fingerprint with"
            )
        if self.wanted.trust == "pin":
            self.check_tls(answer.tls_pins)
        failpoint("introduce.answered")
        said = JoinString(
            begun.origin, follower_id, follower, "", self.wanted.trust, answer.tls_pins, answer.signing_keys, epoch
        )
        identity = joining.identity_of(said, keys, answer.time)
        identities.save(self.state_dir, identity)
        failpoint("introduce.identity_written")
        joining.forget_keys(self.state_dir)
        (self.state_dir / NAME).unlink(missing_ok=True)
        return identity


def _fingerprint(keys: OwnKeys, begun: Begun) -> str:
    public = keys.public
    return introduction.fingerprint(public.identity_key, public.sealing_key, begun.signing_key or b"")
