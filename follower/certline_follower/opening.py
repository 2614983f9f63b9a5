"""Putting a host's parts together from its settings and identity."""

import logging
from pathlib import Path
from ssl import SSLContext

from certline_follower import identity as identities
from certline_follower import trust
from certline_follower.disk import Installer
from certline_follower.host import Host
from certline_follower.identity import Identity
from certline_follower.line_keys import LineKeys
from certline_follower.master_client import Credentials, MasterClient
from certline_follower.material import Material
from certline_follower.passphrases import Passphrases
from certline_follower.settings import Settings, SettingsError
from certline_follower.state import Keeper
from certline_shared.chance import Chance
from certline_shared.clock import Clock


def open_host(
    settings: Settings, clock: Clock, chance: Chance, *, read_only: bool = False, passphrase_file: Path | None = None
) -> Host:
    """The host as it is enrolled. Raises IdentityError, SettingsError."""
    logging.getLogger("certline").addHandler(logging.NullHandler())
    identity = identities.load(settings.state_dir)
    credentials = Credentials(identity.follower_id, identity.identity_key, identity.signing_keys)
    return Host(
        settings=settings,
        identity=identity,
        client=client_for(settings, identity, credentials, clock, chance),
        installer=Installer(settings, clock),
        keeper=Keeper(settings.state_dir, read_only=read_only),
        material=Material(settings.state_dir, line_keys(settings, passphrase_file)),
        clock=clock,
        chance=chance,
    )


def line_keys(settings: Settings, passphrase_file: Path | None = None) -> LineKeys:
    """The keys of its lines; `passphrase_file` is the command's option."""
    given = {line.name: (line.key_types[0], line.key_file) for line in settings.lines if line.key_file}
    sources = {line.name: line.passphrase for line in settings.lines if line.passphrase}
    return LineKeys(settings.state_dir, given, Passphrases(sources, passphrase_file))


def client_for(
    settings: Settings, identity: Identity, credentials: Credentials, clock: Clock, chance: Chance
) -> MasterClient:
    """The file's `url` goes before the origin learnt at enrolment. Raises SettingsError."""
    context = tls(identity.trust, identity.tls_pins, settings.trust_ca_file)
    return MasterClient(settings.master_url or identity.origin, context, credentials, clock=clock, chance=chance)


def tls(kind: str, pins: tuple[str, ...], ca_file: Path | None) -> SSLContext:
    """Raises SettingsError for a CA file that cannot be used."""
    if kind == "pin":
        return trust.pinned(pins)
    try:
        return trust.chained(ca_file)
    except OSError as error:
        raise SettingsError(f"[master] ca_file {ca_file}: no CA certificates can be read there: {error}") from None
