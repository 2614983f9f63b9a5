"""Whether a certificate serves what its line is for, looked at before it is put in use. Pure."""

from dataclasses import dataclass

from certline_master.domain.model import LineOptions
from certline_shared.certificates import LeafTraits


@dataclass(frozen=True, slots=True)
class Remarks:
    """What is wrong with a certificate for this line, each in words for the operator."""

    refusals: tuple[str, ...] = ()  # for these it is not used
    warnings: tuple[str, ...] = ()


def remarks_on(leaf: LeafTraits, options: LineOptions) -> Remarks:
    """Key and names are looked at elsewhere, and always."""
    refusals = []
    if "client" in options.purposes and not leaf.for_clients:
        refusals.append(
            "it is for servers only (no client-auth EKU), and the line is to serve for clients: "
            "take another issuer or profile, or leave `client` out of its purposes"
        )
    if not leaf.for_servers:
        refusals.append("it is not for servers (no server-auth EKU): take another issuer or profile")
    warnings = []
    if options.must_staple and not leaf.must_staple:
        warnings.append("it has no Must-Staple, which was asked for")
    if options.common_name is not None and leaf.common_name != options.common_name:
        warnings.append(f"its common name is {leaf.common_name or 'left out'}, not {options.common_name}")
    return Remarks(tuple(refusals), tuple(warnings))
