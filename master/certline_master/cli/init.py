"""`certline init`: makes everything that `certline serve` needs, and nothing twice."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click

from certline_master import identity, settings, settings_sections
from certline_master.api.admin_tokens import new_token
from certline_master.cli.client import PROFILE
from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_master.cli.local_faults import local_faults
from certline_master.cli.with_follower import add, local_origin
from certline_master.domain.access import SYSTEM, Role
from certline_master.domain.model import AdminToken
from certline_master.domain.ports import Records
from certline_master.files import write_whole
from certline_master.store.kek import Kek, new_kek, read_kek
from certline_master.store.opening import SqlStore, open_store
from certline_master.store.schema import migrate
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.logs import redact

SYSTEM_DATA = Path("/var/lib/certline")
TOKEN_LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of an installation are. The KEK is outside the data folder: a copy of that opens nothing."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / settings.NAME

    @property
    def kek(self) -> Path:
        return self.folder / "kek"

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    @property
    def profile(self) -> Path:
        return self.folder / PROFILE

    @property
    def database(self) -> Path:
        data = SYSTEM_DATA if self.folder == settings.SYSTEM_FOLDER else self.folder / "data"
        return data / "certline.sqlite"


@click.command()
@click.option(
    "--origin",
    "origins",
    metavar="URL",
    multiple=True,
    required=True,
    help="https://NAME-OR-IP:PORT under which followers reach this master; repeatable.",
)
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=settings.SYSTEM_FOLDER,
    show_default=True,
    help="Where to put everything.",
)
@click.option(
    "--listen", metavar="HOST:PORT", help="Where the API listens (default: all addresses, the first origin's port)."
)
@click.option("--database", metavar="URL", help="postgresql://USER@HOST/NAME (default: SQLite below DIR).")
@click.option("--with-follower", is_flag=True, help="Also enrol a follower on this machine, run by `serve`.")
def init(
    origins: tuple[str, ...], folder: Path, listen: str | None, database: str | None, *, with_follower: bool
) -> None:
    """Make everything needed to serve: settings, database, keys, the API's certificate, the first admin token.

    Run twice it changes nothing.
    """
    places, wished = Places(folder.absolute()), _origins(origins)
    listen = _listen(listen or _default_listen(wished), on_loopback=with_follower)
    url = database or f"sqlite:///{places.database}"
    with local_faults():
        made = not places.settings.is_file()
        if made:
            local = (local_origin(listen),) if with_follower else ()
            _tell(places, url, _make(places, tuple(dict.fromkeys((*wished, *local))), listen, url))
        else:
            _unchanged(places, wished, follower_follows=with_follower)
        if with_follower and settings.load(places.settings).local_follower.config is None:
            add(places.settings, click.echo)
    if made:
        _tell_next(places)


def _origins(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(settings_sections.origin(text) for text in texts))
    except ValueError as fault:
        raise CommandFailed(f"--origin: {fault}", WRONG) from fault


def _listen(text: str, *, on_loopback: bool) -> str:
    try:
        settings_sections.address(text)
    except ValueError as fault:
        raise CommandFailed(f"--listen: {fault}", WRONG) from fault
    if on_loopback and not _reaches_loopback(text):
        raise CommandFailed(
            f"--listen {text}: --with-follower needs the API on loopback too: leave --listen out", WRONG
        )
    return text


def _reaches_loopback(listen: str) -> bool:
    return listen.rpartition(":")[0] in ("0.0.0.0", "[::]", "127.0.0.1", "localhost")  # noqa: S104 only compared


def _unchanged(places: Places, wished: tuple[str, ...], *, follower_follows: bool) -> None:
    """Raises SettingsError, and CommandFailed when other origins are wished than there are."""
    present = settings.load(places.settings)
    if not follower_follows or present.local_follower.config is not None:
        click.echo(f"{places.settings} is there already: nothing was changed")
    local = {local_origin(present.api.listen)}
    if set(present.api.origins) - local != set(wished) - local:
        listed = ", ".join(present.api.origins)
        text = f"its origins are {listed}; to change them, edit `origins` there and restart `certline serve`"
        raise CommandFailed(text, REFUSED)


def _make(places: Places, origins: tuple[str, ...], listen: str, url: str) -> str:
    """Everything, the settings last: they say that the rest is whole. Returns the admin token."""
    places.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    kek = _kek(places)
    migrate(url)
    store = open_store(url, kek=kek, clock=SystemClock(), chance=SystemChance())
    try:
        token = _fill(store, places, origins, listen)
    finally:
        store.close()
    text = settings.example(origins=origins, listen=listen, store=_relative(url, places.folder), kek="file:kek")
    write_whole(places.settings, text.encode(), mode=0o600 if urlsplit(url).password else 0o644)
    return token


def _kek(places: Places) -> Kek:
    """The one that is there, else a new one: never a new one over an existing database."""
    if places.kek.exists():
        return read_kek(f"file:{places.kek}", data_folder=places.database.parent)
    if places.database.exists():
        text = f"{places.database} exists, but its key {places.kek} does not: restore the key, or remove the database"
        raise CommandFailed(text, REFUSED)
    kek = new_kek(SystemChance())
    write_whole(places.kek, kek.text.encode() + b"\n", mode=0o600)
    return kek


def _fill(store: SqlStore, places: Places, origins: tuple[str, ...], listen: str) -> str:
    store.initialise()
    now = SystemClock().now()
    store.write(lambda records: identity.make(records, now))
    with store.read() as records:
        own = identity.load(records)
    identity.keep_api_certificate(places.tls, own.certificates[0], origins, now)
    token = store.write(_add_token)
    here = f"https://127.0.0.1:{listen.rpartition(':')[2]}" if _reaches_loopback(listen) else origins[0]
    profile = {"url": here, "token": token, "ca_file": "tls/ca.pem"}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in profile.items()]
    write_whole(
        places.profile, "".join(["# how `certline` on this machine reaches its master\n", *lines]).encode(), mode=0o600
    )
    return token


def _add_token(records: Records) -> str:
    chance, now = SystemChance(), SystemClock().now()
    token = new_token(chance)
    taken = any(one.name == "init" for one in records.tokens.all(SYSTEM))  # cut off before, or by another master
    name = f"init-{token.prefix}" if taken else "init"
    row = AdminToken(chance.uuid(), name, Role.ADMIN, token.prefix, now, now + TOKEN_LIFETIME)
    records.tokens.add(SYSTEM, row, token.sha256)
    text = "certline was initialised, with a first admin token"
    records.events.add(SYSTEM, "instance.initialised", "instance", text, now=now, data={"prefix": token.prefix})
    return token.text


def _default_listen(origins: tuple[str, ...]) -> str:
    port = origins[0].removeprefix("https://").rpartition("]")[2].rpartition(":")[2]
    return f"0.0.0.0:{port if port.isdigit() else 443}"


def _relative(url: str, folder: Path) -> str:
    """The URL of a database below the folder as it counts from there."""
    return url.replace(f"sqlite:///{folder}/", "sqlite:///")


def _tell(places: Places, url: str, token: str) -> None:
    echo: Callable[[str], None] = click.echo
    echo(f"settings     {places.settings}")
    echo(f"database     {redact(url.removeprefix('sqlite:///'))}")
    echo(f"key (KEK)    {places.kek}   back it up apart from the database: without it no secret can be read")
    echo(f"API          {places.tls / 'api.pem'}, from a private CA made for it")
    echo(f"admin        {places.profile}   used by `certline` on this machine")
    echo("")
    echo(f"The first admin token, shown this once (valid for {TOKEN_LIFETIME.days} days):")
    echo(f"  {token}")
    echo("")


def _tell_next(places: Places) -> None:
    config = "" if places.folder == settings.SYSTEM_FOLDER else f"--config {places.settings} "
    click.echo(f"Next: certline {config}serve")
