"""The floor: a bare asyncio loop on aiohttp that does only the ACME exchange with EC keys, polling at once.

Run as a process of its own; prints {"seconds": ..., "requests": ..., "cpu_seconds": ...} for the certificates alone.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import ssl
import time
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from certline_master.challenges import responder
from certline_master.challenges.endpoint import Endpoint
from certline_master.domain.model import Owner, Zone
from certline_shared.clock import SystemClock
from certline_shared.keys import KeyType, generate, make_csr


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Floor:
    """One account, one session, a list of nonces."""

    def __init__(self, directory: str, values: dict[str, list[str]]) -> None:
        self.directory_url, self.values = directory, values
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        x, y = b64(numbers.x.to_bytes(32, "big")), b64(numbers.y.to_bytes(32, "big"))
        self.jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        canonical = json.dumps(self.jwk, separators=(",", ":"), sort_keys=True)
        self.thumbprint = b64(hashlib.sha256(canonical.encode()).digest())
        self.nonces: list[str] = []
        self.requests = 0
        self.account = ""

    async def open(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        async with session.get(self.directory_url) as answer:
            self.directory = await answer.json()
        await self.post(self.directory["newAccount"], {"termsOfServiceAgreed": True})

    async def post(self, url: str, payload: dict[str, Any] | None) -> tuple[Any, Any]:
        while True:
            self.requests += 1
            body = self.signed(url, payload, await self.nonce())
            headers = {"Content-Type": "application/jose+json"}
            async with self.session.post(url, data=body, headers=headers) as answer:
                self.nonces.append(answer.headers["Replay-Nonce"])
                if "Location" in answer.headers and not self.account:
                    self.account = answer.headers["Location"]
                text = await answer.text()
                if answer.status < 400:
                    is_json = "json" in answer.headers.get("Content-Type", "")
                    return answer.headers, json.loads(text) if is_json else text
                if "badNonce" not in text:
                    raise RuntimeError(text)

    async def nonce(self) -> str:
        if self.nonces:
            return self.nonces.pop()
        async with self.session.head(self.directory["newNonce"]) as answer:
            return str(answer.headers["Replay-Nonce"])

    def signed(self, url: str, payload: dict[str, Any] | None, nonce: str) -> bytes:
        who = {"kid": self.account} if self.account else {"jwk": self.jwk}
        protected = b64(json.dumps({"alg": "ES256", "nonce": nonce, "url": url, **who}).encode())
        content = "" if payload is None else b64(json.dumps(payload).encode())
        r, s = decode_dss_signature(self.key.sign(f"{protected}.{content}".encode(), ec.ECDSA(hashes.SHA256())))
        signature = b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return json.dumps({"protected": protected, "payload": content, "signature": signature}).encode()

    async def certificate(self, name: str) -> None:
        identifiers = [{"type": "dns", "value": name}]
        headers, order = await self.post(self.directory["newOrder"], {"identifiers": identifiers, "profile": "classic"})
        url = headers["Location"]
        _, authorization = await self.post(order["authorizations"][0], None)
        challenge = next(c for c in authorization["challenges"] if c["type"] == "dns-01")
        digest = hashlib.sha256(f"{challenge['token']}.{self.thumbprint}".encode()).digest()
        self.values[f"_acme-challenge.{name}"] = [b64(digest)]
        await self.post(challenge["url"], {})
        while order["status"] == "pending":
            _, order = await self.post(url, None)
        csr = make_csr(generate(KeyType.ECDSA_P256), (name,))
        _, order = await self.post(order["finalize"], {"csr": b64(csr)})
        while order["status"] != "valid":
            _, order = await self.post(url, None)
        await self.post(order["certificate"], None)


async def measure(directory: str, context: ssl.SSLContext, dns_port: int, count: int, at_once: int) -> dict[str, float]:
    values: dict[str, list[str]] = {}
    zone = Zone("z", "bench.example", Owner.FILE, "responder")
    endpoint = Endpoint("127.0.0.1", dns_port)
    server = responder.server(endpoint, lambda: [zone], lambda record: values.get(record, []), SystemClock())
    server.start()
    try:
        connector = aiohttp.TCPConnector(ssl=context, limit=at_once)
        async with aiohttp.ClientSession(connector=connector) as session:
            floor = Floor(directory, values)
            await floor.open(session)
            floor.requests = 0
            gate = asyncio.Semaphore(at_once)

            async def one(number: int) -> None:
                async with gate:
                    await floor.certificate(f"floor{number}-{at_once}.bench.example")

            start, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(one(number) for number in range(count)))
            seconds, spent = time.perf_counter() - start, time.process_time() - cpu
            return {"seconds": seconds, "cpu_seconds": spent, "requests": floor.requests}
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", required=True)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--dns-port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--at-once", type=int, required=True)
    asked = parser.parse_args()
    context = ssl.create_default_context(cafile=asked.ca_file)
    print(json.dumps(asyncio.run(measure(asked.directory, context, asked.dns_port, asked.count, asked.at_once))))


if __name__ == "__main__":
    main()
