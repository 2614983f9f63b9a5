"""`certline serve` and `certline migrate`."""

import logging
import ssl
import sys
import threading
from datetime import timedelta
from pathlib import Path

import click

from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_master.cli.main import settings_path
from certline_master.domain.errors import DomainError
from certline_master.settings import Settings, SettingsError, load
from certline_shared import logs

LOOK_AT_CERTIFICATE = timedelta(hours=6)
STOP_SECONDS = 2.5

log = logging.getLogger("certline.serve")


@click.command()
@click.pass_obj
def serve(config: str | None) -> None:
    """Run the API and the workers until SIGTERM."""
    settings = _settings(config)
    style = settings.logging.format
    plain = style == "plain" or (style == "auto" and sys.stderr.isatty())
    logs.set_up(sys.stderr, style="plain" if plain else "json", level=settings.logging.level)
    try:
        _serve(settings)
    except DomainError as fault:
        raise CommandFailed(str(fault), REFUSED) from fault
    except OSError as fault:
        where = f"{fault.filename}: " if fault.filename else ""
        raise CommandFailed(f"{where}{fault.strerror or fault}", REFUSED) from fault


def _serve(settings: Settings) -> None:
    from certline_master import server, wiring

    master = wiring.build(settings)
    helpers = Helpers(settings, master)
    try:
        tls = helpers.tls()
        listener = server.listen(settings.api.listen)
    except (OSError, ssl.SSLError) as fault:
        master.store.close()
        raise CommandFailed(
            f"api.listen {settings.api.listen}: {getattr(fault, 'strerror', None) or fault}", REFUSED
        ) from fault
    try:
        master.start()
        helpers.start()
        host, port = listener.getsockname()[:2]
        log.info("serving", extra={"listen": f"{host}:{port}", "origins": list(settings.api.origins)})
        server.ApiServer(master.app, listener, tls).run_until_told()
        log.info("stopping")
    finally:
        helpers.stop()
        master.stop(STOP_SECONDS)
    log.info("stopped")


class Helpers:
    """What `serve` keeps going beside API and workers: the API's own certificate, and the follower of this machine."""

    def __init__(self, settings: Settings, master: "object") -> None:
        from certline_master.wiring import Master

        if not isinstance(master, Master):
            raise TypeError("a Master")
        self._settings, self._master = settings, master
        self._stopping = threading.Event()
        self._context: ssl.SSLContext | None = None
        self._certificate_thread = threading.Thread(target=self._watch_certificate, name="certificate", daemon=True)
        self._follower: object | None = None

    def tls(self) -> ssl.SSLContext:
        """Raises OSError or ssl.SSLError."""
        from certline_master.server import tls_context

        api = self._settings.api
        if api.tls == "files":
            if api.tls_certificate is None or api.tls_key is None:
                raise CommandFailed('api.tls = "files" needs api.tls_certificate and api.tls_key', WRONG)
            return tls_context(api.tls_certificate, api.tls_key)
        self._renew()
        self._context = tls_context(self._own_certificate)
        return self._context

    @property
    def _own_certificate(self) -> Path:
        return self._settings.folder / "tls" / "api.pem"

    def _renew(self) -> bool:
        from certline_master.identity import keep_api_certificate

        ca = self._master.identity.certificates[0]
        folder = self._settings.folder / "tls"
        reason = keep_api_certificate(folder, ca, self._settings.api.origins, self._master.clock.now())
        if reason is not None:
            log.info("the API's certificate was issued anew", extra={"reason": reason})
        return reason is not None

    def start(self) -> None:
        if self._context is not None:
            self._certificate_thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _watch_certificate(self) -> None:
        """New connections get the new certificate: the context is loaded again, no restart."""
        while not self._master.clock.pause(LOOK_AT_CERTIFICATE.total_seconds(), self._stopping):
            try:
                if self._renew() and self._context is not None:
                    self._context.load_cert_chain(self._own_certificate)
            except OSError as fault:
                log.error("the API's certificate could not be renewed; tried again", extra={"error": str(fault)})


@click.command()
@click.pass_obj
def migrate(config: str | None) -> None:
    """Bring the database to this release's schema."""
    from certline_master.store.schema import migrate as upgrade

    settings = _settings(config)
    try:
        changed = upgrade(settings.store.url)
    except DomainError as fault:
        raise CommandFailed(str(fault), REFUSED) from fault
    click.echo(
        "the database was brought to this release's schema" if changed else "nothing to do: the database is at head"
    )


def _settings(config: str | None) -> Settings:
    try:
        return load(settings_path(config))
    except SettingsError as fault:
        raise CommandFailed(str(fault), WRONG) from fault
