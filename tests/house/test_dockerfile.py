"""The image, read step by step: what a run of it would show an operator."""

from __future__ import annotations

import json
import re

from tests.house.product import ROOT, project, text

Step = tuple[str, str]


def steps(file: str) -> list[Step]:
    """The instructions and their arguments; continued lines joined, remarks dropped."""
    lines = [line for line in file.splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    return [
        (word.upper(), " ".join(rest.split()))
        for word, _, rest in (line.strip().partition(" ") for line in whole.splitlines())
        if word
    ]


STEPS = steps(text("Dockerfile"))
LAST_FROM = max(n for n, (word, _) in enumerate(STEPS) if word == "FROM")
BUILD, IMAGE = STEPS[:LAST_FROM], STEPS[LAST_FROM:]


def said(stage: list[Step], word: str) -> list[str]:
    """The arguments of every instruction of that name."""
    return [rest for each, rest in stage if each == word]


def test_two_stages_on_the_python_of_the_project() -> None:
    """Both stages are the slim image of the one Python that the project supports."""
    version = re.fullmatch(r">=(\d+\.\d+),.*", project()["project"]["requires-python"])
    assert version is not None
    froms = said(STEPS, "FROM")
    assert [each.split(" ")[0] for each in froms] == [f"python:{version[1]}-slim"] * 2


def test_every_package_is_checked_by_its_hash() -> None:
    """Whatever comes from outside is installed with hashes; our own wheel without an index."""
    installs = re.findall(r"pip (?:install|wheel) [^&]*", " && ".join(said(BUILD, "RUN")))
    assert len(installs) == 4
    for each in installs:
        assert "--require-hashes" in each or "--no-index" in each or "--no-build-isolation" in each
    assert not any("pip" in each for each in said(IMAGE, "RUN"))


def test_everything_that_is_copied_is_there_and_reaches_the_builder() -> None:
    """Each COPY names files of the repository that .dockerignore lets through."""
    allowed = {line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")}
    copied = {name.rstrip("/") for each in said(BUILD, "COPY") for name in each.split()[:-1]}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert set(project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied


def test_it_runs_as_nobody_in_particular() -> None:
    """The process is user 10001 from the last USER on, and owns /data alone, mode 0700."""
    assert said(IMAGE, "USER") == ["10001:10001"]
    made = " ".join(said(IMAGE, "RUN"))
    assert "--uid 10001" in made
    assert "--owner=10001 --group=10001 --mode=0700 /data" in made
    after = [word for word, _ in IMAGE[[word for word, _ in IMAGE].index("USER") :]]
    assert "RUN" not in after
    assert "COPY" not in after


def test_all_it_writes_is_in_the_volume() -> None:
    """BROKER_DATA is the volume, and Python writes no bytecode: the root may be read-only."""
    assert said(IMAGE, "VOLUME") == ['["/data"]']
    environment = " ".join(said(IMAGE, "ENV"))
    assert "BROKER_DATA=/data" in environment
    assert "PYTHONDONTWRITEBYTECODE=1" in environment


def test_it_serves_and_says_how_it_is() -> None:
    """One command, one port, one health check; each as a list, so no shell stands in between."""
    assert said(IMAGE, "EXPOSE") == ["8080"]
    (health,) = said(IMAGE, "HEALTHCHECK")
    assert json.loads(health[health.index("[") :]) == ["broker", "healthcheck"]
    (command,) = said(IMAGE, "CMD")
    assert json.loads(command) == ["broker", "serve", "--host", "0.0.0.0"]


def test_no_secret_is_baked_in() -> None:
    """No ENV or ARG carries a key, a token or a password."""
    baked = " ".join(said(STEPS, "ENV") + said(STEPS, "ARG"))
    assert not re.search(r"KEY|TOKEN|SECRET|PASSWORD", baked, re.IGNORECASE)
