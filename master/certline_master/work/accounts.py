"""The account at an issuer: its key is on record before the CA hears of it, and it is registered once."""

import logging
import threading

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Issuer
from certline_master.domain.ports import CertificateAuthority, Records
from certline_master.work.context import Context

ACCOUNT_KEY = "account-key"
"""The kind of secret under which account keys are kept."""

log = logging.getLogger("certline.work.accounts")


class Accounts:
    """Gives the CA client of an issuer, with an account that exists there. Thread-safe."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._registering: dict[str, threading.Lock] = {}
        self._clients: dict[tuple[str, str, str, str | None], CertificateAuthority] = {}

    def client(self, issuer: Issuer) -> CertificateAuthority:
        """The client for the issuer's account; registers it at the first use. Raises CaError."""
        known = self._known(issuer)
        if known is not None:
            return known
        with self._lock:
            turn = self._registering.setdefault(issuer.id, threading.Lock())
        with turn:
            return self._registered(self._fresh(issuer))

    def forget(self, issuer: Issuer, client: CertificateAuthority) -> None:
        """The CA does not know this client's account any more: the next use registers it again with the same key."""
        urls = {url for (_, _, url, _), known in list(self._clients.items()) if known is client}

        def write(records: Records) -> None:
            found = records.issuers.by_id(SYSTEM, issuer.id)
            if found.account_url in urls:  # else another order has registered it anew
                records.issuers.set_account(SYSTEM, found.id, key=found.account_key, url=None)

        self._context.store.write(write)

    def _fresh(self, issuer: Issuer) -> Issuer:
        with self._context.store.read() as records:
            return records.issuers.by_id(SYSTEM, issuer.id)

    def _known(self, issuer: Issuer) -> CertificateAuthority | None:
        if issuer.account_url is None or issuer.account_key is None:
            return None
        key = (issuer.directory_url, issuer.account_key, issuer.account_url, issuer.ca_certificates)
        client = self._clients.get(key)
        if client is None:
            client = self._context.authorities.of(issuer, self._secret(issuer.account_key))
            self._clients[key] = client
        return client

    def _secret(self, secret_id: str) -> bytes:
        with self._context.store.read() as records:
            return records.secrets.read(SYSTEM, ACCOUNT_KEY, secret_id)

    def _registered(self, issuer: Issuer) -> CertificateAuthority:
        known = self._known(issuer)
        if known is not None:
            return known
        key_id = issuer.account_key or self._make_key(issuer)
        client = self._context.authorities.of(issuer, self._secret(key_id))
        terms = client.directory().terms_of_service
        url = client.register(issuer.contact)
        self._context.store.write(lambda records: self._record(records, issuer, key_id, url, terms))
        log.info("account registered", extra={"issuer": issuer.name, "account": url, "terms_accepted": terms})
        registered = self._known(self._fresh(issuer))
        return registered or client

    def _make_key(self, issuer: Issuer) -> str:
        key = self._context.authorities.new_account_key()

        def keep(records: Records) -> str:
            secret_id = records.secrets.add(SYSTEM, ACCOUNT_KEY, key)
            records.issuers.set_account(SYSTEM, issuer.id, key=secret_id, url=None)
            return secret_id

        return self._context.store.write(keep)

    def _record(self, records: Records, issuer: Issuer, key_id: str, url: str, terms: str | None) -> None:
        records.issuers.set_account(SYSTEM, issuer.id, key=key_id, url=url)
        records.events.add(
            SYSTEM,
            "account.registered",
            f"issuer:{issuer.name}",
            f"an account was registered at {issuer.directory_url}"
            + (f"; its terms {terms} were accepted" if terms else ""),
            now=self._context.clock.now(),
            data={"account": url, "terms": terms},
        )
