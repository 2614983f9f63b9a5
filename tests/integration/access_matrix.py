"""Who may call what, written by hand: for each route the status that each caller gets, by whose the object is.

It stands on its own, so that a slip in the code's table (domain/access.py) is seen. A new route needs one line in ROWS:
its method and path, and a pattern. Where the path names an object of a new kind, access_objects.py has to know how such
an object is made.
"""

from dataclasses import dataclass

STRANGERS = (
    "nobody",
    "garbage",  # an admin token that never was
    "expired admin token",
    "revoked admin token",
    "used token",  # a key that signs in the name of an enrolment token that another host has used
    "expired token",  # the same, of an enrolment token that is over
)
FOLLOWERS = ("follower", "other follower", "suspended", "revoked")
PEOPLE = ("viewer", "operator", "admin")
CALLERS = (*STRANGERS, *FOLLOWERS, *PEOPLE)
OBJECTS = ("own", "foreign", "missing")  # of the follower that asks; for people both of the first are there


@dataclass(frozen=True, slots=True)
class Three:
    """The status for an object of one's own, for somebody else's, and for one that is not there."""

    own: int
    foreign: int
    missing: int


Row = dict[str, Three]


def _same(status: int) -> Three:
    return Three(status, status, status)


def _row(**named: Three) -> Row:
    """Whom `named` leaves out is not known here: 401."""
    return {caller: named.get(caller.replace(" ", "_"), _same(401)) for caller in CALLERS}


def open_to_all(status: int = 200) -> Row:
    return {caller: _same(status) for caller in CALLERS}


def read(there: int = 200, missing: int = 404) -> Row:
    """Anybody with a token."""
    seen = Three(there, there, missing)
    return _row(viewer=seen, operator=seen, admin=seen)


def change(there: int = 200, missing: int = 404) -> Row:
    """Operators and admins."""
    done = Three(there, there, missing)
    return _row(viewer=_same(403), operator=done, admin=done)


def administer(there: int = 200, missing: int = 404) -> Row:
    """Admins only."""
    return _row(viewer=_same(403), operator=_same(403), admin=Three(there, there, missing))


def of_follower(own: int = 200, foreign: int = 404, missing: int = 404) -> Row:
    """The follower whose object it is; a suspended one is told so whatever it asks for."""
    return _row(
        follower=Three(own, foreign, missing),
        other_follower=Three(foreign, foreign, missing),
        suspended=_same(403),
        revoked=_same(401),
    )


def of_followers(status: int = 200) -> Row:
    """Every follower, about itself."""
    return _row(follower=_same(status), other_follower=_same(status), suspended=_same(403), revoked=_same(401))


