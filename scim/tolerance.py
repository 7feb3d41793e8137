"""How far a client may depart from RFC 7643 and 7644: named switches, never a vendor's name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a directory accepts beyond the letter. Every switch on means more is accepted."""

    string_booleans: bool
    """`"True"` and `"false"` are booleans (Entra without its 2020 flag sends them)."""

    unknown_attributes: bool
    """An attribute no schema declares is kept beside the document, with a warning."""

    loose_shapes: bool
    """`manager` as a bare id or a list of one, members as bare ids (Entra, its older samples)."""

    loose_schemas: bool
    """`schemas` may be absent, or list URNs nobody here knows (Entra's ADSCIM, OneLogin)."""

    short_names: bool
    """An attribute only an extension declares may be named without its URN (Entra `manager`)."""

    value_removes: bool
    """A PATCH remove may carry the values to remove (Entra, authentik)."""

    created_targets: bool
    """A value path by type or primary that matches nothing creates the value (Entra)."""

    pathless_patches: bool
    """A PATCH operation may leave out its path (Okta; Entra with its 2020 flag)."""

    read_only_echoes: bool
    """Read-only attributes inside a PATCH value are ignored (Okta, authentik send them back)."""

    empty_patches: bool
    """A PATCH may hold no operation at all (Entra's validator sends one)."""


STANDARD = Tolerance(
    string_booleans=True,
    unknown_attributes=True,
    loose_shapes=True,
    loose_schemas=True,
    short_names=True,
    value_removes=True,
    created_targets=True,
    pathless_patches=True,
    read_only_echoes=True,
    empty_patches=True,
)
"""All that known identity providers send: the default of a directory."""

STRICT = Tolerance(
    string_booleans=False,
    unknown_attributes=False,
    loose_shapes=False,
    loose_schemas=False,
    short_names=False,
    value_removes=False,
    created_targets=False,
    pathless_patches=False,
    read_only_echoes=False,
    empty_patches=False,
)
"""In the bodies of writes: RFC 7643 and 7644 and the interop profile
(draft-zollner-scim-interop-profile), nothing more. What a query asks is read as everywhere.
"""
