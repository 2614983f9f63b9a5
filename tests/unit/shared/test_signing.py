"""Signed requests and answers: RFC 9421 to the letter, and every way to bend one is refused."""

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from certline_shared import signing
from certline_shared.signing import BadSignature, RequestParts

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRIVATE, PUBLIC = signing.generate_identity()
STRANGER, STRANGERS = signing.generate_identity()
PUT = RequestParts(
    "PUT", "master.example:8443", "/v1/follower/lines/shop", "dry=1&x=%20", "application/json", b'{"names":[]}'
)
GET = RequestParts("GET", "master.example", "/v1/follower/manifest", "wait=55", None, b"")
UNREADABLE = "malformed or more than one signature"
Headers = dict[str, str]


def lower(headers: Headers) -> Headers:
    return {name.lower(): value for name, value in headers.items()}


def signed(parts: RequestParts, private: bytes = PRIVATE) -> Headers:
    return lower(signing.sign_request(private, parts, keyid="f-1", nonce="n0nce.-_~+/=", created=NOW))


def signed_by_hand(lines: list[str], params: str) -> Headers:
    """A signature over a base written out here, not by the code under test."""
    base = "\n".join([*lines, f'"@signature-params": {params}'])
    signature = base64.b64encode(signing.sign(PRIVATE, base.encode())).decode()
    return {"signature-input": f"sig={params}", "signature": f"sig=:{signature}:"}


GET_LINES = ['"@method": GET', '"@authority": master.example', '"@path": /v1/follower/manifest', '"@query": ?wait=55']
GET_COVERED = '("@method" "@authority" "@path" "@query")'
TAIL = ';created=1795176000;nonce="n";keyid="f-1";alg="ed25519";tag="certline/1"'


def refused(public: bytes, headers: Headers, parts: RequestParts) -> str:
    with pytest.raises(BadSignature) as caught:
        signing.verify_request(public, headers, parts)
    return caught.value.reason


def test_the_signature_base_is_that_of_rfc_9421_section_b_2_6() -> None:
    private = base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU=")
    params = (
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    base = signing.signature_base(
        [
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("@method", "POST"),
            ("@path", "/foo"),
            ("@authority", "example.com"),
            ("content-type", "application/json"),
            ("content-length", "18"),
        ],
        params,
    )
    assert base64.b64encode(signing.sign(private, base)) == (
        b"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_a_content_digest_is_that_of_rfc_9530() -> None:
    """Section B.2: the digest of the text with its line feed."""
    assert signing.content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_a_request_without_body_is_signed_over_method_authority_path_and_query() -> None:
    by_hand = signed_by_hand(GET_LINES, GET_COVERED + TAIL)
    assert lower(signing.sign_request(PRIVATE, GET, keyid="f-1", nonce="n", created=NOW)) == by_hand
    assert signing.verify_request(PUBLIC, by_hand, GET) == signing.SignatureClaims("f-1", "n", NOW)


def test_a_body_adds_its_type_and_its_digest() -> None:
    headers = signed(PUT)
    assert headers["signature-input"].startswith(
        'sig=("@method" "@authority" "@path" "@query" "content-type" "content-digest");created=1795176000;nonce='
    )
    assert headers["content-digest"] == signing.content_digest(PUT.body)
    assert signing.verify_request(PUBLIC, headers, PUT).nonce == "n0nce.-_~+/="


def test_an_empty_path_and_a_missing_query_are_signed_as_slash_and_question_mark() -> None:
    bare = RequestParts("GET", "master.example", "", "", None, b"")
    lines = ['"@method": GET', '"@authority": master.example', '"@path": /', '"@query": ?']
    assert signing.verify_request(PUBLIC, signed_by_hand(lines, GET_COVERED + TAIL), bare).nonce == "n"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "POST"},
        {"method": "put"},
        {"authority": "other.example:8443"},
        {"authority": "master.example"},
        {"authority": "Master.example:8443"},
        {"path": "/v1/follower/lines/other"},
        {"path": "/v1/follower/lines/Shop"},
        {"path": "/v1/follower/lines/sh%6Fp"},
        {"path": "/v1/follower/lines/shop/"},
        {"query": ""},
        {"query": "dry=1&x=+"},
        {"content_type": "text/plain"},
        {"content_type": "Application/json"},
    ],
    ids=str,
)
def test_every_covered_part_is_held_in_value_and_case(change: dict[str, str]) -> None:
    assert refused(PUBLIC, signed(PUT), replace(PUT, **change)) == "signature does not hold"  # type: ignore[arg-type]


