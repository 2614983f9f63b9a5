"""What a master answers that cannot read its secrets: that it is alive, and why it can do no more.

It can neither sign for followers nor act on what people ask, so everything else is 503 with the time to ask again.
"""

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from certline_master.api import problems

RETRY_AFTER = 30


class SealedApp:
    """An ASGI application in place of the API."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/healthz"):
            await PlainTextResponse("ok\n")(scope, receive, send)
        elif scope["type"] == "http":
            refusal = problems.Refused("unavailable", self._why, headers={"Retry-After": str(RETRY_AFTER)})
            await problems.answer_to(refusal)(scope, receive, send)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return
