"""A CA's endpoint, shared by the accounts there: its connections, its directory and its nonces."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from certline_master.ca.dialling import UNBOUND, Dialler
from certline_master.ca.nonces import NoncePool, is_nonce
from certline_master.ca.origin import Origin
from certline_master.ca.problems import failure_of, read_object
from certline_master.ca.transport import EXCHANGE_SECONDS, Answer, Transport
from certline_master.ca.views import Listing, read_directory
from certline_master.domain.errors import CaError, CaUnreachable
from certline_shared.clock import Clock

DIRECTORY_AGE = timedelta(hours=1)

Count = Callable[[str], None]
"""Called with the kind of each request that is sent, re-tries too: "directory", "newNonce", "newAccount", "newOrder",
"order", "authorization", "challenge", "finalize", "certificate", "revokeCert", "renewalInfo"."""


class Endpoint:
    """All that is asked of one CA goes through here. Thread-safe."""

    def __init__(
        self,
        directory_url: str,
        ca_certificates: str | None,
        clock: Clock,
        count: Count,
        *,
        seconds: float = EXCHANGE_SECONDS,
        dialler: Dialler = UNBOUND,
    ) -> None:
        """Raises CaUnreachable when the URL or the certificates cannot be used."""
        self.origin = Origin.of_directory(directory_url)
        self.clock = clock
        self.seconds = seconds
        self.nonces = NoncePool(clock)
        self._url = directory_url
        self._count = count
        self._transport = Transport(self.origin, ca_certificates, clock, seconds=seconds, dialler=dialler)
        self._listing: tuple[float, Listing] | None = None
        self._fault: tuple[float, CaError] | None = None
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self.clock.now()

    def send(self, kind: str, method: str, url: str, *, body: bytes = b"", accept: str = "*/*") -> Answer:
        """One request, counted, and its answer, whatever its status."""
        self._count(kind)
        return self._transport.send(method, url, body=body, accept=accept)

    def directory(self, *, afresh: bool = False) -> Listing:
        """What the CA offers, asked once an hour, or now. One thread asks, the others wait for what it learns."""
        asked = self.clock.monotonic()
        with self._lock:
            if self._fault is not None and self._fault[0] > asked:  # not 64 time-outs one after the other
                raise self._fault[1].with_traceback(None)
            if afresh or self._listing is None or asked - self._listing[0] > DIRECTORY_AGE.total_seconds():
                self._listing = (asked, self._ask_for_directory())
            return self._listing[1]

    def nonce(self) -> str:
        """An unused nonce: from the pool, else by a request of its own (RFC 8555 section 7.2)."""
        kept = self.nonces.take()
        if kept is not None:
            return kept
        answer = self.send("newNonce", "HEAD", self.directory().url("newNonce"))
        if answer.status >= 300:
            raise failure_of(answer, self.now())
        fresh = answer.header("replay-nonce")
        if not is_nonce(fresh):
            raise CaUnreachable("the CA sent no nonce when asked for one")
        return fresh

    def close(self) -> None:
        self._transport.close()

    def _ask_for_directory(self) -> Listing:
        try:
            return self._fetch_directory()
        except CaError as fault:
            self._fault = (self.clock.monotonic(), fault)
            raise

    def _fetch_directory(self) -> Listing:
        answer = self.send("directory", "GET", self._url, accept="application/json")
        if answer.status != 200:
            raise failure_of(answer, self.now())
        try:
            return read_directory(read_object(answer, "directory"), self.origin)
        except CaUnreachable as error:
            raise CaUnreachable(f"{self._url} does not show an ACME directory: {error}") from None
