"""Groups: an entry gives something only where somebody stands behind it."""

from __future__ import annotations

import pytest

from broker.domain.groups import Group, Member


@pytest.mark.parametrize(("kind", "effective"), [("User", True), ("Group", True), (None, False)])
def test_an_unknown_member_gives_nobody_anything(kind: str | None, effective: bool) -> None:
    """Unknown members are accepted and kept out of effective membership (README, SCIM manners)."""
    group = Group("grp_1", "prj_1", "dir_1", None, "Staff", 1, 0, 0)
    assert Member(group.id, "usr_1", kind).is_effective is effective
