"""The files of other systems as outputs: their names, owners, modes, folders and order of blocks; plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Preset:
    """Outputs in the words of the settings file, their paths relative to `folder`."""

    folder: str
    outputs: tuple[Fields, ...]
    folders: Mapping[str, str] = field(default_factory=dict)  # made where missing: pattern -> mode
    suffixes: Mapping[str, str] = field(default_factory=dict)  # by kind of key, see output_settings.SUFFIXES
    line: Fields = field(default_factory=dict)  # settings of the line that hold where it has none
    archive: Fields = field(default_factory=dict)


_ACMEBOT = Preset(
    "/etc/ssl",
    (
        {"kind": "key", "path": "private/{name}{suffix}.key", "mode": "0640"},
        {"kind": "next-key", "path": "private/{name}_backup{suffix}.key", "mode": "0600"},
        {
            "kind": "key-fullchain",
            "parts": ["key", "certificate", "chain", "dh", "ec"],
            "path": "private/{name}_full{suffix}.key",
            "mode": "0640",
        },
        {
            "kind": "fullchain",
            "parts": ["certificate", "chain", "dh", "ec"],
            "path": "certs/{name}{suffix}.pem",
        },
        {
            "kind": "fullchain-root",
            "parts": ["certificate", "chain", "root", "dh", "ec"],
            "path": "certs/{name}+root{suffix}.pem",
        },
        {"kind": "chain", "path": "certs/{name}_chain{suffix}.pem"},
        {"kind": "params", "path": "params/{name}_param.pem", "mode": "0640"},
    ),
    {
        "private": "0750",
        "certs": "0755",
        "params": "0750",
    },
    line={"owner": "root", "group": "ssl-cert", "dh": "ffdhe2048", "ec": "secp384r1"},
    archive={"path": "archive/{name}/{date}/{file}", "folder_mode": "0750"},
)

_CERTBOT = Preset(
    "/etc/letsencrypt",
    tuple(
        {
            "kind": kind,
            "path": f"archive/{{name}}/{file}{{version}}.pem",
            "link": f"live/{{name}}/{file}.pem",
            "mode": mode,
        }
        for kind, file, mode in (
            ("cert", "cert", "0644"),
            ("chain", "chain", "0644"),
            ("fullchain", "fullchain", "0644"),
            ("key", "privkey", "0600"),
        )
    ),
    {"archive": "0700", "archive/{name}": "0755", "live": "0700", "live/{name}": "0755"},
)

# Tiny's own keys can be read by all, in a folder that only its group may enter: here the file says the same.
_TINY_CERTS, _TINY_KEYS, _TINY_OLD = "mycerts/letsencrypt", "private/letsencrypt", "old/letsencrypt"
_TINY = Preset(
    "/etc/ssl",
    (
        {"kind": "cert", "path": f"{_TINY_CERTS}/live.crt"},
        {"kind": "key", "path": f"{_TINY_KEYS}/live.key", "mode": "0640"},
        {"kind": "chain", "path": f"{_TINY_CERTS}/live.chain"},
        {"parts": ["certificate", "dh"], "path": f"{_TINY_CERTS}/live.crt+dh"},
        {"parts": ["certificate", "chain"], "path": f"{_TINY_CERTS}/live.crt+chain"},
        {"kind": "cert", "path": f"{_TINY_CERTS}/staging.crt", "stage": True},
        {"kind": "key", "path": f"{_TINY_KEYS}/staging.key", "mode": "0640", "stage": True},
    ),
    {_TINY_CERTS: "0755", _TINY_KEYS: "0710"},
    line={"dh": "ffdhe2048"},
    archive={"path": f"{_TINY_OLD}/{{file}}.{{date}}.{{count}}", "folder_mode": "0700", "date_format": "%Y-%m-%d"},
)

_DEHYDRATED = Preset(
    "/etc/dehydrated",
    tuple(
        {
            "kind": kind,
            "path": f"certs/{{name}}/{file}-{{date}}.pem",
            "link": f"certs/{{name}}/{file}.pem",
            "mode": "0600",
        }
        for kind, file in (("key", "privkey"), ("cert", "cert"), ("chain", "chain"), ("fullchain", "fullchain"))
    ),
    {"certs": "0700", "certs/{name}": "0700"},
    line={"date_format": "%s"},
)

# Where its sample uploads to, on each host and on its own: services read the files there.
_LEMATT = Preset(
    "/etc/ssl",
    (
        {
            "kind": "fullchain",
            "path": "{name}-cert-combined-{suffix}.pem",
            "link": "{dns_name}-cert-combined-{suffix}.pem",
            "mode": "0644",
        },
        {
            "kind": "key",
            "path": "private/{name}-key-{suffix}.pem",
            "link": "private/{dns_name}-key-{suffix}.pem",
            "mode": "0640",
        },
    ),
    {"": "0755", "private": "0750"},
    suffixes={
        "rsa-2048": "rsa2048",
        "rsa-3072": "rsa3072",
        "rsa-4096": "rsa4096",
        "ecdsa-p256": "prime256v1",
        "ecdsa-p384": "secp384r1",
        "ecdsa-p521": "secp521r1",
    },
)

_DATED = Preset(
    "/etc/ssl/certs",
    (
        {"kind": "cert", "path": "{name}-{date}.pem", "link": "{name}.pem"},
        {"kind": "chain", "path": "{name}-chain.pem"},
    ),
    {"": "0755"},
)

PRESETS: Mapping[str, Preset] = {
    "acmebot": _ACMEBOT,
    "certbot": _CERTBOT,
    "tiny": _TINY,
    "dehydrated": _DEHYDRATED,
    "lematt": _LEMATT,
    "dated": _DATED,
}