def test_another_keys_signature_is_refused() -> None:
    assert refused(STRANGERS, signed(PUT), PUT) == "signature does not hold"
    assert refused(PUBLIC, signed(PUT, STRANGER), PUT) == "signature does not hold"
    assert refused(b"no key", signed(PUT), PUT) == "signature does not hold"


def test_a_swapped_body_is_refused() -> None:
    assert refused(PUBLIC, signed(PUT), replace(PUT, body=b'{"names":["x.example"]}')) == "body changed"
    assert refused(PUBLIC, signed(PUT), replace(PUT, body=b"")) == "body changed"


def test_a_swapped_body_with_its_own_digest_is_refused() -> None:
    body = b'{"names":["x.example"]}'
    headers = signed(PUT) | {"content-digest": signing.content_digest(body)}
    assert refused(PUBLIC, headers, replace(PUT, body=body)) == "signature does not hold"


def test_a_body_without_its_digest_is_refused() -> None:
    headers = signed(PUT)
    del headers["content-digest"]
    assert refused(PUBLIC, headers, PUT) == "other components"
    assert refused(PUBLIC, signed(GET), replace(GET, body=b"{}", content_type="application/json")) == "digest missing"


def test_a_digest_that_the_signature_does_not_cover_is_refused() -> None:
    headers = signed(GET) | {"content-digest": signing.content_digest(b"{}")}
    assert refused(PUBLIC, headers, replace(GET, body=b"{}", content_type="application/json")) == "other components"


def test_a_body_without_content_type_is_neither_signed_nor_taken() -> None:
    with pytest.raises(ValueError, match="content type"):
        signing.sign_request(PRIVATE, replace(PUT, content_type=None), keyid="k", nonce="n", created=NOW)
    assert refused(PUBLIC, signed(PUT), replace(PUT, content_type=None)) == "content type missing"


@pytest.mark.parametrize("other", ["sha-512", "SHA-256", "md5"])
def test_a_digest_of_another_kind_is_refused(other: str) -> None:
    digest = signing.content_digest(PUT.body).replace("sha-256", other)
    lines = [
        '"@method": PUT',
        '"@authority": master.example:8443',
        '"@path": /v1/follower/lines/shop',
        '"@query": ?dry=1&x=%20',
        '"content-type": application/json',
        f'"content-digest": {digest}',
    ]
    covered = '("@method" "@authority" "@path" "@query" "content-type" "content-digest")'
    headers = signed_by_hand(lines, covered + TAIL) | {"content-digest": digest}
    assert refused(PUBLIC, headers, PUT) == "body changed"


