"""The key encryption key (KEK): 32 bytes that stand outside the database, and the places they may come from."""

import base64
import binascii
import hashlib
import hmac
import logging
import os
import stat
import subprocess
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from certline_master.domain.errors import Fault, Invalid
from certline_shared.chance import Chance

KEY_BYTES = 32
_EXEC_SECONDS = 10
_MOST_BYTES = 4_096

log = logging.getLogger("certline.kek")


class KekAway(Invalid):
    """The source is well described, but gives no key now: the file or credential is not there, the program failed."""


@dataclass(frozen=True, slots=True, repr=False)
class Kek:
    key: bytes

    @property
    def id(self) -> str:
        """A hash of the key: with it a wrong KEK is told from a damaged database."""
        return hmac.new(self.key, b"certline kek id", hashlib.sha256).hexdigest()[:32]

    @property
    def text(self) -> str:
        """What `read_kek` reads: base64, one line."""
        return base64.b64encode(self.key).decode("ascii")

    def proof(self, data: bytes) -> str:
        """A MAC in hex: whoever made it for this data had the key."""
        return hmac.new(self.key, b"certline kek proof\0" + data, hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return f"Kek(id={self.id})"


def new_kek(chance: Chance) -> Kek:
    return Kek(chance.token(KEY_BYTES))


def read_kek(
    source: str,
    *,
    command: Sequence[str] = (),
    data_folder: Path | None = None,
    environ: MutableMapping[str, str] | None = None,
) -> Kek:
    """The KEK from `file:PATH`, `env:NAME`, `credential:NAME` (systemd) or `exec:PROGRAM`.

    `command` is the argument vector for a plain `exec:`. A file inside `data_folder` is refused: a copy of that folder
    must not open itself. A variable is taken out of `environ` (default: the process's). Raises Invalid for the field
    /secrets/kek: KekAway where there is no key to be had now.
    """
    environ = os.environ if environ is None else environ
    scheme, _, rest = source.partition(":")
    if scheme == "file":
        return parse_kek(_from_file(Path(rest), data_folder), rest)
    if scheme == "credential":
        return parse_kek(_from_credential(rest, environ), f"credential {rest}")
    if scheme == "env":
        return parse_kek(_from_environment(rest, environ), f"variable {rest}")
    if scheme == "exec":
        return parse_kek(_from_program(list(command) or [rest]), "the program's output")
    raise _no_use("it must begin with file:, credential:, exec: or env:")


def _no_use(why: str) -> Invalid:
    return Invalid(Fault("/secrets/kek", why))


def _away(why: str) -> KekAway:
    return KekAway(Fault("/secrets/kek", why))


def parse_kek(data: bytes, where: str) -> Kek:
    """32 raw bytes, or their base64 with or without padding."""
    if len(data) == KEY_BYTES:
        return Kek(data)
    text = data.strip().rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        key = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise _no_use(f"{where} holds no key of {KEY_BYTES} bytes (raw or base64)")
    return Kek(key)


def _from_file(path: Path, data_folder: Path | None) -> bytes:
    if data_folder and path.resolve().is_relative_to(data_folder.resolve()):
        raise _no_use(f"{path} is inside the data folder {data_folder}: keep the key apart from what it protects")
    try:
        with path.open("rb") as file:
            _check_guarded(path, os.fstat(file.fileno()))
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise _away(f"cannot read {path}: {error.strerror}") from None


def _check_guarded(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise _no_use(f"{path} belongs to user {found.st_uid}, not to the user that runs certline ({os.geteuid()})")
    mode = stat.S_IMODE(found.st_mode)
    if mode not in (0o400, 0o600):
        raise _no_use(f"{path} has mode {mode:04o}: run `chmod 0400 {path}`")


def _from_credential(name: str, environ: MutableMapping[str, str]) -> bytes:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise _away(f"credential:{name} needs systemd's LoadCredential= or LoadCredentialEncrypted= in the unit")
    if not name or "/" in name or name.startswith("."):
        raise _no_use(f"credential:{name} is no name of a credential")
    try:
        return Path(folder, name).read_bytes()[:_MOST_BYTES]
    except OSError as error:
        raise _away(f"cannot read the credential {name}: {error.strerror}") from None


def _from_environment(name: str, environ: MutableMapping[str, str]) -> bytes:
    """Taken out, so that no program we start carries it."""
    value = environ.pop(name, None)
    if value is None:
        raise _away(f"the environment variable {name} is not set")
    log.warning("the KEK comes from the environment, where it shows in /proc and in crash reports: prefer credential:")
    return value.encode("utf-8", "surrogateescape")


def _from_program(argv: Sequence[str]) -> bytes:
    """No shell; what it prints is never repeated in an error."""
    if not Path(argv[0]).is_absolute():
        raise _no_use(f"exec: needs the program's absolute path, not {argv[0]!r}")
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_EXEC_SECONDS, check=False, close_fds=True
        )
    except subprocess.TimeoutExpired:
        raise _away(f"{argv[0]} gave no key within {_EXEC_SECONDS} s") from None
    except OSError as error:
        raise _away(f"cannot run {argv[0]}: {error.strerror}") from None
    if done.returncode:
        raise _away(f"{argv[0]} ended with status {done.returncode}")
    return done.stdout[:_MOST_BYTES]
