"""The data folder and its key: for us alone (safety 38, docs/decisions/0010)."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker import premises
from broker.config import Misconfigured


def mode(path: Path) -> int:
    """Who may do what."""
    return path.stat().st_mode & 0o777


def test_a_new_folder_is_closed(tmp_path: Path) -> None:
    """It is made with mode 0700, whatever the umask."""
    assert mode(premises.open_folder(tmp_path / "data" / "demo")) == 0o700


def test_an_empty_folder_of_ours_is_closed(tmp_path: Path) -> None:
    """`mkdir data` before the first start does no harm."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    (folder / "broker.db-wal").touch()
    assert mode(premises.open_folder(folder)) == 0o700


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    """Nobody's home is closed; the sentence says which command helps."""
    tmp_path.chmod(0o755)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(Misconfigured, match=f"chmod 700 {tmp_path}"):
        premises.open_folder(tmp_path)
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300])
def test_a_place_where_no_folder_can_be_is_one_sentence(tmp_path: Path, place: str) -> None:
    """Safety 38: a file, a place below a file and a name no disk takes are settings gone wrong."""
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured) as refused:
        premises.open_folder(tmp_path / place)
    assert len(refused.value.problems) == 1
    assert "BROKER_DATA" in str(refused.value)
    assert (tmp_path / "file").read_bytes() == b""


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """Exclusively and with mode 0600; the next start finds it."""
    file = tmp_path / "key"
    assert premises.kept_key(file, "k1:first") == "k1:first"
    assert mode(file) == 0o600
    assert premises.kept_key(file, "k1:second") == "k1:first"


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    """Safety 38: the start is refused, and the key is not made anew."""
    file = tmp_path / "key"
    premises.kept_key(file, "k1:first")
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        premises.kept_key(file, "k1:second")
    assert file.read_text() == "k1:first\n"


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """Written beside its place with mode 0600, then renamed; nothing is left beside it."""
    file = tmp_path / "ready.json"
    file.write_text("old, and readable by all")
    file.chmod(0o644)
    premises.put(file, b"new")
    assert file.read_bytes() == b"new"
    assert mode(file) == 0o600
    assert list(tmp_path.iterdir()) == [file]
