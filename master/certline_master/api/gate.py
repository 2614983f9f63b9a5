"""The gate that every request passes: size, who is asking, and for followers the signature under the answer.

It stands before routing, so that an unknown route, a refusal and a failure of ours are treated like any answer. And it
is where a follower waits for news: thousands of them would fill the memory with what the routes need for each.
"""

import asyncio

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certline_master.api import polls, problems
from certline_master.api.callers import Callers, Judged
from certline_master.api.incoming import Incoming, read_body
from certline_master.api.long_polls import LongPolls
from certline_master.api.overload import Overload
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_shared.bundles import MOST_RECEIPT_BYTES
from certline_shared.messages import MOST_BODY_BYTES
from certline_shared.signing import sign_answer

MOST_FLEET_BYTES = 8_388_608  # some thirty thousand lines
HEALTH = frozenset({"/healthz", "/readyz"})  # need no thread; and nobody restarts a master for having much to do
OPEN = HEALTH | frozenset({"/v1/docs", "/v1/openapi.json", "/v1/enroll"})
OPEN_TO_POST = "/v1/introductions"  # its GET is for people


class Gate:
    """ASGI middleware. It leaves `caller` (none on open routes) and `incoming` in the request's state."""

    def __init__(self, app: ASGIApp, services: Services, long_polls: LongPolls) -> None:
        self._app, self._services, self._long_polls = app, services, long_polls
        self._callers = Callers(services)
        self._overload = Overload(services.chance, services.most_waiting)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._services.trusted_proxies.told(scope)
        try:
            if scope["path"] not in HEALTH:
                self._overload.check()
        except problems.Refused as refusal:
            await problems.answer_to(refusal)(scope, receive, send)
            return
        if scope["path"].startswith("/v1/follower/"):
            await self._follower(scope, receive, send)
            return
        try:
            caller = await self._admin(scope)
            body = await read_body(scope, receive, _most(scope))
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 a refusal, or a store that fails: both are answered
            await problems.answer_to(error)(scope, receive, send)
        else:
            await self._pass(scope, caller, Incoming.of(scope, body), receive, send)

    async def _admin(self, scope: Scope) -> Caller | None:
        """Who asks; anything under /v1 that is not open needs a token, routes that do not exist too."""
        introduces = scope["method"] == "POST" and scope["path"] == OPEN_TO_POST
        if introduces or scope["path"] in OPEN or not scope["path"].startswith("/v1/"):
            return None
        return await run_in_threadpool(self._callers.admin, Incoming.of(scope, b""))

    async def _follower(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = None
        try:
            incoming = Incoming.of(scope, await read_body(scope, receive, MOST_BODY_BYTES))
            judged = await run_in_threadpool(self._callers.follower, incoming)
            nonce = judged.nonce
            answer = await self._answer(scope, judged, incoming, receive)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 as above
            answer = _Captured()
            await problems.answer_to(error)(scope, receive, answer.send)
        signature = self._signature(answer, nonce or "unknown-follower")  # made in any case: the time tells nothing
        await answer.forward(send, signature if nonce else {})

    async def _answer(self, scope: Scope, judged: Judged, incoming: Incoming, receive: Receive) -> "_Captured":
        """Raises what the request is refused for."""
        if isinstance(judged.caller, Exception):
            raise judged.caller
        seconds = polls.seconds_to_wait(incoming)
        if seconds:
            return await self._when_there_is_news(scope, judged.caller, incoming, receive, seconds)
        if judged.unchanged:  # nearly all polls: they need no route and no second thread
            return await _not_modified(judged.unchanged, scope, receive)
        return await self._from_routes(scope, judged.caller, incoming, receive)

    async def _when_there_is_news(
        self, scope: Scope, caller: Caller, incoming: Incoming, receive: Receive, seconds: int
    ) -> "_Captured":
        """An answer 304 is held back until there is another, or its time is over."""
        until = asyncio.get_running_loop().time() + seconds
        with self._long_polls.seat(caller.follower_id or "") as seat:
            answer = await self._look(scope, caller, incoming, receive)
            while answer.status == 304 and await seat.news(receive, until):
                async with self._long_polls.looking:
                    answer = await self._look(scope, caller, incoming, receive)
        if seat.full and answer.status == 304:  # they are told to ask again at different times
            answer.headers["Retry-After"] = str(round(self._services.chance.uniform(15, 45)))
        return answer

    async def _look(self, scope: Scope, caller: Caller, incoming: Incoming, receive: Receive) -> "_Captured":
        """As it stands now. The mark is read anew: what changed before the seat was taken rings no more."""
        unchanged = await run_in_threadpool(self._callers.unchanged, caller, incoming)
        if unchanged:
            return await _not_modified(unchanged, scope, receive)
        return await self._from_routes(scope, caller, incoming, receive)

    async def _from_routes(self, scope: Scope, caller: Caller, incoming: Incoming, receive: Receive) -> "_Captured":
        answer = _Captured()
        await self._pass({**scope}, caller, incoming, receive, answer.send)  # a copy: they write into it
        return answer

    async def _pass(
        self, scope: Scope, caller: Caller | None, incoming: Incoming, receive: Receive, send: Send
    ) -> None:
        """Hand over to the routes. What they raise unexpectedly becomes a problem document, unless an answer began."""
        scope.setdefault("state", {}).update(caller=caller, incoming=incoming)
        began = False

        async def watched(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, _replay(incoming.body, receive), watched)
        except ClientDisconnect:
            return
        except Exception as error:  # the last stop before the server
            if began:
                raise
            await problems.answer_to(error)(scope, receive, send)

    def _signature(self, answer: "_Captured", nonce: str) -> dict[str, str]:
        identity = self._services.identity
        return sign_answer(
            identity.private,
            status=answer.status,
            body=bytes(answer.body),
            etag=answer.headers.get("etag"),
            nonce=nonce,
            created=self._services.clock.now(),
            keyid=identity.keyid,
        )


async def _not_modified(tag: str, scope: Scope, receive: Receive) -> "_Captured":
    answer = _Captured()
    await Response(status_code=304, headers={"ETag": tag})(scope, receive, answer.send)
    return answer


class _Captured:
    """An answer held back until it is signed; the follower's answers are small."""

    def __init__(self) -> None:
        self._start: Message | None = None
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    @property
    def status(self) -> int:
        return int(self._start["status"]) if self._start else 500

    @property
    def headers(self) -> MutableHeaders:
        return MutableHeaders(scope=self._start or {"headers": []})

    async def forward(self, send: Send, more: "dict[str, str]") -> None:
        if self._start is None:  # the client went away
            return
        headers = self.headers
        headers.update(more)
        await send({**self._start, "headers": headers.raw})
        await send({"type": "http.response.body", "body": bytes(self.body)})


def _most(scope: Scope) -> int:
    if scope["path"].startswith("/v1/followers/") and scope["path"].endswith("/receipt"):
        return MOST_RECEIPT_BYTES
    return MOST_FLEET_BYTES if scope["path"].startswith("/v1/fleet/") else MOST_BODY_BYTES


def _replay(body: bytes, receive: Receive) -> Receive:
    """`receive` for an application that has not seen the body yet."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
