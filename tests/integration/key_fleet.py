"""Lines that share the key `pair`, two hosts that may pull them, and what is to be seen of both."""

from datetime import timedelta
from typing import Any

from tests.integration.api_bed import Bed
from tests.integration.api_fleet import FLEET

SOON, DAY = timedelta(minutes=20), timedelta(days=1)
HOST_NAMES = ("web-1", "web-2")


def fleet(lines: tuple[str, ...] = ("shop", "blog"), **key: Any) -> dict[str, Any]:
    """Lines that share the key `pair`, which web-1 and web-2 may pull."""
    pulls = {"grants": {"pull": list(lines)}}
    wanted = {name: {"custody": "master", "names": [f"{name}.example.com"], "key": "pair"} for name in lines}
    return FLEET | {"http": {}, "keys": {"pair": key}, "followers": dict.fromkeys(HOST_NAMES, pulls), "lines": wanted}


def shown(bed: Bed, name: str = "pair") -> Any:
    answer = bed.ask("GET", f"/v1/keys/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def pins(bed: Bed, slot: str, name: str = "pair") -> list[str]:
    return [one["spki_sha256"] for one in shown(bed, name)["keys"] if one["slot"] == slot]


def live_pins(bed: Bed, line: str) -> list[str]:
    versions = bed.ask("GET", f"/v1/lines/{line}").json()["versions"]
    live = next(one for one in versions if one["state"] == "live")
    return [certificate["spki_sha256"] for certificate in live["certificates"]]


def states(bed: Bed, line: str) -> dict[int, str]:
    return {one["number"]: one["state"] for one in bed.ask("GET", f"/v1/lines/{line}").json()["versions"]}


def roll_over(bed: Bed, name: str = "pair", *, force: bool = False) -> Any:
    return bed.ask("POST", f"/v1/keys/{name}/rollover", {"force": force})