@pytest.mark.parametrize("dropped", range(4))
def test_a_signature_that_leaves_out_a_component_is_refused(dropped: int) -> None:
    kept = [line for position, line in enumerate(GET_LINES) if position != dropped]
    covered = "(" + " ".join(line.partition(":")[0] for line in kept) + ")"
    assert refused(PUBLIC, signed_by_hand(kept, covered + TAIL), GET) == "other components"


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (f"(){TAIL}", "other components"),
        (GET_COVERED.replace("@method", "@Method") + TAIL, "other components"),
        (GET_COVERED.replace('"@query"', '"@query";req') + TAIL, "other components"),
        (GET_COVERED.replace(" ", "  ") + TAIL, "other components"),
        (f'("@authority" "@method" "@path" "@query"){TAIL}', "other components"),
        (f'("@method" "@authority" "@path" "@query" "date"){TAIL}', "other components"),
        (GET_COVERED + TAIL.replace("certline/1", "certline/2"), "other tag"),
        (GET_COVERED + TAIL.replace("certline/1", "Certline/1"), "other tag"),
        (GET_COVERED + TAIL.replace("certline/1", "certline-answer/1"), "other tag"),
        (GET_COVERED + TAIL.replace("ed25519", "hmac-sha256"), "other algorithm"),
        (GET_COVERED + TAIL.replace("ed25519", "Ed25519"), "other algorithm"),
        (GET_COVERED + TAIL.replace("ed25519", ""), "other algorithm"),
        (GET_COVERED + TAIL.replace(';alg="ed25519"', ""), "other parameters"),
        (GET_COVERED + TAIL.replace(';nonce="n"', ""), "other parameters"),
        (GET_COVERED + TAIL.replace(';keyid="f-1"', ""), "other parameters"),
        (GET_COVERED + TAIL.replace(';tag="certline/1"', ""), "other parameters"),
        (GET_COVERED + TAIL + ';expires="9"', "other parameters"),
        (GET_COVERED + TAIL.replace("created=1795176000", "created=01795176000"), "other parameters"),
        (
            GET_COVERED + TAIL.replace("created=1795176000", "created=999999999999"),
            UNREADABLE,
        ),
        (GET_COVERED + TAIL.replace("created=1795176000", "created=-5"), UNREADABLE),
        (GET_COVERED + TAIL.replace("created=1795176000;", ""), UNREADABLE),
        (GET_COVERED + TAIL.replace('"n"', '"a b"'), "malformed nonce or key id"),
        (GET_COVERED + TAIL.replace('"n"', '""'), "malformed nonce or key id"),
        (GET_COVERED + TAIL.replace('"f-1"', '"' + "k" * 201 + '"'), "malformed nonce or key id"),
        (GET_COVERED + TAIL.replace('"n"', '"a\\"b"'), UNREADABLE),
        ("", UNREADABLE),
        ("certline", UNREADABLE),
    ],
)
def test_what_the_protocol_fixes_is_not_up_to_the_sender(params: str, reason: str) -> None:
    assert refused(PUBLIC, signed_by_hand(GET_LINES, params), GET) == reason


def test_an_unsigned_request_is_refused() -> None:
    assert refused(PUBLIC, {}, GET) == "signature missing"
    headers = signed(GET)
    del headers["signature"]
    assert refused(PUBLIC, headers, GET) == "signature header missing, malformed or doubled"


def test_a_second_signature_is_refused_under_any_label_and_in_either_header() -> None:
    headers = signed(GET)
    for name, reason in (
        ("signature-input", UNREADABLE),
        ("signature", "signature header missing, malformed or doubled"),
    ):
        for second in (headers[name], headers[name].replace("sig=", "proxy=")):
            assert refused(PUBLIC, headers | {name: f"{headers[name]}, {second}"}, GET) == reason


def test_another_label_is_refused() -> None:
    headers = {name: value.replace("sig=", "sig1=", 1) for name, value in signed(GET).items()}
    assert refused(PUBLIC, headers, GET) == "other label"


@pytest.mark.parametrize("value", ["sig=::", "sig=:AAAA:", "sig=AAAA", "sig=:" + "_" * 86 + "==:", "", "sig=:x:;a=1"])
def test_a_malformed_signature_value_is_refused(value: str) -> None:
    reason = "signature header missing, malformed or doubled"
    assert refused(PUBLIC, signed(GET) | {"signature": value}, GET) == reason


