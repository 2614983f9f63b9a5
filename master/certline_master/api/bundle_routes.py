"""What an operator carries between the master and a host without a connection."""

from fastapi import APIRouter, Response

from certline_master.api import bundles
from certline_master.api.bundles import ReceiptTaken
from certline_master.api.context import By, Here, ObjectName, Raw
from certline_master.api.examples import shown
from certline_shared.bundles import to_bytes

router = APIRouter(prefix="/v1/followers", tags=["followers"])

_BYTES = "p3Nt…base64url"
_BUNDLE = {
    "format": "certline-bundle/1",
    "manifest": {"manifest": _BYTES, "signature": _BYTES, "keyid": "ab12…64 hex digits"},
    "versions": [{"line": "shop", "version": 3, "files": {"ecdsa-p256/chain.pem": "-----BEGIN CERTIFICATE-----\n…"}}],
}
_TAKEN = {
    "follower": "vault-1",
    "manifest_serial": 7,
    "deployments": 1,
    "wishes": [{"line": "blog@vault-1", "state": "waiting", "refused": None}],
}


@router.post("/{name}/bundle", summary="A bundle to carry to a follower without a connection", **shown(_BUNDLE))
def bundle(name: ObjectName, services: Here, caller: By) -> Response:
    """It holds what the follower would be given now: its signed manifest and all that it lists, keys sealed to it."""
    return Response(to_bytes(bundles.create(services, caller, name)), media_type="application/json")


@router.post(
    "/{name}/receipt",
    summary="The receipt that was carried back from a follower",
    **shown(_TAKEN, body={"receipt": _BYTES, "signature": _BYTES, "keyid": "6f1c8a52-6d0f-4c53-9b4e-5c1f4f0f7a11"}),
)
def receipt(name: ObjectName, services: Here, caller: By, incoming: Raw) -> ReceiptTaken:
    """Its reports and wishes count as if the follower had sent them. One that was overtaken is refused (409)."""
    return bundles.take(services, caller, name, incoming.body)
