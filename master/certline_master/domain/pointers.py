"""The place of a fault in what somebody sent. Pure."""


def pointer(*parts: "str | int") -> str:
    """RFC 6901."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
