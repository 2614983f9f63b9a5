"""What stands in each column of the database, by hand: a new column has to be classed here, and a secret has no class.

What is secret is in `secrets.data`, sealed by the vault, and nowhere else; other tables hold its row's id.

public      whoever may read the database may know it: states, counts, certificates, public keys, what the CA publishes
names       names of hosts, lines, people and places
times       moments
id          a random id, no key to anything
wrapped     a data key under the KEK
vault       sealed by the vault
sealed      sealed to one follower's public key; the master itself cannot open it
hashed      a fingerprint from which the secret cannot be had
secret id   the row of `secrets` that holds it
text        words for people, written by us without secrets (canary tests look), or by CAs and hosts
settings    checked against the solver's table or the fleet file's shape, which have no secret in them
challenge   known to the CA, and public while the answer stands
"""

PUBLIC, NAMES, TIMES, ID, TEXT = "public", "names", "times", "id", "text"
WRAPPED, VAULT, SEALED, HASHED, SECRET_ID = "wrapped", "vault", "sealed", "hashed", "secret id"
SETTINGS, CHALLENGE = "settings", "challenge"

CLASSES = {
    "instance": {"key": NAMES, "value": PUBLIC},
    "data_keys": {
        "id": ID, "kek_id": HASHED, "wrapped": WRAPPED, "created": TIMES,
        "former_kek_id": HASHED, "former_wrapped": WRAPPED,
    },
    "secrets": {"id": ID, "kind": NAMES, "version": PUBLIC, "data": VAULT},
    "admin_tokens": {
        "id": ID, "name": NAMES, "role": PUBLIC, "prefix": PUBLIC, "created": TIMES, "expires": TIMES,
        "sha256": HASHED, "revoked": TIMES, "networks": NAMES, "last_used": TIMES,
    },
    "events": {
        "id": ID, "at": TIMES, "kind": PUBLIC, "actor": NAMES, "subject": NAMES, "text": TEXT, "data": TEXT,
        "chain": ID, "link": PUBLIC, "hash": HASHED,
    },
    "seals": {
        "id": ID, "at": TIMES, "heads": HASHED, "up_to": ID, "previous": HASHED, "hash": HASHED, "signature": PUBLIC,
        "key": PUBLIC,
    },
    "issuers": {
        "id": ID, "name": NAMES, "owner": PUBLIC, "directory_url": NAMES, "contact": NAMES, "profile": PUBLIC,
        "preferred_chain": PUBLIC, "ca_certificates": PUBLIC, "is_default": PUBLIC, "profiles": PUBLIC,
        "account_url": NAMES, "account_key": SECRET_ID, "test_of": NAMES,
    },
    "zones": {
        "id": ID, "name": NAMES, "owner": PUBLIC, "solver": PUBLIC, "settings": SETTINGS, "secret": SECRET_ID,
    },
    "http_names": {"id": ID, "name": NAMES, "owner": PUBLIC, "solver": PUBLIC},
    "followers": {
        "id": ID, "name": NAMES, "owner": PUBLIC, "state": PUBLIC, "identity_key": PUBLIC, "sealing_key": PUBLIC,
        "agent": NAMES, "created": TIMES, "enrolled": TIMES, "last_seen": TIMES, "manifest_serial": PUBLIC,
        "manifest_tag": HASHED, "groups": NAMES, "networks": NAMES, "next_identity_key": PUBLIC,
        "next_sealing_key": PUBLIC, "next_keys_since": TIMES, "sequence": PUBLIC, "sequence_digest": HASHED,
        "sequence_address": NAMES, "clone_told": TIMES, "lock_clones": PUBLIC, "protocol": PUBLIC,
        "skew_seconds": PUBLIC, "state_reason": TEXT,
    },
    "groups": {"id": ID, "name": NAMES, "owner": PUBLIC},
    "group_grants": {"group_id": ID, "kind": PUBLIC, "name": NAMES},
    "introductions": {
        "id": ID, "name": NAMES, "identity_key": PUBLIC, "sealing_key": PUBLIC, "agent": NAMES, "address": NAMES,
        "created": TIMES, "expires": TIMES, "follower_id": ID, "proof": HASHED,
    },
    "grants": {"follower_id": ID, "kind": PUBLIC, "name": NAMES},
    "enrolment_tokens": {
        "id": ID, "follower_id": ID, "mac_key": SECRET_ID, "expires": TIMES, "used": TIMES, "used_by": HASHED,
    },
    "nonces": {"follower_id": ID, "nonce": PUBLIC, "at": TIMES},  # good for one request, which is over
    "lines": {
        "id": ID, "name": NAMES, "owner": PUBLIC, "follower_id": ID, "names": NAMES, "key_types": PUBLIC,
        "issuer_id": ID, "profile": PUBLIC, "custody": PUBLIC, "next_look": TIMES, "forced": PUBLIC, "key_id": ID,
        "rollout": NAMES, "paused": TEXT, "rollover": TEXT, "options": SETTINGS,
    },
    "line_csrs": {
        "line_id": ID, "key_type": PUBLIC, "slot": PUBLIC, "csr": PUBLIC, "spki_sha256": PUBLIC, "names": NAMES,
        "asks": NAMES, "created": TIMES, "moved": TIMES,
    },
    "versions": {
        "id": ID, "line_id": ID, "number": PUBLIC, "state": PUBLIC, "created": TIMES, "reason": TEXT, "failure": TEXT,
        "ended": TIMES, "live_since": TIMES, "staged_since": TIMES, "activate_at": TIMES, "held_by": TEXT,
    },
    "certificates": {
        "id": ID, "version_id": ID, "key_type": PUBLIC, "csr": PUBLIC, "spki_sha256": PUBLIC, "names": NAMES,
        "asks": NAMES, "chain": PUBLIC, "serial": PUBLIC, "not_before": TIMES, "not_after": TIMES, "renewal": TEXT,
        "replaced": PUBLIC,
    },
    "orders": {
        "id": ID, "certificate_id": ID, "issuer_id": ID, "names": NAMES, "profile": PUBLIC, "state": PUBLIC,
        "created": TIMES, "due": TIMES, "url": NAMES, "authorization_urls": NAMES, "finalize_url": NAMES,
        "certificate_url": NAMES, "replaces": PUBLIC, "attempts": PUBLIC, "failure": TEXT, "waiting": TEXT,
        "since": TIMES, "names_sha256": HASHED, "worker": ID, "lease_until": TIMES, "fence": PUBLIC,
        "ready_at": TIMES, "in_flight": PUBLIC, "queued": PUBLIC,
    },
    "challenges": {
        "id": ID, "order_id": ID, "name": NAMES, "wildcard": PUBLIC, "type": PUBLIC, "authorization_url": NAMES,
        "url": NAMES, "token": CHALLENGE, "state": PUBLIC, "solver": PUBLIC, "zone": NAMES, "record": NAMES,
        "value": CHALLENGE, "due": TIMES,
    },
    "deployments": {
        "follower_id": ID, "line_id": ID, "version": PUBLIC, "state": PUBLIC, "error": TEXT, "updated": TIMES,
        "goal": PUBLIC, "retry_at": TIMES, "seen": PUBLIC, "wanted_since": TIMES, "alarmed": TIMES,
    },
    "waves": {
        "line_id": ID, "version": PUBLIC, "step": PUBLIC, "opened": TIMES, "stopped": TEXT, "finished": TIMES,
    },
    "keys": {"id": ID, "name": NAMES, "owner": PUBLIC, "options": SETTINGS, "declared": PUBLIC},
    "key_materials": {
        "id": ID, "key_id": ID, "key_type": PUBLIC, "slot": PUBLIC, "spki_sha256": PUBLIC, "secret": SECRET_ID,
        "created": TIMES, "moved": TIMES,
    },
    "sealed_keys": {
        "follower_id": ID, "line_id": ID, "version": PUBLIC, "key_type": PUBLIC, "spki_sha256": PUBLIC,
        "sealed_to": HASHED, "data": SEALED, "created": TIMES,
    },
    "key_copies": {
        "follower_id": ID, "spki_sha256": PUBLIC, "follower": NAMES, "line": NAMES, "key_type": PUBLIC,
        "released": TIMES, "seen": TIMES, "deleted": TIMES,
    },
    "revocations": {
        "id": ID, "certificate_id": ID, "line": NAMES, "issuer_id": ID, "version": PUBLIC, "serial": PUBLIC,
        "spki_sha256": PUBLIC, "not_after": TIMES, "chain": PUBLIC, "reason": PUBLIC, "state": PUBLIC,
        "created": TIMES, "due": TIMES, "follower": NAMES, "deadline": TIMES, "attempts": PUBLIC, "error": TEXT,
        "ended": TIMES,
    },
    "tlsa_records": {
        "id": HASHED, "name": NAMES, "rdata": PUBLIC, "zone": NAMES, "state": PUBLIC, "since": TIMES,
        "sent_ttl": PUBLIC, "former_ttl": PUBLIC, "serials": PUBLIC, "sent": TIMES, "visible_since": TIMES,
        "error": TEXT,
    },
    "tlsa_wants": {"record_id": HASHED, "line_id": ID, "ttl": PUBLIC},
    "tlsa_looks": {"line_id": ID, "due": TIMES},
}  # fmt: skip
