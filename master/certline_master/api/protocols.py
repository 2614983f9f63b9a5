"""Which version of the protocol a sender speaks, and that none goes back to a lower one (T16)."""

from certline_master.api.incoming import PROTOCOL_HEADER, Incoming
from certline_master.api.problems import Refused


def declared(incoming: Incoming, spoken: tuple[int, ...]) -> int:
    """The version that the sender declares, 1 when it declares none. Raises Refused for one that we do not speak."""
    said = incoming.headers.get(PROTOCOL_HEADER, "1")
    version = next((one for one in spoken if said == str(one)), None)
    if version is None:
        known = " and ".join(map(str, spoken))
        text = f"Certline-Protocol is {said[:20]!a}, this master speaks {known}: use fitting releases"
        raise Refused("bad-message", text)
    return version


def lowered(used: int, version: int) -> Refused | None:
    """The refusal of a version below the highest that this follower used."""
    if version >= used:
        return None
    text = (
        f"Certline-Protocol is {version}, this follower used {used} before: put its newer release back, "
        "or enrol it anew (certline follower token NAME --replace)"
    )
    return Refused("bad-message", text)
