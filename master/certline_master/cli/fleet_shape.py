"""The fleet file's shape: its members, what each may be, and the JSON schema that editors read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography import x509
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import GenerateJsonSchema

from certline_master.domain.model import Custody
from certline_master.domain.naming import names_in_full
from certline_shared.keys import BadRequest, KeyType, csr_from_pem, read_csr

MOST_BYTES = 1_000_000  # of a file that the fleet file refers to


@dataclass(frozen=True, slots=True)
class Around:
    """What references count from: the fleet file's folder and the environment. It is a model's validation context."""

    folder: Path
    environ: Mapping[str, str]


def _certificates(path: str, info: ValidationInfo) -> str:
    text = _file(path, info)
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError(f"{path} holds no certificate in PEM form: name a file of CA certificates") from None
    return text


def _secret(reference: str, info: ValidationInfo) -> str:
    """The secret that is referred to. No text from here repeats a value that is no reference."""
    kind, colon, rest = reference.partition(":")
    if not colon or kind not in ("file", "env") or not rest:
        raise ValueError("a secret does not stand in this file: write file:PATH, or env:NAME")
    secret = _file(rest, info) if kind == "file" else _around(info).environ.get(rest)
    if secret is None:
        raise ValueError(f"the environment variable {rest} is not set")
    if not secret.strip():
        raise ValueError(f"{reference} is empty: put the secret there")
    return secret.strip()


def _file(name: str, info: ValidationInfo) -> str:
    try:
        with (_around(info).folder / name).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode()
    except OSError as fault:
        raise ValueError(f"{name} cannot be read: {fault.strerror}") from None
    except ValueError:  # not UTF-8, or a NUL in the name
        raise ValueError(f"{name} is not a text file") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"{name} has more than {MOST_BYTES} bytes")
    return text


def _around(info: ValidationInfo) -> Around:
    return info.context if isinstance(info.context, Around) else Around(Path(), os.environ)


def _names_in_full(written: Any) -> Any:
    """What is no text is left to be told by its place."""
    hosts = [host for part in written.values() for host in part] if _is_by_zone(written) else written
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        return written
    return names_in_full(written)


def _is_by_zone(written: Any) -> bool:
    return isinstance(written, dict) and all(isinstance(part, list) for part in written.values())


def _requests(references: Any, info: ValidationInfo) -> Any:
    """The requests themselves, in PEM form; a private key that stands beside one is not read on."""
    references = [references] if isinstance(references, str) else references
    if not isinstance(references, list) or not all(isinstance(one, str) for one in references):
        return references
    return [_request(one, info) for one in references]


def _request(reference: str, info: ValidationInfo) -> str:
    kind, colon, path = reference.partition(":")
    if not colon or kind != "file" or not path:
        raise ValueError("a request does not stand in this file: write file:PATH")
    text = _file(path, info)
    if "PRIVATE KEY" in text:
        raise ValueError(f"{path} holds a private key: name a file that holds the request only")
    try:
        read_csr(csr_from_pem(text))
    except BadRequest as fault:
        raise ValueError(f"{path}: {fault}") from None
    return text


_HOSTS = {"type": "array", "items": {"type": "string"}}
_NAMES_SCHEMA = {"anyOf": [_HOSTS, {"type": "object", "additionalProperties": _HOSTS}]}
_FILE_SCHEMA = {"type": "string", "pattern": "^file:."}
_REQUESTS_SCHEMA = {"anyOf": [_FILE_SCHEMA, {"type": "array", "items": _FILE_SCHEMA}]}

Names = Annotated[list[str], BeforeValidator(_names_in_full), WithJsonSchema(_NAMES_SCHEMA)]
Requests = Annotated[list[str], BeforeValidator(_requests), WithJsonSchema(_REQUESTS_SCHEMA)]
CaFile = Annotated[str, AfterValidator(_certificates)]
Secret = Annotated[str, Field(repr=False, json_schema_extra={"pattern": "^(file|env):."}), AfterValidator(_secret)]


class _Part(BaseModel):
    """Nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class IssuerPart(_Part):
    directory: str = Field(description="https URL of the CA's ACME directory")
    contact: list[str] = Field(default=[], description="mailto: URLs")
    profile: str = Field(default="", description="certificate profile to ask for")
    preferred_chain: str = Field(default="", description="common name of the root that chains should end in")
    ca_file: CaFile = Field(default="", description="PEM file: the CAs to trust for the directory's own certificate")
    default: bool = Field(default=False, description="the issuer of lines that name none")
    test_of: str = Field(default="", description="the issuer whose lines are rehearsed here, such as a CA's staging")


class ZonePart(_Part):
    model_config = ConfigDict(extra="allow")

    solver: str = Field(description="rfc2136 or responder; its settings stand beside it")
    secret: Secret = Field(default="", description="file:PATH or env:NAME of the TSIG key, base64")


class RolloutPart(_Part):
    canaries: list[str] = Field(min_length=1, description="followers that get a new version first")
    wave: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="how many of the others get it at once; left out: all"
    )
    after: str = Field(
        default="", description="30m: the next wave opens that long after the former one is well; left out: by command"
    )


