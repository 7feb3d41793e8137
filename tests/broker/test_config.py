"""Settings: sources, secrets in files, misspelt names, one line a problem (stack.md 1.2, 2.3)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from broker import config
from broker.config import Misconfigured, Settings
from broker.db import seal

KEY = seal.new_key("k1")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests, and a working directory of its own."""
    for name in list(os.environ):
        if name.startswith(config.PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def problems() -> tuple[str, ...]:
    """What keeps the service from starting."""
    with pytest.raises(Misconfigured) as caught:
        config.load()
    return caught.value.problems


def test_nothing_set_is_a_small_service() -> None:
    """Defaults: SQLite in ./data, loopback, no metrics, no key."""
    settings = config.load()
    assert settings.database == "sqlite:///data/broker.db"
    assert settings.sqlite_path == Path("data/broker.db")
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.encryption_keys is None
    assert settings.metrics_port is None
    assert settings.product == "Smart Flows"


def test_every_setting_has_a_sentence() -> None:
    """Each setting says in one sentence what it is for."""
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), name


def test_the_environment_is_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command line is before the environment, and that before `.env`."""
    (tmp_path / ".env").write_text("BROKER_PORT=1\nBROKER_PRODUCT='From file'\nBROKER_DRAIN_S=1\n")
    monkeypatch.setenv("BROKER_PORT", "2")
    monkeypatch.setenv("BROKER_DRAIN_S", "2")
    settings = config.load(port=3, host=None)
    assert (settings.port, settings.drain_s, settings.product) == (3, 2, "From file")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("BROKER_PUBLC_URL", "BROKER_PUBLIC_URL"),
        ("BROKER_ENCRYPTION_KEY", "BROKER_ENCRYPTION_KEYS"),
        ("broker_datas", "BROKER_DATA"),
        ("BROKER_ENCRYPTION_KEYS_FIL", "BROKER_ENCRYPTION_KEYS_FILE"),
    ],
)
def test_a_misspelt_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, near: str) -> None:
    """It would silently do nothing, so it ends the start and names the nearest."""
    monkeypatch.setenv(name, "x")
    (problem,) = problems()
    assert f"{name.upper()} (from the environment)" in problem
    assert f"did you mean {near}?" in problem


def test_the_file_and_its_line_are_named(tmp_path: Path) -> None:
    """A problem out of `.env` says where it stands."""
    (tmp_path / ".env").write_text("# remarks\n\nexport BROKER_PORT=many\nBROKER_PROT=1\n")
    unknown, wrong = problems()
    assert "BROKER_PROT (from .env, line 4)" in unknown
    assert "BROKER_PORT is many (from .env, line 3)" in wrong
    assert "\n" not in wrong
    assert "http" not in wrong


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a problem, all of them in one go."""
    monkeypatch.setenv("BROKER_PORT", "70000")
    monkeypatch.setenv("BROKER_EGRESS_ALLOW", "10.0.0.0/33")
    monkeypatch.setenv("BROKER_LOG_LEVEL", "loud")
    monkeypatch.setenv("BROKER_DATABASE_URL", "mysql://canary")
    found = problems()
    assert len(found) == 4
    assert "canary" not in str(found)  # a database's address holds a password


def test_the_suites_own_names_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that names a PostgreSQL for tests can still serve."""
    before = config.load()
    monkeypatch.setenv("BROKER_TEST_PG_URL", "postgresql://x")
    assert config.load() == before


def test_a_secret_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`NAME_FILE` names it; what stands around the value does not belong to it."""
    file = tmp_path / "key"
    file.write_text(f"\n{KEY}\n")
    file.chmod(0o600)
    monkeypatch.setenv("BROKER_ENCRYPTION_KEYS_FILE", str(file))
    settings = config.load()
    assert settings.encryption_keys is not None
    assert settings.encryption_keys.get_secret_value() == KEY
    assert KEY not in repr(settings)


