"""The API's TLS for as long as `serve` runs: our own certificate issued anew in time, or the operator's files."""

import logging
import ssl
import threading
from datetime import timedelta
from pathlib import Path

from certline_master.cli.failures import WRONG, CommandFailed
from certline_master.identity import keep_api_certificate
from certline_master.server import tls_context
from certline_master.wiring import Master

LOOK_EVERY = timedelta(hours=6)

log = logging.getLogger("certline.serve")


class ApiTls:
    """`context` is for the server; between `start` and `stop` the certificate in it is kept fresh."""

    def __init__(self, master: Master) -> None:
        """Raises CommandFailed."""
        self._master, self._api = master, master.settings.api
        self._folder = master.settings.folder / "tls"
        self._stopping = threading.Event()
        self.context: ssl.SSLContext | None = None  # a proxy ends TLS
        if self._api.tls != "off":
            self._certificate, self._key = self._files()
            self.context = self._load()

    def _files(self) -> tuple[Path, Path | None]:
        if self._api.tls == "own":
            self._renew()
            return self._folder / "api.pem", None
        if self._api.tls_certificate is None or self._api.tls_key is None:
            raise CommandFailed('api.tls = "files" needs api.tls_certificate and api.tls_key', WRONG)
        return self._api.tls_certificate, self._api.tls_key

    def _load(self) -> ssl.SSLContext:
        try:
            return tls_context(self._certificate, self._key)
        except ssl.SSLError as fault:
            files = " and ".join(str(path) for path in (self._certificate, self._key) if path)
            raise CommandFailed(f"{files}: no certificate with its private key: {fault.reason}", WRONG) from None
        except OSError as fault:
            raise CommandFailed(f"{self._certificate}: cannot be read: {fault.strerror}", WRONG) from None

    def start(self) -> None:
        if self.context is not None:
            threading.Thread(target=self._watch, args=(self.context,), name="certificate", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _watch(self, context: ssl.SSLContext) -> None:
        """New connections get the new certificate: the context is loaded again, no restart."""
        while not self._master.clock.pause(LOOK_EVERY.total_seconds(), self._stopping):
            try:
                self._renew()
                context.load_cert_chain(self._certificate, self._key)
            except OSError as fault:
                log.error("the API's certificate could not be loaded; tried again", extra={"error": str(fault)})

    def _renew(self) -> None:
        if self._api.tls != "own":
            return
        ca, now = self._master.identity.certificates[0], self._master.clock.now()
        reason = keep_api_certificate(self._folder, ca, self._api.origins, now)
        if reason is not None:
            log.info("the API's certificate was issued anew", extra={"reason": reason})
