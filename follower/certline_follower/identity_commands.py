"""The commands about who this host is: its keys, and the ways to make it known to its master."""

import argparse
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from certline_follower import enrolment, introducing, joining, opening, rotation, settings, trust
from certline_follower import identity as identities
from certline_follower.commands import only_run, open_host
from certline_follower.ending import AWAY, BUSY, FAILED, NOTHING, REFUSED, USAGE, Failed, show
from certline_follower.host import StepFailed
from certline_follower.identity import Identity
from certline_follower.master_client import AGENT, Credentials, MasterClient
from certline_follower.master_faults import Refused, Unreachable, Untrusted
from certline_follower.recovering import recover
from certline_follower.settings import Settings
from certline_follower.trust import FirstUseContext, PinMismatch
from certline_shared import enrolment as strings
from certline_shared import introduction, names
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock

MOST_TEXT = 8_192  # characters


def enroll(options: argparse.Namespace, file: Path) -> int:
    """By a token, by a join string, or by introducing this host."""
    loaded = settings.load(file)
    if options.introduce:
        return _introduce(options, loaded)
    if options.master or options.name or options.ca_file:
        raise Failed("--master, --name and --ca-file go with --introduce", USAGE)
    text = _text(options.token_file)
    with only_run(loaded, wait=False):
        if text.strip().startswith(introduction.JOIN_PREFIX):
            made = joining.join(introduction.join_of(text), loaded.state_dir, replace=options.replace)
        else:
            made = _by_token(loaded, text, replace=options.replace)
    return _enrolled(options, made)


def _by_token(loaded: Settings, said: str, *, replace: bool) -> Identity:
    text = strings.from_text(said)
    context = opening.tls(text.trust, text.tls_pins, loaded.trust_ca_file)
    chance, clock = SystemChance(), SystemClock()
    with ExitStack() as open_clients:

        def connect(keyid: str, key: bytes) -> MasterClient:
            client = MasterClient(text.origin, context, Credentials(keyid, key, ()), clock=clock, chance=chance)
            return open_clients.enter_context(closing(client))

        return enrolment.enrol(
            text, loaded.state_dir, connect=connect, clock=clock, chance=chance, agent=AGENT, replace=replace
        )


def _enrolled(options: argparse.Namespace, made: Identity) -> int:
    data = {"follower": made.follower, "follower_id": made.follower_id, "origin": made.origin}
    show(options, data, [f"enrolled with {made.origin} as {made.follower}"])
    return NOTHING


def _text(source: str) -> str:
    """From a file or standard input, never from an argument (the process list shows those)."""
    if source == "-":
        if sys.stdin.isatty():
            _note("paste the enrolment string, then Ctrl-D:")
        return sys.stdin.read(MOST_TEXT)
    try:
        with Path(source).open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST_TEXT)
    except OSError as error:
        raise Failed(f"--token-file {source}: {error.strerror}", USAGE) from None


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 this is the command line


def keygen(options: argparse.Namespace, file: Path) -> int:
    """The public halves of this host's keys, made if there are none."""
    loaded = settings.load(file)
    with only_run(loaded, wait=False):
        public = joining.keys_in(loaded.state_dir).public
    data = {"keys": introduction.keys_text(public), "fingerprint": introduction.own_fingerprint(public)}
    if options.output == "text":
        _note(f"fingerprint {data['fingerprint']}; on the master: certline follower create NAME --keys STRING")
    show(options, data, [data["keys"]])
    return NOTHING


def _introduce(options: argparse.Namespace, loaded: Settings) -> int:
    origin = _origin(options.master)
    name = _name(options.name)
    chain = _chain(options.ca_file, loaded)
    context = trust.chained(loaded.trust_ca_file) if chain else trust.first_use()
    clock, chance = SystemClock(), SystemChance()
    with only_run(loaded, wait=False):
        keys = joining.keys_in(loaded.state_dir)
        credentials = Credentials(introduction.thumbprint(keys.public), keys.identity_key, ())
        with closing(MasterClient(origin, context, credentials, clock=clock, chance=chance)) as client:
            wanted = introducing.Wanted(origin, name, "chain" if chain else "pin", AGENT)
            introduced = introducing.Introducing(
                wanted, loaded.state_dir, client, clock, chance, _shown, _checker(context)
            )
            try:
                made = introduced.run(options.wait, again=options.replace)
            except introducing.NotApproved as pending:
                show(options, {"state": "pending", "fingerprint": pending.shown}, [])
                raise Failed(str(pending), FAILED) from None
    return _enrolled(options, made)


def _origin(text: str | None) -> str:
    if text is None:
        raise Failed("--introduce needs --master https://NAME-OR-IP:PORT", USAGE)
    origin = text.lower().rstrip("/")
    if strings.ORIGIN.fullmatch(origin) is None:
        raise Failed(f"--master {text}: write https://NAME-OR-IP:PORT, nothing more", USAGE)
    return origin


def _name(text: str | None) -> str:
    """How this host would like to be called: its own name, unless told."""
    name = text or socket.gethostname().lower()
    try:
        return names.check_object_name(name, "follower") or name
    except names.BadName as error:
        raise Failed(f"--name: {error}", USAGE) from None


def _chain(ca_file: str | None, loaded: Settings) -> bool:
    """Whether the API is known by a CA. All later runs go by the settings, so the file has to stand there."""
    if ca_file is None:
        return False
    if loaded.trust_ca_file is None or loaded.trust_ca_file.resolve() != Path(ca_file).resolve():
        raise Failed(f'--ca-file {ca_file}: write ca_file = "{ca_file}" below [master] in {loaded.file} too', USAGE)
    return True


def _shown(fingerprint: str) -> None:
    _note(f"fingerprint {fingerprint}\non the master: certline follower approve {fingerprint}")


def _checker(context: object) -> Callable[[tuple[str, ...]], None]:
    def check(pins: tuple[str, ...]) -> None:
        if isinstance(context, FirstUseContext):
            try:
                trust.check_pins(context.presented, frozenset(pins))
            except PinMismatch:
                raise Untrusted(
                    "the approval is the master's, but the connection ends before it, at a proxy with a certificate of "
                    "its own: name that one's CA with --ca-file"
                ) from None

    return check


def rotate_keys(options: argparse.Namespace, file: Path) -> int:
    """At once, or by the daemon where one runs."""
    loaded = settings.load(file)
    identities.load(loaded.state_dir)
    try:
        with only_run(loaded, wait=False):
            return _rotated(options, loaded)
    except Failed as failed:
        if failed.code != BUSY:
            raise
    rotation.ask_for(loaded.state_dir)
    show(options, {"state": "wanted"}, ["the running follower changes the keys in its next turn"])
    return NOTHING


def _rotated(options: argparse.Namespace, loaded: Settings) -> int:
    host = open_host(loaded)
    with closing(host.client):
        recover(host)
        try:
            rotation.change(host)
        except (Unreachable, StepFailed, Refused) as fault:
            code = AWAY if isinstance(fault, Unreachable) else REFUSED if isinstance(fault, Refused) else FAILED
            later = "" if isinstance(fault, StepFailed) else "; the next run goes on with it"
            raise Failed(f"the keys are not changed yet: {fault}{later}", code) from None
    show(options, {"state": "changed"}, ["this host has new keys of its own"])
    return NOTHING
