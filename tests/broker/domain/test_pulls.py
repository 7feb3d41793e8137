"""Where a pull stands: kept as text, and led from stage to stage."""

from __future__ import annotations

from broker.domain.pulls import Place, Stage


def test_a_place_is_read_as_it_was_kept() -> None:
    """R10: whoever takes a pull over stands exactly where it was left."""
    place = Place(
        Stage.USERS, "7", "41", anew=False, begun=2, delta="d", unsure={"User": "why"}, tries=3
    )
    assert Place.of(str(place)) == place


def test_the_stages_follow_one_another() -> None:
    """Pages, late members, absent people, absent groups, then what was proposed: each begins
    with nothing of the one before, and what was learned stays.
    """
    place = Place(at="7", delta="d", unsure={"User": "why"})
    passed = [place.stage]
    while place.stage is not Stage.DECIDING:
        place = place.onward
        passed.append(place.stage)
        assert (place.at, place.after) == (None, "")
    assert passed == list(Stage)
    assert (place.delta, place.unsure) == ("d", {"User": "why"})
