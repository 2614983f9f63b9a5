"""Loaded by schemathesis: requests to followers' routes are signed by the follower that the environment describes."""

import json
import os
from datetime import datetime
from urllib.parse import urlsplit

import requests
import schemathesis
from requests.auth import AuthBase

from certline_shared import signing
from certline_shared.chance import SystemChance
from certline_shared.codec import base64url

VARIABLE = "CERTLINE_TEST_FOLLOWER"


class Signed(AuthBase):
    """Signs the request as it goes over the wire."""

    def __init__(self, follower: "dict[str, str]") -> None:
        self._follower, self._chance = follower, SystemChance()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        parts, host = urlsplit(request.url or ""), self._follower["host"]
        body = _bytes(request.body)
        sent_as = _bytes(request.headers.get("Content-Type")).decode("latin-1") if body else None
        signed = signing.RequestParts(request.method or "", host, parts.path, parts.query, sent_as, body)
        request.headers["Host"] = host
        signature = signing.sign_request(
            bytes.fromhex(self._follower["private"]),
            signed,
            keyid=self._follower["id"],
            nonce=base64url(self._chance.token(16)),
            created=datetime.fromisoformat(self._follower["now"]),
        )
        request.headers.update(signature)
        return request


def _bytes(sent: object) -> bytes:
    match sent:
        case bytes():
            return sent
        case str():
            return sent.encode()
        case None:
            return b""
    raise TypeError(f"a request is sent whole, not as {type(sent)}")


if VARIABLE in os.environ:
    signed = Signed(json.loads(os.environ[VARIABLE]))
    schemathesis.auth.set_from_requests(signed).apply_to(path_regex="^/v1/follower/")  # type: ignore[attr-defined]  # documented so, typed as its decorator only
