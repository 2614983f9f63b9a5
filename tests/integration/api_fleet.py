"""A fleet to plan and apply in tests, and the words for it."""

import copy
from typing import Any

from tests.integration.api_bed import Bed

SECRET = "c2VjcmV0LW9mLXRoZS10c2lnLWtleQ=="
FLEET: dict[str, Any] = {
    "issuers": {
        "ca": {
            "directory": "https://fake-ca.example/dir",
            "contact": ["mailto:ops@example.com"],
            "profile": "classic",
            "default": True,
        }
    },
    "zones": {"example.com": {"solver": "rfc2136", "settings": {"server": "192.0.2.53"}, "secret": SECRET}},
    "http": {"www.example.net": {"solver": "listener"}},
    "followers": {"web-1": {"grants": {"request": ["blog.example.com"]}}},
    "lines": {"shop": {"follower": "web-1", "names": ["shop.example.com", "*.shop.example.com"]}},
}


def changed(**sections: Any) -> dict[str, Any]:
    """FLEET with members of its sections replaced or added; None removes one."""
    fleet = copy.deepcopy(FLEET)
    for section, objects in sections.items():
        for name, value in objects.items():
            fleet[section].pop(name, None) if value is None else fleet[section].update({name: value})
    return fleet


def plan(bed: Bed, desired: Any) -> Any:
    answer = bed.ask("POST", "/v1/fleet/plan", {"desired": desired})
    assert answer.status_code == 200, answer.text
    return answer.json()


def faults(bed: Bed, desired: Any) -> dict[str, str]:
    answer = bed.ask("POST", "/v1/fleet/plan", {"desired": desired})
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["detail"] for error in answer.json()["errors"]}


def short(planned: Any) -> list[str]:
    return [f"{change['action']} {change['kind']} {change['name']}" for change in planned["changes"]]