@pytest.mark.parametrize("value", ['/x\n"@query": ?', "/x\r", "/é"])
def test_a_value_that_could_forge_a_line_is_neither_signed_nor_taken(value: str) -> None:
    bent = replace(GET, path=value)
    with pytest.raises(BadSignature, match="malformed component"):
        signing.sign_request(PRIVATE, bent, keyid="k", nonce="n", created=NOW)
    assert refused(PUBLIC, signed(GET), bent) == "malformed component"


def test_a_nonce_that_cannot_stand_in_a_header_is_not_signed() -> None:
    for nonce in ("", 'a"b', "a b", "n" * 201):
        with pytest.raises(ValueError, match="nonce"):
            signing.sign_request(PRIVATE, GET, keyid="k", nonce=nonce, created=NOW)


def answer(status: int = 200, body: bytes = b"{}", etag: str | None = '"t"', private: bytes = PRIVATE) -> Headers:
    headers = signing.sign_answer(
        private, status=status, body=body, etag=etag, nonce="n-1", created=NOW, keyid=signing.thumbprint(PUBLIC)
    )
    return lower(headers) | ({"etag": etag} if etag else {})


def answer_refused(headers: Headers, status: int = 200, body: bytes = b"{}", nonce: str = "n-1") -> str:
    with pytest.raises(BadSignature) as caught:
        signing.verify_answer((PUBLIC,), headers, status=status, body=body, nonce=nonce)
    return caught.value.reason


def test_an_answer_tells_the_masters_time_when_one_of_its_keys_signed_it() -> None:
    assert signing.verify_answer((STRANGERS, PUBLIC), answer(), status=200, body=b"{}", nonce="n-1") == NOW


def test_an_answer_is_signed_over_status_digest_and_etag() -> None:
    tail = ';created=1795176000;nonce="n-1";keyid="k";alg="ed25519";tag="certline-answer/1"'
    params = '("@status" "content-digest" "etag")' + tail
    digest = signing.content_digest(b"")
    headers = signed_by_hand(['"@status": 304', f'"content-digest": {digest}', '"etag": "t"'], params)
    headers |= {"etag": '"t"', "content-digest": digest}
    assert signing.verify_answer((PUBLIC,), headers, status=304, body=b"", nonce="n-1") == NOW


def test_an_answer_without_body_or_etag_is_signed_too() -> None:
    headers = answer(304, b"", None)
    assert headers["content-digest"] == signing.content_digest(b"")
    assert signing.verify_answer((PUBLIC,), headers, status=304, body=b"", nonce="n-1") == NOW


def test_a_changed_answer_is_refused() -> None:
    assert answer_refused(answer(), status=404) == "signature does not hold"
    assert answer_refused(answer(), body=b"[]") == "body changed"
    assert answer_refused(answer() | {"etag": '"u"'}) == "signature does not hold"
    assert answer_refused(answer(etag=None) | {"etag": '"u"'}) == "other components"
    without = {name: value for name, value in answer().items() if name != "etag"}
    assert answer_refused(without) == "other components"
    without = {name: value for name, value in answer().items() if name != "content-digest"}
    assert answer_refused(without) == "signature does not hold"
    assert answer_refused(answer(private=STRANGER)) == "signature does not hold"
    assert answer_refused({}) == "signature missing"


def test_an_answer_to_another_request_is_refused() -> None:
    assert answer_refused(answer(), nonce="n-2") == "answer to another request"


def test_a_request_cannot_pass_as_an_answer() -> None:
    assert answer_refused(signed(GET)) == "other components"


def test_a_bare_signature_holds_for_its_message_and_key_only() -> None:
    signature = signing.sign(PRIVATE, b"message")
    assert signing.verify(PUBLIC, signature, b"message")
    assert not signing.verify(PUBLIC, signature, b"another")
    assert not signing.verify(STRANGERS, signature, b"message")
    assert not signing.verify(PUBLIC, b"", b"message")


def test_an_identity_is_known_by_its_private_half() -> None:
    assert signing.identity_public(PRIVATE) == PUBLIC
    assert len(signing.thumbprint(PUBLIC)) == 64
