"""A master that cannot read its secrets: it serves that fact, and looks now and then whether the key is to be had."""

import logging
import ssl
import threading

from certline_master import server, wiring
from certline_master.api.sealed import RETRY_AFTER, SealedApp
from certline_master.challenges.endpoint import why_not
from certline_master.cli.api_server import api_server
from certline_master.cli.failures import REFUSED, CommandFailed
from certline_master.domain.errors import DomainError
from certline_master.settings import Settings
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock

_READ_ONCE = ("env:", "credential:")  # only a new process can find something else there

log = logging.getLogger("certline.serve")


def serve_sealed(settings: Settings, why: str) -> bool:
    """Serve until told to stop (False), or until the secrets can be read (True). Raises CommandFailed."""
    context = _tls(settings, why)
    try:
        listener = server.listen(settings.api.listen)
    except OSError as fault:
        raise CommandFailed(f"api.listen {settings.api.listen}: {why_not(fault)}", REFUSED) from fault
    api = api_server(settings.api, SealedApp(why), listener, context)
    looking = _Looking(settings, api)
    log.error("serving sealed", extra={"reason": why, "listen": settings.api.listen})
    try:
        api.run_until_told()
    finally:
        looking.stop()
    return looking.found


def _tls(settings: Settings, why: str) -> ssl.SSLContext | None:
    """The certificate that is there: a new one needs the CA's key, which is sealed too."""
    if settings.api.tls == "off":
        return None
    own = settings.api.tls == "own"
    path = settings.folder / "tls" / "api.pem" if own else settings.api.tls_certificate
    try:
        return server.tls_context(path or settings.folder, None if own else settings.api.tls_key)
    except OSError as fault:  # ssl.SSLError is one
        raise CommandFailed(f"{why} (and it cannot be served: {path}: {fault.strerror or fault})", REFUSED) from None


class _Looking:
    """Tries the KEK's source again until it opens the store, then ends the sealed server."""

    def __init__(self, settings: Settings, api: server.ApiServer) -> None:
        self._settings, self._api = settings, api
        self._stopping = threading.Event()
        self.found = False
        source = settings.secrets.kek
        if source is not None and not source.startswith(_READ_ONCE):
            threading.Thread(target=self._look, name="kek-watch", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _look(self) -> None:
        while not SystemClock().pause(RETRY_AFTER, self._stopping):
            if _opens(self._settings):
                self.found = self._api.should_exit = True
                return


def _opens(settings: Settings) -> bool:
    try:
        store = wiring.open_settings_store(settings, SystemClock(), SystemChance(), exclusive=False)
        try:
            return store.sealed is None
        finally:
            store.close()
    except DomainError:
        return False
