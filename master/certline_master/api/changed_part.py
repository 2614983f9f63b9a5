"""Which part of a request somebody between follower and master changed: for the record of a signature that fails."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import quote, unquote

from certline_shared.signing import BadSignature, RequestParts, content_digest, verify_request


def changed_part(key: bytes, headers: Mapping[str, str], parts: RequestParts) -> str | None:
    """The part that, as it may have been before one of the usual rewritings, makes the signature hold.

    None when it is none of them: a nonce or time was changed, or the key is another's.
    """
    if "content-digest" in headers and _holds(key, {**headers, "content-digest": content_digest(parts.body)}, parts):
        return "content-digest"
    return next((part for part, former in _as_before(parts) if _holds(key, headers, former)), None)


def _as_before(parts: RequestParts) -> Iterator[tuple[str, RequestParts]]:
    """A few of each: this is paid for by who sends rubbish in a follower's name."""
    path, query = parts.path, parts.query
    halves = path.split("/")
    paths = [unquote(path), quote(unquote(path)), path.rstrip("/"), f"{path}/", path.lower()]
    paths += [_with_slash_encoded(halves)] if len(halves) > 2 else []
    yield from (("path", replace(parts, path=one)) for one in dict.fromkeys(paths) if one != path)
    queries = ["", unquote(query), "&".join(reversed(query.split("&")))]
    yield from (("query", replace(parts, query=one)) for one in dict.fromkeys(queries) if one != query)
    if parts.content_type is not None:
        bare = parts.content_type.partition(";")[0].strip()
        types = [bare, bare.lower(), "application/json"]
        yield from (("content-type", replace(parts, content_type=one)) for one in dict.fromkeys(types))
    yield from (("method", replace(parts, method=one)) for one in ("GET", "HEAD", "PUT", "POST"))


def _with_slash_encoded(halves: "list[str]") -> str:
    return "/".join(halves[:-1]) + "%2F" + halves[-1]


def _holds(key: bytes, headers: Mapping[str, str], parts: RequestParts) -> bool:
    try:
        verify_request(key, headers, parts)
    except BadSignature:
        return False
    return True
