"""Which certificate profile is asked for, of those that a directory offers. Pure."""


class NoProfile(Exception):
    """The profile to ask for cannot be told."""


def choose_profile(wished: str | None, offered: tuple[str, ...]) -> str:
    """The profile to send: the wished one, else the only one, else `classic`; "" when the directory lists none.

    Raises NoProfile, listing what is offered (draft-ietf-acme-profiles: one not listed should not be asked for).
    """
    if wished and wished in offered:
        return wished
    listed = ", ".join(offered) or "none"
    if wished:
        raise NoProfile(f"the issuer does not offer the profile {wished!r}; it offers {listed}")
    if len(offered) <= 1:
        return offered[0] if offered else ""
    if "classic" in offered:
        return "classic"
    raise NoProfile(f"the issuer offers several profiles and none is configured; choose one of {listed}")
