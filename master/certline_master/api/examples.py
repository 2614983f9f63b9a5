"""The OpenAPI page's examples: for each route what may be sent and what comes back, as arguments of its decorator."""

from typing import Any

PROBLEM = {
    "type": "urn:certline:problem:not-found",
    "title": "Not found",
    "status": 404,
    "detail": "there is no line 'shop'",
}
_PROBLEM_ANSWER = {"description": "Any error", "content": {"application/problem+json": {"example": PROBLEM}}}


def shown(
    answer: Any = None,
    *,
    body: Any = None,
    schema: str | None = None,
    status: int = 200,
    media_type: str = "application/json",
    needed: bool = True,
) -> dict[str, Any]:
    """Arguments for a route's decorator: its request body by example (and schema, one of bodies.BODIES), its answer."""
    said: dict[str, Any] = {"description": "Done"}
    if answer is not None:
        said["content"] = {media_type: {"example": answer}}
    more: dict[str, Any] = {"responses": {status: said, "default": _PROBLEM_ANSWER}}
    if body is not None:
        form = {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "object"}
        content = {"application/json": {"schema": form, "example": body}}
        more["openapi_extra"] = {"requestBody": {"required": needed, "content": content}}
    return more


_BYTES = "p3NtYmFzZTY0dXJs"  # shortened

ENROL = shown(
    {
        "follower_id": "6f1c8a52-6d0f-4c53-9b4e-5c1f4f0f7a11",
        "follower": "web-1",
        "signing_keys": [_BYTES],
        "tls_pins": ["5f2c…64 hex digits"],
        "epoch": 1,
        "time": "2026-11-20T12:00:00Z",
        "nonce": "cmFuZG9t",
        "protocol": 1,
        "mac": _BYTES,
    },
    body={
        "token_id": "1b0e4c1e-7f2b-4c3e-9a55-0a4a5f5f5b52",
        "identity_key": _BYTES,
        "sealing_key": _BYTES,
        "sealing_suite": "mlkem768-x25519/hkdf-sha256/aes-256-gcm",
        "nonce": "cmFuZG9t",
        "protocol": 1,
        "agent": "certline-follower 0.1.0",
        "mac": _BYTES,
    },
)
MANIFEST = shown({"manifest": _BYTES, "signature": _BYTES, "keyid": "ab12…64 hex digits"})
WISH = shown(
    {"line": "blog@web-1", "state": "waiting", "names": ["blog.example.org"]},
    body={"names": ["blog.example.org"], "csrs": {"ecdsa-p256": "MIIBREVSIGFzIGJhc2U2NHVybA"}},
)
VERSION = shown(
    {"line": "blog", "version": 3, "files": {"ecdsa-p256/chain.pem": "-----BEGIN CERTIFICATE-----\n…"}},
)
HAND_BACK = shown(
    status=204,
    body={"line": "blog", "version": 4, "files": {"ecdsa-p256/chain.pem": "-----BEGIN CERTIFICATE-----\n…"}},
)
REPORT = shown(
    status=204,
    body={
        "agent": "certline-follower 0.1.0",
        "manifest_serial": 7,
        "deployments": [{"line": "blog", "version": 3, "state": "reloaded"}],
    },
)
RENEW = shown({"line": "shop@web-1", "standing": "version 3 is live; asked for by hand"}, body={"seq": 1795176000123})
ROLLOVER = shown(
    {"line": "shop@web-1", "standing": "version 3 is live; its next key is used: asked for by follower:web-1"},
    body={"seq": 1795176000124},
)
KEYS = shown(
    status=204,
    body={
        "identity_key": _BYTES,
        "sealing_key": _BYTES,
        "sealing_suite": "mlkem768-x25519/hkdf-sha256/aes-256-gcm",
        "proof": _BYTES,
        "seq": 1795176000123,
    },
)
INTRODUCTION = shown(
    {
        "state": "pending",
        "signing_keys": [_BYTES],
        "tls_pins": ["5f2c…64 hex digits"],
        "nonce": "cmFuZG9t",
        "protocol": 1,
    },
    body={
        "name": "web-7",
        "identity_key": _BYTES,
        "sealing_key": _BYTES,
        "sealing_suite": "mlkem768-x25519/hkdf-sha256/aes-256-gcm",
        "nonce": "cmFuZG9t",
        "protocol": 1,
        "agent": "certline-follower 0.2.0",
    },
)
_FINGERPRINT = "ABCDE-FGHIJ-KLMNO-PQRST-UVWXY-Z2345-67ABC-DEFGH"
INTRODUCTIONS = shown(
    [
        {
            "name": "web-7",
            "fingerprint": _FINGERPRINT,
            "address": "192.0.2.7",
            "agent": "certline-follower 0.2.0",
            "created": "2026-11-20T12:00:00Z",
            "expires": "2026-11-20T13:00:00Z",
        }
    ]
)
APPROVE = shown(
    {"follower": "web-7", "follower_id": "6f1c8a52-6d0f-4c53-9b4e-5c1f4f0f7a11"},
    body={"fingerprint": f"{_FINGERPRINT}-IJKLM-NOPQR", "name": "web-7"},
    schema="ApproveBody",
)
REJECT = shown(status=204, body={"fingerprint": _FINGERPRINT}, schema="RejectBody")
JOIN = shown(
    {"follower": "web-7", "join": "certline-join-1.…"},
    body={"keys": "certline-follower-1.…", "origin": "https://master.example:8443"},
    schema="KeysBody",
)

ISSUER = {
    "directory": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "contact": ["mailto:ops@example.org"],
    "profile": "classic",
    "default": True,
}
ZONE = {
    "solver": "rfc2136",
    "settings": {"server": "192.0.2.53", "key_name": "certline", "algorithm": "hmac-sha256"},
    "secret": "c2VjcmV0IG9mIHRoZSBUU0lHIGtleQ==",
}
HTTP = {"solver": "listener"}
KEY = {"key_types": ["ecdsa-p256"], "policy": "keep", "max_age": "400d", "auto": True, "pin_days": 30}
LINE = {"follower": "web-1", "names": ["shop.example.org", "www.shop.example.org"], "key_types": ["ecdsa-p256"]}
FOLLOWER = {"grants": {"request": ["blog.example.org"]}, "groups": ["web"], "networks": ["10.2.0.0/16"]}
GROUP = {"grants": {"request": ["www.example.org"], "pull": ["shop"]}}
FLEET = {
    "issuers": {"staging": ISSUER},
    "zones": {"example.org": ZONE},
    "http": {"www.example.net": HTTP},
    "lines": {"shop": LINE},
    "followers": {"web-1": FOLLOWER},
}
CHANGE = {
    "kind": "line",
    "action": "create",
    "name": "shop",
    "fields": [{"field": "follower", "before": None, "after": "web-1"}],
}
ORDER_CAUSED = {
    "line": "shop",
    "names": ["shop.example.org", "www.shop.example.org"],
    "issuer": "staging",
    "reason": "the first certificate",
    "key_type": "ecdsa-p256",
}
PLANNED = {
    "changes": [CHANGE],
    "orders": [ORDER_CAUSED],
    "hash": "3b9f…64 hex digits",
    "terms": ["https://letsencrypt.org/documents/LE-SA-v1.5-February-24-2025.pdf"],
    "guard": None,
}
WARNED = {
    "field": "/lines/shop/renew_before",
    "detail": "its certificates live for 90 days: half of it (45 days) is meant then",
}
PLANNED |= {"consequences": [], "warnings": [WARNED]}
CHANGED = {"changes": [CHANGE], "orders": [ORDER_CAUSED], "warnings": []}
