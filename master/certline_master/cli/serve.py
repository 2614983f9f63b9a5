"""`certline serve` and `certline migrate`."""

import logging
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from certline_master.cli.api_server import api_server
from certline_master.cli.failures import FAILED, REFUSED, CommandFailed
from certline_master.cli.local_faults import local_faults
from certline_master.cli.main import settings_path
from certline_master.domain.errors import Sealed
from certline_master.settings import Settings, load
from certline_shared import logs

if TYPE_CHECKING:
    from certline_master.server import ApiServer
    from certline_master.wiring import Master

STOP_SECONDS = 1.5  # with the API's grace of 2 s and the local follower's 1 s: under the 5 s of a stop
LOOK_AT_STORE = 1.0

log = logging.getLogger("certline.serve")


@click.command()
@click.pass_obj
def serve(config: str | None) -> None:
    """Run the API and the workers until SIGTERM.

    Without the key that opens the secrets it serves sealed: it says so and does nothing else.

    Exit codes: 0 stopped when told; 2 wrong configuration; 3 it cannot serve (address in use, database not at head or
    in use by another process); 4 the database failed while it was serving.
    """
    with local_faults():
        settings = load(settings_path(config))
    _log_to(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # until the server takes over
    with local_faults(settings.file):
        _serve(settings)


def _log_to(settings: Settings) -> None:
    style = settings.logging.format
    plain = style == "plain" or (style == "auto" and sys.stderr.isatty())
    logs.set_up(sys.stderr, style="plain" if plain else "json", level=settings.logging.level)
    # What it tells at its start and end, we tell; and whoever sends it rubbish must not fill the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise SystemExit(0)


def _serve(settings: Settings) -> None:
    from certline_master import memory, wiring

    memory.give_back_large()
    try:
        master = wiring.build(settings)
    except Sealed as why:
        from certline_master.cli.sealed import serve_sealed

        if serve_sealed(settings, str(why)):
            _serve(settings)
        return
    try:
        _with(master)
    finally:
        master.store.close()
    if master.store.broken:
        raise CommandFailed(f"the database failed: {master.store.broken}", FAILED)
    log.info("stopped")


def _with(master: "Master") -> None:
    from certline_master import server
    from certline_master.challenges.endpoint import why_not
    from certline_master.cli.api_tls import ApiTls
    from certline_master.cli.local_follower import LocalFollower

    settings = master.settings
    tls = ApiTls(master)
    try:
        listener = server.listen(settings.api.listen)
    except OSError as fault:
        raise CommandFailed(f"api.listen {settings.api.listen}: {why_not(fault)}", REFUSED) from fault
    follower = LocalFollower(settings.local_follower.config)
    api = api_server(settings.api, master.app, listener, tls.context, stopping=master.app.state.long_polls.close)
    master.start()
    try:
        tls.start()
        follower.start()
        threading.Thread(target=_end_with_store, args=(master, api), name="store-watch", daemon=True).start()
        host, port = listener.getsockname()[:2]
        log.info("serving", extra={"listen": f"{host}:{port}", "origins": list(settings.api.origins)})
        api.run_until_told()
        log.info("stopping")
    finally:
        tls.stop()
        follower.stop()
        master.stop(STOP_SECONDS)


def _end_with_store(master: "Master", api: "ApiServer") -> None:
    """A store that can write no more is for a new process to open: the service manager starts one."""
    never = threading.Event()
    while not master.clock.pause(LOOK_AT_STORE, never):
        if master.store.broken:
            log.error("the database failed; stopping", extra={"error": master.store.broken})
            api.should_exit = True
            return


@click.command()
@click.pass_obj
def migrate(config: str | None) -> None:
    """Bring the database to this release's schema."""
    from certline_master.store.schema import migrate as upgrade

    with local_faults():
        settings = load(settings_path(config))
    with local_faults(settings.file):
        changed = upgrade(settings.store.url)
    click.echo(
        "the database was brought to this release's schema" if changed else "nothing to do: the database is at head"
    )
