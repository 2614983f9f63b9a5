"""Many followers in one process: each signs with its own key, over TLS, on a connection that it keeps."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bench._fleet_master import CHANCE, CLOCK, Identity, Invitation
from certline_shared import enrolment, messages, sealing, signing
from certline_shared.messages import EnrolRequest
from certline_shared.signing import RequestParts

LONGEST_WAIT = 55
SHORTEST_PAUSE, LONGEST_PAUSE = 10.0, 1800.0  # of a follower whose request failed
ADDRESSES = 200
"""Loopback addresses that the followers come from: a master limits what one address may hold open."""


@dataclass(slots=True)
class Tally:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    converged: dict[str, float] = field(default_factory=dict)  # by follower: when it had what it asks for
    open: int = 0  # requests that are not answered yet

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Simulated:
    """One follower; a request is tried anew once on a fresh connection, as a client does whose kept one was closed."""

    def __init__(self, identity: Identity, port: int, context: ssl.SSLContext, place: int) -> None:
        self.identity, self._port, self._context = identity, port, context
        self._source = f"127.0.{1 + place % ADDRESSES // 250}.{1 + place % min(ADDRESSES, 250)}"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.etag = ""

    async def poll(self, wait: int = 0) -> Answer:
        answer = await self.ask("GET", "/v1/follower/manifest", f"wait={wait}" if wait else "")
        if answer.status == 200:
            self.etag = answer.headers["etag"]
        return answer

    async def ask(self, method: str, path: str, query: str = "", body: bytes = b"", keyid: str = "") -> Answer:
        kept = self._streams is not None
        try:
            return await self._once(method, path, query, body, keyid)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            if not kept:
                raise
            return await self._once(method, path, query, body, keyid)

    async def _once(self, method: str, path: str, query: str, body: bytes, keyid: str) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._context, local_addr=(self._source, 0), limit=4096
            )
        reader, writer = self._streams
        writer.write(self._request(method, path, query, body, keyid))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        length = int(headers.get("content-length", "0"))
        content = await reader.readexactly(length) if length else b""
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(head[0].split()[1]), headers, content)

    def _request(self, method: str, path: str, query: str, body: bytes, keyid: str) -> bytes:
        authority = f"localhost:{self._port}"
        parts = RequestParts(method, authority, path, query, "application/json" if body else None, body)
        nonce = CHANCE.token(16).hex()
        signed = signing.sign_request(
            self.identity.key, parts, keyid=keyid or self.identity.follower_id, nonce=nonce, created=CLOCK.now()
        )
        lines = [
            f"{method} {path}{f'?{query}' if query else ''} HTTP/1.1",
            f"Host: {authority}",
            "Certline-Protocol: 1",
        ]
        lines += [f"{name}: {value}" for name, value in signed.items()]
        lines += [f"If-None-Match: {self.etag}"] if self.etag else []
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*lines, "", ""]).encode() + body

    def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams:
            streams[1].transport.abort()


class Herd:
    def __init__(self, identities: Sequence[Identity], port: int, ca: str) -> None:
        context = ssl.create_default_context(cafile=ca)
        context.check_hostname = False
        self.followers = [Simulated(one, port, context, place) for place, one in enumerate(identities)]
        self._context, self._port = context, port

    async def each(self, act: Callable[[Simulated], Awaitable[Answer]], at_once: int) -> Tally:
        """Every follower does it once, so many at a time."""
        tally, room = Tally(), asyncio.Semaphore(at_once)

        async def one(follower: Simulated) -> None:
            async with room:
                await _timed(follower, act, tally)

        await asyncio.gather(*(one(follower) for follower in self.followers))
        return tally

    async def at_their_pace(self, interval: float, seconds: float) -> Tally:
        """Each polls every `interval` seconds from a moment of its own, all for that long."""
        tally, end = Tally(), time.monotonic() + seconds

        async def one(follower: Simulated) -> None:
            pause = CHANCE.uniform(0, interval)
            while time.monotonic() + pause < end:
                await asyncio.sleep(pause)
                await _timed(follower, Simulated.poll, tally)
                pause = interval

        await asyncio.gather(*(one(follower) for follower in self.followers))
        return tally

    async def as_fast_as_they_can(self, count: int, seconds: float) -> Tally:
        """Some of them poll again and again."""
        tally, end = Tally(), time.monotonic() + seconds

        async def one(follower: Simulated) -> None:
            while time.monotonic() < end:
                await _timed(follower, Simulated.poll, tally)

        await asyncio.gather(*(one(follower) for follower in self.followers[:count]))
        return tally

    async def come_back(self, spread: float, deadline: float) -> Tally:
        """After an outage each tries within that time, and again by the follower's rules, until it was served."""
        tally, began = Tally(), time.monotonic()
        tries = [self._until(follower, (200, 304), spread, 0, tally) for follower in self.followers]
        await within(deadline, [asyncio.create_task(one) for one in tries])
        tally.converged = {name: at - began for name, at in tally.converged.items()}
        return tally

    def wait_for_news(self, spread: float, tally: Tally) -> "list[asyncio.Task[None]]":
        """Each opens a long-poll within that time, and again by the follower's rules, until it is told of a change."""
        waits = [self._until(follower, (200,), spread, LONGEST_WAIT, tally) for follower in self.followers]
        return [asyncio.create_task(one) for one in waits]

    async def _until(
        self, follower: Simulated, wanted: tuple[int, ...], spread: float, wait: int, tally: Tally
    ) -> None:
        await asyncio.sleep(CHANCE.uniform(0, spread))
        pause = SHORTEST_PAUSE
        while True:
            answer = await _timed(follower, lambda one: one.poll(wait), tally)
            if answer and answer.status in wanted:
                tally.converged[follower.identity.follower_id] = time.monotonic()
                return
            told = float(answer.headers.get("retry-after", "0")) if answer else 0.0
            if answer and answer.status == 304 and not told:  # it waited in vain
                pause = SHORTEST_PAUSE
                continue
            await asyncio.sleep(max(told, CHANCE.uniform(0, pause)))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def enrol(self, invitations: Sequence[Invitation], at_once: int) -> Tally:
        """Hosts that have a token each: keys, MAC and signature as the follower makes them."""
        tally, room = Tally(), asyncio.Semaphore(at_once)

        async def one(invitation: Invitation, place: int) -> None:
            async with room:
                await _timed(self._newcomer(place), lambda host: host.ask(*_enrolment(host, invitation)), tally)

        await asyncio.gather(*(one(invitation, place) for place, invitation in enumerate(invitations)))
        return tally

    def _newcomer(self, place: int) -> Simulated:
        private, _ = signing.generate_identity()
        return Simulated(Identity("", f"new-{place}", private), self._port, self._context, 0)  # all from one address

    def close(self) -> None:
        for follower in self.followers:
            follower.close()


