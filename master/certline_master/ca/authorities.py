"""The port CertificateAuthorities: clients by issuer, sharing connections, nonces and directories."""

import threading

from certline_master.ca.account_key import AccountKey
from certline_master.ca.accounts import Account
from certline_master.ca.dialling import UNBOUND, Dialler
from certline_master.ca.directory_client import DirectoryClient
from certline_master.ca.endpoint import Count, Endpoint
from certline_master.ca.transport import EXCHANGE_SECONDS
from certline_master.domain.model import Issuer
from certline_master.domain.ports import Directory
from certline_shared import keys
from certline_shared.chance import Chance
from certline_shared.clock import Clock


class AcmeAuthorities:
    """Thread-safe; one for the life of the process."""

    def __init__(
        self,
        clock: Clock,
        chance: Chance,
        *,
        count: Count = lambda _: None,
        seconds: float = EXCHANGE_SECONDS,
        dialler: Dialler = UNBOUND,
    ) -> None:
        """`count` is called with the kind of each request (see endpoint.Count); `seconds` is the deadline of one;
        `dialler` knows where CAs may be: anywhere, unless it is told otherwise."""
        self._clock = clock
        self._chance = chance
        self._count = count
        self._seconds = seconds
        self._dialler = dialler
        self._endpoints: dict[tuple[str, str | None], Endpoint] = {}
        self._clients: dict[tuple[Endpoint, bytes, str | None], DirectoryClient] = {}
        self._lock = threading.Lock()

    def of(self, issuer: Issuer, account_key: bytes) -> DirectoryClient:
        """Raises CaUnreachable when the issuer's directory URL or CA certificates cannot be used."""
        with self._lock:
            endpoint = self._endpoint(issuer)
            which = (endpoint, account_key, issuer.account_url)
            if which not in self._clients:
                account = Account(endpoint, AccountKey(account_key), issuer.account_url, self._chance)
                self._clients[which] = DirectoryClient(account)
            return self._clients[which]

    def look_at_directory(self, issuer: Issuer) -> Directory:
        with self._lock:
            endpoint = self._endpoint(issuer)
        return endpoint.directory(afresh=True).shown

    def new_account_key(self) -> bytes:
        return keys.to_pem(keys.generate(keys.KeyType.ECDSA_P256))

    def close(self) -> None:
        """Drop all idle connections."""
        with self._lock:
            for endpoint in self._endpoints.values():
                endpoint.close()

    def _endpoint(self, issuer: Issuer) -> Endpoint:
        which = (issuer.directory_url, issuer.ca_certificates)
        if which not in self._endpoints:
            self._endpoints[which] = Endpoint(
                *which, self._clock, self._count, seconds=self._seconds, dialler=self._dialler
            )
        return self._endpoints[which]
