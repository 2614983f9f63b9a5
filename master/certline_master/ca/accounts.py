"""An ACME account at an endpoint: registering it, and requests signed by it."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from acme import messages

from certline_master.ca.account_key import AccountKey
from certline_master.ca.endpoint import Endpoint
from certline_master.ca.nonces import is_nonce
from certline_master.ca.problems import failure_of, is_bad_nonce
from certline_master.ca.transport import Answer
from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.model import FailureClass
from certline_shared import backoff
from certline_shared.chance import Chance

LEAST_TRIES = 20  # of a request whose nonces the CA does not like, however long they take
_FIRST_PAUSE, _MOST_PAUSE = timedelta(milliseconds=5), timedelta(milliseconds=100)


class Account:
    """Signs and sends for one account. Thread-safe."""

    def __init__(self, endpoint: Endpoint, key: AccountKey, url: str | None, chance: Chance) -> None:
        self.endpoint = endpoint
        self.key = key
        self._url = url
        self._chance = chance

    def register(self, contact: Sequence[str]) -> str:
        """Make the account, agreeing to the terms, or find it by its key; its URL (RFC 8555 section 7.3)."""
        wish: dict[str, Any] = {"terms_of_service_agreed": True}
        if contact:
            wish["contact"] = tuple(_mail_url(one) for one in contact)
        payload = messages.NewRegistration(**wish).json_dumps().encode()
        answer = self._send("newAccount", self.endpoint.directory().url("newAccount"), payload, account_url=None)
        url = answer.header("location")
        if url is None:
            raise CaUnreachable("the CA made an account without telling its URL")
        self.endpoint.origin.target(url)
        self._url = url
        return url

    def post(self, kind: str, url: str, payload: bytes = b"", *, accept: str = "application/json") -> Answer:
        """A signed request and its good answer; an empty payload is a POST-as-GET (RFC 8555 section 6.3).

        Raises CaUnreachable or CaRefused.
        """
        if self._url is None:
            raise CaRefused("accountDoesNotExist", "register the account first", FailureClass.NEEDS_PERSON)
        return self._send(kind, url, payload, account_url=self._url, accept=accept)

    def _send(
        self, kind: str, url: str, payload: bytes, *, account_url: str | None, accept: str = "application/json"
    ) -> Answer:
        """Sent again while the CA refuses the nonce, until the deadline, and then up to LEAST_TRIES."""
        self.endpoint.origin.target(url)  # before a nonce is spent on it
        until = self.endpoint.clock.monotonic() + self.endpoint.seconds
        nonce, tries = self.endpoint.nonce(), 0
        while True:
            body = self.key.sign(payload, nonce=nonce, url=url, account_url=account_url)
            answer = self.endpoint.send(kind, "POST", url, body=body, accept=accept)
            tries += 1
            if not is_bad_nonce(answer):
                return self._settled(answer)
            if tries >= LEAST_TRIES and self.endpoint.clock.monotonic() >= until:
                raise CaUnreachable(f"the CA refused {tries} fresh nonces in a row")
            self._pause(tries)
            nonce = self._nonce_of(answer)

    def _settled(self, answer: Answer) -> Answer:
        self.endpoint.nonces.put(answer.header("replay-nonce"))
        if answer.status >= 300:
            raise failure_of(answer, self.endpoint.now())
        return answer

    def _nonce_of(self, refusal: Answer) -> str:
        """The one that came with the refusal is to be used (RFC 8555 section 6.5)."""
        sent = refusal.header("replay-nonce")
        return sent if is_nonce(sent) else self.endpoint.nonce()

    def _pause(self, tries: int) -> None:
        """None for the first tries, for a lost nonce is nobody's overload; then they bound the number of tries."""
        if tries >= LEAST_TRIES:
            pause = backoff.delay(tries - LEAST_TRIES + 1, self._chance, first=_FIRST_PAUSE, most=_MOST_PAUSE)
            self.endpoint.clock.pause(pause.total_seconds(), threading.Event())


def _mail_url(contact: str) -> str:
    """RFC 8555 section 7.1.2 wants URLs; a bare address is meant as mail."""
    return contact if ":" in contact else f"mailto:{contact}"
