"""One logging set-up for both sides: JSON lines, or plain ones for a terminal, and no secret in either.

Fields go in by name: `log.info("order done", extra={"line": "shop", "seconds": 0.4})`. What may never pass is taken
out at the last door, the formatter, so that a library's logger and a traceback go through it too.
"""

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, TextIO

Style = Literal["json", "plain"]

MOST_TEXT = 4_000  # of one value: what an outside party says must not fill the disk
HIDDEN = "***"

_SECRET_WORDS = (
    "secret", "password", "passphrase", "passwd", "token", "authorization", "cookie", "credential", "private", "kek",
    "api_key", "apikey", "mac_key", "hmac",
)  # fmt: skip
_HARMLESS = re.compile(r"(?:^|_)(?:id|ids|name|names|prefix|count|state|expires_at)$")
_PATTERNS = (
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?<=certline-enrol-)[0-9]+\.[A-Za-z0-9_-]+"),
    re.compile(r"(?i)(?<=bearer )\s*[^\s\"',;]+"),
    re.compile(r"(?i)(?<=authorization: )[^\r\n]+"),
    re.compile(r"(?<=//)[^/@\s:]+:[^/@\s]+(?=@)"),  # a URL's user and password
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def is_secret(field: str) -> bool:
    """Whether a field of this name holds a secret: its value never passes. `token_id` is none, `token` is one."""
    lowered = field.lower().replace("-", "_")
    return any(word in lowered for word in _SECRET_WORDS) and _HARMLESS.search(lowered) is None


def redact(text: str) -> str:
    """The text without private key blocks, enrolment strings, bearer tokens and passwords in URLs."""
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text


def set_up(stream: TextIO, *, style: Style, level: str = "INFO") -> None:
    """Send every logger's records of at least `level` to the stream, in place of what was set up before.

    Raises ValueError for an unknown level.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if style == "json" else PlainLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a full disk under the log must not stop the work
    for chatty in ("acme", "httpcore", "httpx", "urllib3", "sqlalchemy"):  # they log whole messages below this
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, event, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        line = head | {"event": _clean(record.getMessage())} | dict(_fields(record))
        if record.exc_info:
            line["exception"] = _clean(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """One line for people: time, level unless it is information, what happened, name=value."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        fields = "".join(f" {name}={_shown(value)}" for name, value in _fields(record))
        line = f"{_time(record)} {level}{_one_line(_clean(record.getMessage()))}{fields}"
        if record.exc_info:
            line += "\n" + _clean(self.formatException(record.exc_info))
        return line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    for name, value in vars(record).items():
        if name not in _STANDARD and not name.startswith("_"):
            yield name, _clean_field(name, value)


def _clean_field(name: str, value: object) -> object:
    """Secrets hidden at every depth; bytes are never shown, only their length."""
    if is_secret(name):
        return HIDDEN
    if isinstance(value, dict):
        return {str(key): _clean_field(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean_field("", item) for item in value]
    if value is None or isinstance(value, int | float):
        return value
    return _clean(_as_text(value))


def _as_text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _clean(text: str) -> str:
    text = redact(text)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text)} characters)"


def _shown(value: object) -> str:
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(' "'):
        return value
    return _one_line(json.dumps(value, ensure_ascii=False, default=str))


def _one_line(text: str) -> str:
    """Control characters spelt out: an outside text can neither forge a line nor steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
