"""Where the audit trail goes besides the database: a file of JSON lines, a syslog daemon."""

import logging
import os
import socket
import sys
from collections.abc import Sequence
from logging.handlers import SysLogHandler
from pathlib import Path
from urllib.parse import urlsplit


class FileSink:
    """Appends to a file and syncs it. It is opened for each look, so that it may be rotated at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, lines: Sequence[str]) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Nothing is kept open."""


class SyslogSink:
    """Sends each event as one message of the facility `authpriv`: a local socket (a path), udp://HOST:PORT or tcp://."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._handler: _Handler | None = None

    def send(self, lines: Sequence[str]) -> None:
        try:
            self._handler = self._handler or _open(self._target)
            for line in lines:
                self._handler.handle(logging.LogRecord("certline", logging.INFO, "", 0, line, None, None))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        handler, self._handler = self._handler, None
        if handler:
            handler.close()


class _Handler(SysLogHandler):
    """One that says when it fails, instead of writing a traceback to stderr."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 its name in the base class
        del record
        fault = sys.exc_info()[1]
        raise OSError(f"the syslog cannot be reached: {fault}") from fault


def _open(target: str) -> _Handler:
    if target.startswith("/"):
        handler = _Handler(target, SysLogHandler.LOG_AUTHPRIV)
    else:
        parts = urlsplit(target)
        kind = socket.SOCK_DGRAM if parts.scheme == "udp" else socket.SOCK_STREAM
        handler = _Handler((parts.hostname or "", parts.port or 514), SysLogHandler.LOG_AUTHPRIV, kind)
        handler.append_nul = kind is socket.SOCK_DGRAM
    ends = "\n" if handler.socktype is socket.SOCK_STREAM else ""  # RFC 6587 section 3.4.2
    handler.setFormatter(logging.Formatter(f"certline: %(message)s{ends}"))
    return handler
