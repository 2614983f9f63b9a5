"""One connection of the API's listener: uvicorn's protocol with limits on time, size and queued requests.

A client has READ_SECONDS from its connection's start, or from a later request's first byte, until its request is
there to the last byte; how it spends them (no TLS hello, half a header, a byte a second) makes no difference. An
answer is under no such limit: a follower may wait for news.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from certline_master.api import problems
from certline_master.places import Place
from certline_shared.messages import encode

READ_SECONDS = 10.0
IDLE_SECONDS = 75  # between two requests: more than a follower's long-poll lasts
TAKE_SECONDS = 60.0  # for a client that does not take its answer
CLOSING_SECONDS = 5.0  # for a client that does not let go
MOST_HEAD_BYTES = 32_768  # of a request but its body: head, trailers, chunk sizes
MOST_QUEUED = 8  # requests sent before the first was answered

_STATUS_LINES = {
    400: b"HTTP/1.1 400 Bad Request\r\n",
    408: b"HTTP/1.1 408 Request Timeout\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the listener waits for a client."""

    read_seconds: float = READ_SECONDS
    take_seconds: float = TAKE_SECONDS


class Connection(HttpToolsProtocol):
    """httptools reads the requests (and refuses what can be read in two ways); this says for how long and how much."""

    def __init__(self, place: Place, patience: Patience, since: float, **known: Any) -> None:
        super().__init__(**known)
        self._place, self._patience = place, patience
        self._begun = False  # a request's first byte came, its last one did not
        self._in_head = True
        self._beside_body = 0  # bytes of the request under way that are not its body
        self._refusal = (400, "this cannot be read as a request, or not in one way only")
        self._timer: asyncio.TimerHandle | None = None
        self._arm(since + patience.read_seconds - self.loop.time())

    # --- the connection ---

    def connection_lost(self, exc: Exception | None) -> None:
        self.forget()
        super().connection_lost(exc)

    def forget(self) -> None:
        """It ended, perhaps before it began."""
        self._disarm()
        self._place.leave()

    def shutdown(self) -> None:
        """The master stops: what is under way is answered, what was answered may still be on its way."""
        if self._answering:
            super().shutdown()
        elif self.transport.get_write_buffer_size():
            self._close()
        else:
            self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._arm(self._patience.take_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._disarm()

    # --- a request, as it comes in ---

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._timer is None and not self._answering:
            self._arm(self._patience.read_seconds)
        self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(*_too_long())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are dropped: they come after whoever stands in front of us has checked the headers.

        Blanks at a value's end are not part of it (RFC 9110 section 5.5), and the parser leaves them.
        """
        if self._in_head:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._check_head()
        super().on_headers_complete()

    def _check_head(self) -> None:
        """Raises ValueError, which the parser turns into a refusal."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MOST_HEAD_BYTES:
            self._refusal = _too_long()
        elif not self.url.startswith(b"/"):  # RFC 9112 section 3.2: the other forms are for proxies
            self._refusal = (400, "the request's target has to be a path")
        elif sum(name == b"host" for name, _ in self.headers) > 1:
            self._refusal = (400, "the header Host stands there more than once")
        elif self.parser.get_http_version() in ("1.0", "1.1") and len(self.pipeline) < MOST_QUEUED:
            return
        raise ValueError

    def on_body(self, body: bytes) -> None:
        self._beside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._begun, self._in_head, self._beside_body = False, True, 0
        self._disarm()
        self._place.answers()

    def _unsupported_upgrade_warning(self) -> None:
        """What follows a request for another protocol is not read, so it is the connection's last one."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    # --- its end ---

    def on_response_complete(self) -> None:
        unread = not self.pipeline and self.cycle.more_body
        super().on_response_complete()
        if unread or self.transport.is_closing():
            self._close()
        elif not self._answering:
            self._forget_request()
            self._place.rests()
        if self._begun and self._timer is None:
            self._arm(self._patience.read_seconds)

    def _forget_request(self) -> None:
        """It was answered: thousands of connections rest, and what stays of each request is most of what they hold."""
        self.cycle, self.scope, self.headers = None, None, []  # type: ignore[assignment]  # as at first

    def send_400_response(self, msg: str) -> None:
        del msg
        self._refuse(*self._refusal)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _refuse(self, status: int, detail: str) -> None:
        """Answer the request under way, unless the client would take that for the answer to a former one."""
        if self._answering:
            in_its_body = self._begun and not self._in_head and not self.pipeline
            if not in_its_body or self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_answer(status, detail))
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._arm(CLOSING_SECONDS)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.transport is None:  # in its handshake, which has the same limit
            return
        if self._begun and not self.transport.is_closing():
            self._refuse(408, f"the request did not come within {self._patience.read_seconds:g} seconds")
        else:
            self.transport.abort()


def _too_long() -> tuple[int, str]:
    return 431, f"the request has more than {MOST_HEAD_BYTES} bytes beside its body"


def _answer(status: int, detail: str) -> bytes:
    kind = "too-large" if status == 431 else "bad-message"
    body = encode(problems.make(kind, detail, status=status))
    head = f"content-type: {problems.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return _STATUS_LINES[status] + head.encode() + body
