"""The data folder and the demo's key: made for us alone, refused where others can look in."""

import os
from pathlib import Path

from broker.config import Misconfigured, readable_by_others

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def open_folder(folder: Path) -> Path:
    """The folder, made with mode 0700 where it is missing.

    A folder of ours that holds nothing but what the broker puts there is closed instead of
    refused (safety 38, docs/decisions/0010). Misconfigured where others may enter, and where
    there is none and none can be made.
    """
    try:
        mode = _closed(folder)
    except OSError as error:
        raise Misconfigured(
            f"The data folder {folder} cannot be used: {error.strerror}."
            " Set BROKER_DATA to a folder this user can make and write."
        ) from None
    if mode & 0o077:
        raise Misconfigured(
            f"The data folder {folder} is open to others (mode {mode:04o});"
            f" run: chmod 700 {folder}, or set BROKER_DATA to a folder of its own."
        )
    return folder


def _closed(folder: Path) -> int:
    """The folder's mode, once it is there, and closed where it is only ours."""
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    found = folder.stat()
    mode = found.st_mode & 0o777
    if mode & 0o077 and found.st_uid == os.geteuid() and _holds_only_ours(folder):
        folder.chmod(PRIVATE_FOLDER)
        return PRIVATE_FOLDER
    return mode


def _holds_only_ours(folder: Path) -> bool:
    return all(
        name.startswith("broker.db") or name in ("demo", "encryption.key")
        for name in os.listdir(folder)
    )


def kept_key(path: Path, new: str) -> str:
    """The key in the file, which is made with `new` where it is missing: exclusively, mode 0600."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    except FileExistsError:
        if open_to := readable_by_others(path):
            raise Misconfigured(f"The key file {path} is there, and {open_to}") from None
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(new + "\n")
        file.flush()
        os.fsync(file.fileno())
    return new


def put(path: Path, content: bytes) -> None:
    """Write a file nobody else can read, whole or not at all: beside it first, then renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