def test_a_secret_has_one_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set twice, nobody knows which one counts: the start ends."""
    file = tmp_path / "key"
    file.write_text(KEY)
    monkeypatch.setenv("BROKER_ENCRYPTION_KEYS_FILE", str(file))
    monkeypatch.setenv("BROKER_ENCRYPTION_KEYS", KEY)
    (problem,) = problems()
    assert "both set" in problem
    assert KEY not in problem


def test_a_secret_file_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file is named with its setting and its source."""
    monkeypatch.setenv("BROKER_DATABASE_URL_FILE", "nowhere")
    (problem,) = problems()
    assert "BROKER_DATABASE_URL_FILE is nowhere (from the environment)" in problem


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_others_can_read_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    """Safety 38: a key file of ours is for us alone, and the line says what to run."""
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    monkeypatch.setenv("BROKER_ENCRYPTION_KEYS_FILE", str(file))
    (problem,) = problems()
    assert f"chmod 600 {file}" in problem
    assert KEY not in problem


def test_a_dotenv_with_a_key_is_for_us_alone(tmp_path: Path) -> None:
    """Safety 38: the same for a `.env` that holds the key itself."""
    file = tmp_path / ".env"
    file.write_text(f"BROKER_ENCRYPTION_KEYS={KEY}\n")
    file.chmod(0o644)
    (problem,) = problems()
    assert "chmod 600 .env" in problem
    file.chmod(0o600)
    config.load()


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://broker.example.com", "https://broker.example.com"),
        ("https://Broker.Example.com:8443/", "https://broker.example.com:8443"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_a_public_address_is_an_origin(
    monkeypatch: pytest.MonkeyPatch, url: str, kept: str
) -> None:
    """https anywhere, http on loopback (api.md, "Settings")."""
    monkeypatch.setenv("BROKER_PUBLIC_URL", url)
    assert config.load().public_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "broker.example.com",
        "ftp://broker.example.com",
        "https://broker.example.com/path",
        "https://broker.example.com?x=1",
        "https://user@broker.example.com",
        "https://",
    ],
)
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A path, a query or a user has no place in it."""
    monkeypatch.setenv("BROKER_PUBLIC_URL", url)
    (problem,) = problems()
    assert "an origin is needed" in problem


def test_http_beyond_loopback_is_for_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere http needs BROKER_INSECURE=1, and the line says both ways out."""
    monkeypatch.setenv("BROKER_PUBLIC_URL", "http://broker.example.com")
    (problem,) = problems()
    assert "BROKER_PUBLIC_URL is http://broker.example.com (from the environment)" in problem
    assert "BROKER_INSECURE=1" in problem
    monkeypatch.setenv("BROKER_INSECURE", "1")
    assert config.load().public_url == "http://broker.example.com"


def test_networks_are_read_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas, blanks and single addresses."""
    monkeypatch.setenv("BROKER_EGRESS_ALLOW", "10.1.0.0/16, 192.168.7.4 ,")
    assert config.load().egress_allow == ("10.1.0.0/16", "192.168.7.4/32")


def test_relays_are_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """R42, safety 20: BROKER_RELAYS is the operator's list of ways out, name by name."""
    assert config.load().relays == {}
    monkeypatch.setenv("BROKER_RELAYS", "site=http://10.1.0.9:3128, dmz=https://relay.acme.example")
    assert config.load().relays == {
        "site": "http://10.1.0.9:3128",
        "dmz": "https://relay.acme.example",
    }


def test_a_relay_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """safety 20: what cannot be a relay ends the start, in one line that shows how it is done."""
    monkeypatch.setenv("BROKER_RELAYS", "site=socks5://10.1.0.9")
    (problem,) = problems()
    assert "site=http://10.1.0.9:3128" in problem


def test_a_child_sees_the_same_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The migrating child gets database and folder, and no key."""
    monkeypatch.setenv("BROKER_ENCRYPTION_KEYS", KEY)
    given = config.environment(config.load())
    assert given["BROKER_DATABASE_URL"] == "sqlite:///data/broker.db"
    assert KEY not in str(given)
