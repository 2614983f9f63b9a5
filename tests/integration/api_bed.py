"""A master's API on a real server, store and engine, and clients for it: a follower that signs, people with tokens."""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from certline_master.api.admin_tokens import new_token
from certline_master.api.app import build_app
from certline_master.api.forwarded import TrustedProxies
from certline_master.api.overload import MOST_WAITING
from certline_master.api.services import MasterIdentity, Services
from certline_master.connection import Patience
from certline_master.domain.access import SYSTEM, Role
from certline_master.domain.model import (
    AdminToken,
    Event,
    Follower,
    FollowerState,
    Grant,
    GrantKind,
    Owner,
)
from certline_master.domain.ports import Store
from certline_master.door import Door
from certline_master.places import Places
from certline_master.server import ApiServer, listen
from certline_master.store.kek import Kek
from certline_master.store.opening import SqlStore, open_store
from certline_master.store.schema import migrate
from certline_shared import enrolment, signing
from tests.fakes.ca import FakeAuthorities, FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine
from tests.fakes.solver import FakeSolver
from tests.integration.api_hosts import (
    HOST,
    JSON,
    MASTER_PRIVATE,
    MASTER_PUBLIC,
    SEALING_PUBLIC,
    FollowerClient,
    NewHost,
)


@dataclass
class Bed:
    """A running master. `http` speaks to it as anybody may."""

    engine: Engine
    services: Services
    http: httpx.Client
    url: str
    tokens: Mapping[Role, str]
    app: Any
    not_ready: list[str]  # why, for /readyz

    @property
    def store(self) -> Store:
        return self.engine.store

    @property
    def clock(self) -> FakeClock:
        return self.engine.clock

    # --- people and scripts ---

    def ask(self, method: str, path: str, body: Any = None, *, role: Role | None = Role.ADMIN) -> httpx.Response:
        """A request with the token of that role; `body` is sent as JSON, bytes as they are."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        if body is None:
            return self.http.request(method, path, headers=headers)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.request(method, path, headers=headers | {"Content-Type": JSON}, content=content)

    def apply(self, desired: Any, *, force: bool = False) -> httpx.Response:
        """Plan and apply."""
        planned = self.ask("POST", "/v1/fleet/plan", {"desired": desired})
        if planned.status_code != 200:
            return planned
        return self.ask("POST", "/v1/fleet/apply", {"desired": desired, "hash": planned.json()["hash"], "force": force})

    def new_token(self, role: Role, *, seconds: int) -> tuple[str, str]:
        """A token that lives so long, and its id."""
        made, expires = new_token(self.engine.chance), self.clock.now() + timedelta(seconds=seconds)
        token_id = self.engine.chance.uuid()
        token = AdminToken(token_id, f"short-lived-{token_id}", role, made.prefix, self.clock.now(), expires)
        self.store.write(lambda records: records.tokens.add(SYSTEM, token, made.sha256))
        return made.text, token.id

    # --- followers ---

    def follower(
        self, name: str = "web-1", grants: "tuple[str, ...]" = ("blog.example.com",), *, pulls: "tuple[str, ...]" = ()
    ) -> "FollowerClient":
        """An enrolled follower (without going through enrolment, which has tests of its own)."""
        client = FollowerClient(self, *signing.generate_identity(), name=name)
        granted = tuple(Grant(GrantKind.REQUEST, grant) for grant in grants)
        granted += tuple(Grant(GrantKind.PULL, line) for line in pulls)
        follower = Follower(
            client.follower_id, name, Owner.API, FollowerState.ACTIVE, granted, client.public, SEALING_PUBLIC
        )
        self.store.write(lambda records: records.followers.save(SYSTEM, follower))
        return client

    def enrolled(self, name: str) -> "FollowerClient":
        """The host of a follower that an operator made, enrolled."""
        host = NewHost(self, self.enrolment_string(name))
        follower_id = host.believed(host.enrol()).follower_id
        return FollowerClient(self, host.private, host.public, name=name, follower_id=follower_id)

    def enrolment_string(self, name: str = "web-1") -> enrolment.EnrolmentString:
        made = self.ask("POST", f"/v1/followers/{name}/token")
        assert made.status_code == 200, made.text
        return enrolment.from_text(made.json()["enrolment"])

    # --- what is on record ---

    def events(self, kind: str) -> list[Event]:
        with self.store.read() as records:
            return [event for event in records.events.all(SYSTEM, limit=1000) if event.kind == kind]

    def stored_follower(self, name: str = "web-1") -> Follower:
        with self.store.read() as records:
            return records.followers.get(SYSTEM, name)

    def set_state(self, name: str, state: FollowerState) -> None:
        def work(records: Any) -> None:
            follower = records.followers.get(SYSTEM, name)
            records.followers.save(SYSTEM, replace(follower, state=state))

        self.store.write(work)


@contextmanager
def running_master(
    url: str,
    *,
    long_polls: int = 10,
    proxies: TrustedProxies | None = None,
    patience: Patience | None = None,
    places: Places | None = None,
    most_waiting: int = MOST_WAITING,
    clock: FakeClock | None = None,
) -> Iterator[Bed]:
    """A master on that database, at http://127.0.0.1 on a free port."""
    clock, chance = clock or FakeClock(), SeededChance()
    migrate(url)
    store = open_store(url, kek=Kek(b"k" * 32), clock=clock, chance=chance)
    store.initialise()
    ca = FakeCa(clock)
    engine = Engine(store, clock, chance, ca)
    not_ready: list[str] = []
    services = Services(
        store=store,
        authorities=FakeAuthorities(ca),
        solvers={"rfc2136": engine.solver, "responder": FakeSolver(), "listener": engine.solver},
        dns=engine.dns,
        bell=engine.bell,
        clock=clock,
        chance=chance,
        identity=MasterIdentity(
            MASTER_PRIVATE, MASTER_PUBLIC, signing.thumbprint(MASTER_PUBLIC), None, 1, ("ab" * 32,)
        ),
        origins=(f"https://{HOST}",),
        trust="pin",
        long_polls=long_polls,
        ready=lambda: not_ready[0] if not_ready else None,
        version="0.1.0",
        trusted_proxies=proxies or TrustedProxies(),
        most_waiting=most_waiting,
    )
    app = build_app(services)
    tokens = {role: _make_token(store, role, chance, clock) for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN)}
    try:
        with serving(app, patience, places) as address, httpx.Client(base_url=address, timeout=60) as http:
            yield Bed(engine, services, http, address, tokens, app, not_ready)
    finally:
        store.close()


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'certline.sqlite'}"


def _make_token(store: SqlStore, role: Role, chance: SeededChance, clock: FakeClock) -> str:
    made = new_token(chance)
    token = AdminToken(chance.uuid(), f"the-{role}", role, made.prefix, clock.now(), None)
    store.write(lambda records: records.tokens.add(SYSTEM, token, made.sha256))
    return made.text


@contextmanager
def serving(
    app: Any, patience: Patience | None = None, places: Places | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """As `certline serve` does it. The socket listens before the server starts, so that no client has to wait."""
    listener = listen("127.0.0.1:0")
    port = listener.getsockname()[1]
    door = Door(listener, tls, places or Places(1000, share=lambda _address: True), patience=patience)
    server = ApiServer(app, door, stopping=app.state.long_polls.close)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