def _enrolment(host: Simulated, invitation: Invitation) -> tuple[str, str, str, bytes, str]:
    _, sealing_key = sealing.generate()
    request = EnrolRequest(
        token_id=invitation.token_id,
        identity_key=signing.identity_public(host.identity.key),
        sealing_key=sealing_key,
        sealing_suite=sealing.SUITE,
        nonce=CHANCE.token(16).hex(),
        protocol=messages.PROTOCOL,
        agent="bench 1",
    )
    mac = enrolment.request_mac(enrolment.mac_key(invitation.secret), messages.encode(request, without=("mac",)))
    body = messages.encode(EnrolRequest(**{name: getattr(request, name) for name in request.__slots__} | {"mac": mac}))
    return "POST", "/v1/enroll", "", body, invitation.token_id


async def within(seconds: float, tasks: "list[asyncio.Task[None]]") -> None:
    """What is not done by then is given up."""
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()


async def _timed(follower: Simulated, act: Callable[[Simulated], Awaitable[Answer]], tally: Tally) -> Answer | None:
    began = time.monotonic()
    tally.open += 1
    try:
        answer = await act(follower)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as fault:
        follower.close()
        tally.statuses[type(fault).__name__] += 1
        return None
    finally:
        tally.open -= 1
    tally.seconds.append(time.monotonic() - began)
    tally.statuses[str(answer.status)] += 1
    return answer