class TlsaPart(_Part):
    host: str | None = Field(default=None, description="left out: each of the line's names")
    port: int = Field(default=443, ge=1, le=65535)
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    usage: Literal["pkix-ta", "pkix-ee", "dane-ta", "dane-ee"] = Field(default="dane-ee", description="RFC 6698")
    selector: Literal["spki", "cert"] = Field(default="spki", description="what the record is about: key, certificate")
    matching: Literal["sha256", "sha512", "both", "full"] = "sha256"
    ttl: int = Field(default=300, ge=0, le=604_800, description="seconds")
    root: CaFile | None = Field(default=None, description="PEM file of the CA's root, for pkix-ta and dane-ta")


def _tlsa_in_full(value: object) -> object:
    return {"host": value} if isinstance(value, str) else value


TlsaItem = Annotated[TlsaPart, BeforeValidator(_tlsa_in_full, json_schema_input_type=str | TlsaPart)]


class LineSettings(_Part):
    """What a line may say, and `defaults` for all lines; `null` switches off what stands further out."""

    custody: Annotated[Custody, Field(strict=False)] | None = Field(
        default=None,
        description="master: the master makes the key and seals it to each follower that may pull the line",
    )
    issuer: str | None = Field(default=None, description="left out: the default issuer")
    profile: str | None = Field(default=None, description="left out: the issuer's")
    key_types: list[Annotated[KeyType, Field(strict=False)]] | None = Field(
        default=None, description="a certificate of each is ordered; left out: ecdsa-p256"
    )
    rollout: RolloutPart | None = Field(default=None, description="waves; left out: all followers at once")
    renew_before: str | None = Field(
        default=None, description="30d, 42.42d or 33% of the lifetime left; an earlier window of the CA counts"
    )
    renew_after: str | None = Field(default=None, description="7d: at that age; it counts before renew_before")
    must_staple: bool | None = Field(default=None, description="ask for certificates with Must-Staple (RFC 7633)")
    purposes: list[str] | None = Field(default=None, description="what they must serve for: server, client")
    stage_for: str | None = Field(
        default=None, description="25h: a version for a new key waits on its hosts that long before it goes live"
    )
    tlsa: list[TlsaItem] | None = Field(default=None, description="TLSA records (DANE): a host, or all its settings")
    tlsa_before_expiry: Literal["wait", "go"] | None = Field(
        default=None, description="go: switch without seen TLSA records rather than let the live version expire"
    )
    commands: dict[str, list[str]] | None = Field(
        default=None, description="event on the master: names of [commands] in its certline.toml"
    )


class LinePart(LineSettings):
    follower: str = Field(default="", description="the follower that gets the certificate and keeps its key")
    names: Names = Field(
        default=[], min_length=1, description="in full, as bare labels after a full first one, or hosts by zone"
    )
    common_name: str = Field(default="", description="left out: the line's name if it is one of them, else the first")
    key: str = Field(default="", description="a key under `keys` that it uses; left out: one of its own")
    csr: Requests = Field(default=[], description="file:PATH of a request in PEM form that was made elsewhere")


class KeyPart(LineSettings):
    """A key, and settings for the lines that name it."""

    policy: Literal["keep", "new"] = Field(default="keep", description="new: another key at each renewal")
    max_age: str = Field(default="", description="400d: then it is rolled over, or that is told; left out: no limit")
    auto: bool = Field(default=False, description="at max_age it is rolled over by itself; else that is told")
    pin_days: Annotated[int, Field(ge=0, le=3650)] | None = Field(
        default=None, description="clients may keep pins for so many days: no rollover before the next key's are known"
    )


class GrantsPart(_Part):
    request: list[str] = Field(default=[], description="names that the follower may ask certificates for")
    pull: list[str] = Field(default=[], description="lines whose key the master keeps, which the follower may have")


class GroupPart(_Part):
    grants: GrantsPart = GrantsPart()


class FollowerPart(_Part):
    grants: GrantsPart = GrantsPart()
    groups: list[str] = Field(default=[], description="groups whose grants it has beside its own")
    networks: list[str] = Field(default=[], description="CIDR: where its requests must come from; left out: anywhere")
    lock_clones: bool = Field(default=False, description="suspend it when another host seems to have its identity")


class FleetPart(_Part):
    """The wished state of a certline master; `certline plan -f` shows what it would change."""

    model_config = ConfigDict(title="certline fleet file")

    issuers: dict[str, IssuerPart] = Field(default={}, description="CAs, by a name of your choice")
    zones: dict[str, ZonePart] = Field(default={}, description="DNS zones and the solver that may change each")
    http: dict[str, str] = Field(default={}, description="DNS names proven by http-01, and by which solver: listener")
    groups: dict[str, GroupPart] = Field(default={}, description="grants that several followers share")
    followers: dict[str, FollowerPart] = Field(default={}, description="hosts, and what each may ask for")
    defaults: LineSettings = Field(default=LineSettings(), description="settings of all lines that say nothing else")
    keys: dict[str, KeyPart] = Field(default={}, description="keys that several lines share, or that have a policy")
    lines: dict[str, LinePart] = Field(default={}, description="certificate lines made by the operator")


class _WithoutTitles(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 pydantic's interface
        """A member's name says it already."""
        return False


def json_schema() -> dict[str, Any]:
    """The published JSON schema of the fleet file."""
    return {"$schema": GenerateJsonSchema.schema_dialect} | FleetPart.model_json_schema(schema_generator=_WithoutTitles)
