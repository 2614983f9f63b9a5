"""What a caller may see: a follower only what is its own, everyone else everything."""

from certline_master.domain.access import Caller, Role


def sees_all(caller: Caller) -> bool:
    return caller.role is not Role.FOLLOWER


def may_touch(caller: Caller, follower_id: str | None) -> bool:
    """Whether this follower is within the caller's sight."""
    return sees_all(caller) or caller.follower_id == follower_id


def own(caller: Caller) -> dict[str, str]:
    """The parameter of statements that are limited to a follower; one without an id sees nothing."""
    return {"own": caller.follower_id or ""}
