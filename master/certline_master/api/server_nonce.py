"""A nonce of the master's own that stands in for a follower's wrong clock; nothing is stored for it.

The text holds the minute it was made, random bytes, and a MAC over both and the follower's id. The follower signs
with it and a fresh part of its own, `OURS.OWN`: with ours alone, an old answer to the same nonce could be served again.
"""

import hmac
from datetime import datetime

from certline_shared.chance import Chance
from certline_shared.codec import base64url, from_base64url

LIFE_MINUTES = 5
LEAST_OWN = 16  # characters
_MINUTE_BYTES, _RANDOM_BYTES, _MAC_BYTES = 4, 12, 16


class ServerNonces:
    """Makes and knows again nonces; all masters with the same signing key agree on them."""

    def __init__(self, private: bytes, chance: Chance) -> None:
        self._key = hmac.digest(private, b"certline-server-nonce/1", "sha256")
        self._chance = chance

    def make(self, follower_id: str, now: datetime) -> str:
        said = _minute(now).to_bytes(_MINUTE_BYTES, "big") + self._chance.token(_RANDOM_BYTES)
        return base64url(said + self._mac(follower_id, said))

    def holds(self, nonce: str, follower_id: str, now: datetime) -> bool:
        """Whether we made its first part, for this follower and at most LIFE_MINUTES ago, and the other is there."""
        ours, _, own = nonce.partition(".")
        try:
            data = from_base64url(ours)
        except ValueError:
            return False
        if len(own) < LEAST_OWN:
            return False
        said, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if len(said) != _MINUTE_BYTES + _RANDOM_BYTES or not hmac.compare_digest(mac, self._mac(follower_id, said)):
            return False
        return 0 <= _minute(now) - int.from_bytes(said[:_MINUTE_BYTES], "big") <= LIFE_MINUTES

    def _mac(self, follower_id: str, said: bytes) -> bytes:
        return hmac.digest(self._key, said + follower_id.encode(), "sha256")[:_MAC_BYTES]


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60