# The body of a PUT or POST is {} unless BODIES has another. A route without an object in its path has the status
# `there`.
ROWS: dict[str, Row] = {
    "GET /healthz": open_to_all(),
    "GET /readyz": open_to_all(),
    "GET /v1/docs": open_to_all(),
    # Those with a token send a whole enrolment request, the others {}.
    "POST /v1/enroll": open_to_all(400) | {"used token": _same(409), "expired token": _same(401)},
    "POST /v1/introductions": open_to_all(400),
    "GET /v1/follower/manifest": of_followers(),
    "PUT /v1/follower/lines/{name}": of_follower(200, 422, 422),  # {} asks for nothing new of a line that is there
    "GET /v1/follower/lines/{name}/versions/{number}": of_follower(),
    "PUT /v1/follower/lines/{name}/versions/{number}": of_follower(422),  # BODIES has one of another line
    "POST /v1/follower/lines/{name}/renew": of_follower(),
    "POST /v1/follower/lines/{name}/rollover": of_follower(),
    "POST /v1/follower/reports": of_followers(400),
    "POST /v1/follower/keys": of_followers(400),
    "GET /v1/whoami": read(),
    "GET /v1/status": read(),
    "GET /v1/events": read(),
    "GET /v1/events/verify": read(),
    "POST /v1/fleet/plan": administer(422),
    "POST /v1/fleet/apply": administer(422),
    "GET /v1/issuers": read(),
    "GET /v1/issuers/{name}": read(),
    "PUT /v1/issuers/{name}": administer(422, 422),
    "DELETE /v1/issuers/{name}": administer(),
    "GET /v1/zones": read(),
    "GET /v1/zones/{name}": read(),
    "PUT /v1/zones/{name}": administer(422, 422),
    "DELETE /v1/zones/{name}": administer(),
    "GET /v1/http": read(),
    "GET /v1/http/{name}": read(),
    "PUT /v1/http/{name}": administer(200, 200),
    "DELETE /v1/http/{name}": administer(),
    "GET /v1/lines": read(),
    "GET /v1/lines/{name}": read(),
    "PUT /v1/lines/{name}": change(422, 422),
    "DELETE /v1/lines/{name}": change(),
    "GET /v1/lines/{name}/history": read(),
    "POST /v1/lines/{name}/issue": change(),
    "POST /v1/lines/{name}/rollout": change(409),  # a line for one follower has none
    "POST /v1/lines/{name}/revoke": change(),
    "POST /v1/lines/{name}/rollback": change(409),  # it has one version only
    "POST /v1/lines/{name}/rollover": change(),
    "POST /v1/lines/{name}/rehearse": change(409),  # no issuer is there for tests
    "GET /v1/lines/{name}/tlsa": read(),
    "POST /v1/lines/{name}/tlsa/check": change(),
    "POST /v1/lines/{name}/tlsa/update": change(),
    "GET /v1/tlsa": read(),
    "GET /v1/groups": read(),
    "GET /v1/groups/{name}": read(),
    "PUT /v1/groups/{name}": change(200, 200),
    "DELETE /v1/groups/{name}": change(),
    "GET /v1/followers": read(),
    "GET /v1/followers/{name}": read(),
    "PUT /v1/followers/{name}": change(200, 200),
    "DELETE /v1/followers/{name}": change(409),  # an operator's line is for it
    "POST /v1/signing-key/rotate": administer(422),  # BODIES has none that it can use: the key stays
    "GET /v1/introductions": read(),
    "POST /v1/introductions/approve": change(422),  # {} names nobody
    "POST /v1/introductions/reject": change(422),
    "POST /v1/followers/{name}/keys": change(422, 422),
    "POST /v1/followers/{name}/token": change(409),  # it is enrolled already
    "POST /v1/followers/{name}/revoke": change(),
    "POST /v1/followers/{name}/stolen": change(),
    "GET /v1/followers/{name}/worklist": read(),
    "GET /v1/keys": read(),
    "GET /v1/keys/{name}": read(),
    "GET /v1/keys/{name}/where": read(),
    "POST /v1/keys/{name}/rollover": change(409),  # no line uses it
    "POST /v1/keys/{name}/revoke": change(409),
    "POST /v1/keys/{name}/forget": change(),
    "PUT /v1/keys/{name}": change(200, 200),
    "DELETE /v1/keys/{name}": change(),
    "POST /v1/followers/{name}/suspend": change(),
    "POST /v1/followers/{name}/resume": change(),
    "GET /v1/tokens": administer(),
    "POST /v1/tokens/{name}": administer(409, 200),  # a name is given once
    "POST /v1/tokens/{name}/rotate": administer(),
    "POST /v1/tokens/{name}/revoke": administer(),
    "POST /v1/followers/{name}/bundle": change(),
    "POST /v1/followers/{name}/receipt": change(400),  # {} is none
}

BODIES: dict[str, object] = {
    "PUT /v1/follower/lines/{name}/versions/{number}": {"line": "another", "version": 1, "files": {}},
    "POST /v1/signing-key/rotate": {"force": "perhaps"},
    "POST /v1/tokens/{name}": {"role": "viewer"},
    "POST /v1/lines/{name}/rollout": {"action": "continue"},
}
"""What is sent instead of {}."""
