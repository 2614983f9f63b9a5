"""Admin tokens made on the master's machine, without asking the API: who has the database needs no other proof."""

from datetime import timedelta
from typing import Any

from certline_master.cli.local_store import local_store


def make(
    config: str | None, name: str, *, role: str, seconds: int | None, forever: bool, networks: tuple[str, ...]
) -> dict[str, Any]:
    """The new token as the API answers it. Raises CommandFailed."""
    from certline_master.api import admin_tokens  # late: most commands need neither API nor store
    from certline_master.domain.access import SYSTEM
    from certline_master.domain.errors import Fault, Invalid
    from certline_master.domain.model import AdminToken
    from certline_master.domain.networks import BadNetwork, network_of
    from certline_master.domain.ports import Records
    from certline_shared.chance import SystemChance
    from certline_shared.clock import SystemClock
    from certline_shared.messages import time_text
    from certline_shared.names import BadName, check_object_name

    chance, now = SystemChance(), SystemClock().now().replace(microsecond=0)
    fresh = admin_tokens.new_token(chance)
    life = timedelta(seconds=seconds) if seconds is not None else admin_tokens.USUAL_LIFE

    with local_store(config) as (_, store):
        try:
            check_object_name(name, "token")
            known = tuple(map(network_of, networks))
        except (BadName, BadNetwork) as error:
            raise Invalid(Fault("--network" if isinstance(error, BadNetwork) else "NAME", str(error))) from None
        token = AdminToken(chance.uuid(), name, role, fresh.prefix, now, None if forever else now + life, known)

        def write(records: Records) -> None:
            records.tokens.add(SYSTEM, token, fresh.sha256)
            text = f"an admin token with the role {role} was made on the master's machine"
            data = {"role": role, "prefix": fresh.prefix, "networks": list(known)}
            records.events.add(SYSTEM, "token.made", f"token:{name}", text, now=now, data=data)

        store.write(write)
    expires = time_text(token.expires) if token.expires else None
    return {"name": name, "role": role, "networks": list(known), "expires": expires, "token": fresh.text}
