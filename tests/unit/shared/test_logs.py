"""One line of log per event, with its fields, and no secret in any of it."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from certline_shared import keys, logs
from certline_shared.keys import KeyType

CANARY = "c4n4ry"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(stream, style="json", level="debug")
    return stream


@pytest.fixture
def plain() -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(stream, style="plain")
    return stream


LOG = logging.getLogger("certline.test")


def test_an_event_is_one_line_of_json_with_its_fields(lines: io.StringIO) -> None:
    LOG.info("order %s done", "o-1", extra={"line": "shop", "seconds": 0.5, "names": ("a", "b"), "error": None})
    (line,) = lines.getvalue().splitlines()
    event = json.loads(line)
    moment = datetime.fromisoformat(event.pop("time"))
    assert moment.tzinfo == UTC
    assert event == {
        "level": "info",
        "logger": "certline.test",
        "event": "order o-1 done",
        "line": "shop",
        "seconds": 0.5,
        "names": ["a", "b"],
        "error": None,
    }


def test_a_plain_line_is_for_people(plain: io.StringIO) -> None:
    LOG.warning("held back", extra={"line": "shop", "why": "two words"})
    _, _, text = plain.getvalue().partition(" ")
    assert text == 'warning: held back line=shop why="two words"\n'
    LOG.debug("not shown")
    assert "not shown" not in plain.getvalue()


def test_an_outside_text_can_neither_forge_a_line_nor_steer_a_terminal(plain: io.StringIO) -> None:
    LOG.info("said %s", "a\n2026 forged\x1b[2J\u202e", extra={"detail": "b\nc\x1b d"})
    (line,) = plain.getvalue().splitlines()
    assert line.isprintable()


SECRET_FIELDS = [
    "secret",
    "client_secret",
    "password",
    "token",
    "admin_token",
    "Authorization",
    "private_key",
    "kek",
    "api-key",
    "credentials",
    "tsig_secret",
]


@pytest.mark.parametrize("field", SECRET_FIELDS)
def test_the_value_of_a_field_named_like_a_secret_never_passes(lines: io.StringIO, field: str) -> None:
    LOG.info("x", extra={field: CANARY, "inner": {field: [CANARY]}, "listed": [{field: CANARY}]})
    assert CANARY not in lines.getvalue()
    assert json.loads(lines.getvalue())[field] == "***"


@pytest.mark.parametrize("field", ["token_id", "token_ids", "secret_name", "line", "key_types", "token_state"])
def test_a_field_that_only_names_a_secret_is_shown(lines: io.StringIO, field: str) -> None:
    LOG.info("x", extra={field: "shown"})
    assert json.loads(lines.getvalue())[field] == "shown"


PEM = keys.to_pem(keys.generate(KeyType.ECDSA_P256)).decode()
SECRET_TEXTS = {
    "a private key": (PEM, PEM.splitlines()[1]),
    "a cut private key": (PEM[:120], PEM.splitlines()[1][:40]),
    "an enrolment string": (f"certline-enrol-1.{CANARY}", CANARY),
    "a bearer token": (f"curl -H 'Authorization: Bearer {CANARY}'", CANARY),
    "a lower-case bearer token": (f"bearer {CANARY}", CANARY),
    "a basic authorization": (f"authorization: Basic {CANARY}", CANARY),
    "a password in a URL": (f"postgresql://certline:{CANARY}@db/x", CANARY),
}


@pytest.mark.parametrize(("text", "secret"), SECRET_TEXTS.values(), ids=SECRET_TEXTS.keys())
@pytest.mark.parametrize("style", ["json", "plain"])
def test_a_secret_inside_a_text_never_passes(style: logs.Style, text: str, secret: str) -> None:
    stream = io.StringIO()
    logs.set_up(stream, style=style)
    LOG.info("before %s after", text, extra={"detail": text, "inner": {"detail": [text]}})
    logging.getLogger("some.library").warning(text)
    try:
        raise ValueError(text)
    except ValueError:
        LOG.exception("failed")
    written = stream.getvalue()
    assert secret not in written
    assert "failed" in written


def test_bytes_are_told_by_their_length_only(lines: io.StringIO) -> None:
    LOG.info("x", extra={"body": CANARY.encode()})
    assert json.loads(lines.getvalue())["body"] == "6 bytes"


def test_a_long_text_is_cut(lines: io.StringIO) -> None:
    LOG.info("x" * 100_000)
    assert len(lines.getvalue()) < 5_000


def test_a_time_is_told_in_utc(lines: io.StringIO) -> None:
    LOG.info("x", extra={"due": datetime(2026, 11, 20, 12, tzinfo=UTC)})
    assert json.loads(lines.getvalue())["due"] == "2026-11-20T12:00:00Z"


def test_libraries_that_log_whole_messages_are_quiet_at_any_level(lines: io.StringIO) -> None:
    for chatty in ("acme.client", "httpx", "httpcore.http11", "urllib3", "sqlalchemy.engine"):
        logging.getLogger(chatty).info(CANARY)
    assert lines.getvalue() == ""


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        logs.set_up(io.StringIO(), style="json", level="loud")
