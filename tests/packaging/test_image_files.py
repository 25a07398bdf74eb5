"""The Dockerfile and what goes with it: whatever it names is there, and it names no registry."""

import fnmatch
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE))
INSTRUCTIONS = [(line.split()[0], line.partition(" ")[2].strip()) for line in DOCKERFILE.splitlines() if line.strip()]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def all_of(name: str) -> list[str]:
    return [rest for instruction, rest in INSTRUCTIONS if instruction == name]


def last(name: str) -> str:
    """What counts in the last stage, which is the image."""
    return all_of(name)[-1]


def is_sent(path: str) -> bool:
    """Whether the engine is given a path of the checkout: the last line about it, or about a folder above it, wins."""
    places = [path, *map(str, Path(path).parents)][:-1]
    verdict = True
    for line in IGNORED:
        pattern = line.removeprefix("!")
        if any(fnmatch.fnmatch(place, pattern.removeprefix("**/")) for place in places) or (
            line.startswith("!") and pattern.startswith(f"{path}/")
        ):
            verdict = line.startswith("!")
    return verdict


def test_what_is_copied_is_in_the_checkout_and_is_sent_to_the_engine() -> None:
    sources = [source for rest in all_of("COPY") if "--from=" not in rest for source in rest.split()[:-1]]
    assert len(sources) >= 8
    for source in sources:
        assert (ROOT / source).exists(), source
        assert is_sent(source), source


@pytest.mark.parametrize(
    "path",
    [".git/config", ".env", ".wallet/api-key", "deploy/secrets/owner_url", "frontend/node_modules/x", ".venv/bin"],
)
def test_nothing_else_is_sent(path: str) -> None:
    assert not is_sent(path)


def test_every_base_is_an_argument_and_nothing_is_fetched_from_a_named_host() -> None:
    stages = {rest.split()[-1] for rest in all_of("FROM") if " AS " in rest}
    arguments = {rest.partition("=")[0] for rest in all_of("ARG")}
    for base in all_of("FROM"):
        argument = re.match(r"\$\{(\w+)\}", base)
        assert argument is not None, base
        assert argument[1] in arguments
    assert {source for rest in all_of("COPY") for source in re.findall(r"--from=(\S+)", rest)} <= stages
    assert "://" not in DOCKERFILE
    assert not re.search(r"[a-z0-9-]+\.(io|com|org)/", DOCKERFILE.replace("org.opencontainers", ""))
    assert all_of("ADD") == []


def test_everything_that_is_installed_is_pinned_by_hash() -> None:
    for command in all_of("RUN"):
        for part in re.split(r"&&|;", command):
            if re.search(r"\bpip\b.*\binstall\b", part):
                assert "--require-hashes" in part or ("--no-index" in part and "--no-deps" in part), part
            assert not re.search(r"npm (i|install)\b", part), part
            assert "apt-get" not in part, part


def test_the_service_is_nobody_that_the_system_knows_by_a_number_that_stays() -> None:
    assert last("USER") == "10001:10001"
    assert "--uid 10001" in DOCKERFILE
    assert "--gid 10001" in DOCKERFILE


def test_it_is_started_without_a_shell_that_would_keep_the_signal_to_itself() -> None:
    assert json.loads(last("ENTRYPOINT")) + json.loads(last("CMD")) == ["wallet", "serve"]
    assert last("STOPSIGNAL") == "SIGTERM"
