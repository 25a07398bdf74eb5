"""``compose.yaml`` and ``deploy/``: what they name exists, in the service and among themselves."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from adapters.redis.client import RedisStore
from adapters.redis.store import StoreAway, StoreRefused
from entrypoints.cli import main
from entrypoints.http.server import KEEP_ALIVE_S
from entrypoints.settings import KNOWN, Settings
from tests.support.redis import redis_server

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSITION: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSITION["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
INSTANCES = sorted(name for name in OURS if name.startswith("wallet-"))
SECRETS = "/run/secrets/"


def words(service: dict[str, Any]) -> Iterator[str]:
    """All text of a service's command, environment and health check."""
    for part in (service.get("command", []), service.get("environment", {}), service.get("healthcheck", {})):
        yield from map(str, part.values() if isinstance(part, dict) else part)


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_variable_of_the_service_is_a_setting(name: str) -> None:
    given = OURS[name]["environment"]
    assert given
    assert given.keys() <= set(KNOWN)


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_command_is_one_of_the_command_line(name: str) -> None:
    command: click.Command = main
    for word in OURS[name].get("command", ["serve"]):
        assert isinstance(command, click.Group)
        command = command.commands[word]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_secret_that_is_read_is_given_and_made(name: str, secrets: Path) -> None:
    read = {word.removeprefix(SECRETS) for word in words(SERVICES[name]) if word.startswith(SECRETS)}
    given = set(SERVICES[name].get("secrets", []))
    mounted = [ROOT / volume.split(":")[0] for volume in SERVICES[name].get("volumes", []) if volume.startswith("./")]
    read |= {found for file in mounted for found in re.findall(rf"{SECRETS}(\w+)", file.read_text())}
    assert read == given
    for secret in given:
        assert COMPOSITION["secrets"][secret] == {"file": f"deploy/secrets/{secret}"}
        assert (secrets / secret).is_file()


def test_there_are_two_instances_that_start_once_the_schema_is_there_and_need_no_cache() -> None:
    assert INSTANCES == ["wallet-1", "wallet-2"]
    for name in INSTANCES:
        assert OURS[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert OURS["migrate"]["command"] == ["db", "upgrade"]
    assert "restart" not in OURS["migrate"]


def test_who_is_waited_for_to_be_healthy_says_whether_it_is() -> None:
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "test" in SERVICES[name].get("healthcheck", {}) or name in INSTANCES


def test_the_load_balancer_knows_the_instances_and_is_all_that_can_be_reached_from_outside() -> None:
    balancing = (ROOT / "deploy" / "haproxy.cfg").read_text()
    assert re.findall(r"^ *server (\S+) (\S+)$", balancing, re.MULTILINE) == [(n, f"{n}:8080") for n in INSTANCES]
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s and "profiles" not in s}
    assert published == {"load-balancer": ["127.0.0.1:${PORT:-8080}:8080"]}
    assert COMPOSITION["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis", "migrate"):
        assert SERVICES[name]["networks"] == ["inside"]


def test_the_load_balancer_waits_longer_than_the_service_and_keeps_connections_shorter() -> None:
    balancing = (ROOT / "deploy" / "haproxy.cfg").read_text()
    seconds = {name: int(s) for name, s in re.findall(r"^ *timeout (\S+) (\d+)s", balancing, re.MULTILINE)}
    assert seconds["server"] > Settings.from_environment({}).request_timeout_ms / 1000 * 2
    assert seconds["http-keep-alive"] < KEEP_ALIVE_S


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_service_has_limits(name: str) -> None:
    assert SERVICES[name]["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}


def test_whatever_starts_with_code_of_ours_may_do_as_little_as_possible() -> None:
    for service in (*OURS.values(), SERVICES["load-balancer"]):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_who_watches_is_started_only_when_asked_for_and_reached_only_from_this_machine() -> None:
    watching = {name: service for name, service in SERVICES.items() if "profiles" in service}
    assert watching.keys() == {"prometheus", "grafana"}
    assert all(service["profiles"] == ["observability"] for service in watching.values())
    assert watching["prometheus"]["networks"] == ["inside"]
    assert "ports" not in watching["prometheus"]
    assert watching["grafana"]["ports"] == ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"]
    for service in watching.values():
        for volume in service["volumes"]:
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).exists()
                assert volume.endswith(":ro")


def test_prometheus_scrapes_each_instance_on_the_port_of_its_metrics_and_grafana_asks_prometheus() -> None:
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    given = {name: {"WALLET_METRICS": OURS[name]["environment"]["WALLET_METRICS"]} for name in INSTANCES}
    ports = {name: Settings.from_environment(variable).metrics for name, variable in given.items()}
    assert job["static_configs"] == [{"targets": [f"{name}:{port}" for name, port in ports.items()]}]
    (source,) = yaml.safe_load((ROOT / "deploy" / "grafana" / "datasources.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((ROOT / "deploy" / "grafana" / "dashboards.yaml").read_text())["providers"]
    assert any(f":{provider['options']['path']}/wallet.json:" in volume for volume in SERVICES["grafana"]["volumes"])


def test_no_secret_and_no_registry_is_written_down() -> None:
    assert not re.search(r"://[^/ ]*:[^/ ]*@", TEXT)
    images = [service["image"] for service in SERVICES.values()]
    name = r"\$\{[A-Z]+_IMAGE:-([a-z]+/)?[a-z0-9.-]+(:[a-z0-9.-]+)?\}"
    assert all(re.fullmatch(name, image) for image in images), images


def test_the_page_about_it_names_settings_services_and_files_that_there_are() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    assert set(re.findall(r"\bWALLET_[A-Z_]+", page)) <= set(KNOWN)
    for file in re.findall(r"\bdeploy/make-[\w-]+", page):
        assert (ROOT / file).is_file()
    for service in re.findall(r"docker compose (?:run --rm|up --wait --no-deps|stop) (\S+?)[` ]", page):
        assert service in SERVICES


def made_secrets(folder: Path) -> Path:
    """Run the script as it is shipped, in a folder that is not the checkout's."""
    (folder / "make-secrets").write_bytes((ROOT / "deploy" / "make-secrets").read_bytes())
    subprocess.run(["sh", folder / "make-secrets"], check=True, capture_output=True)
    return folder / "secrets"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_secrets(tmp_path_factory.mktemp("deploy"))


def test_the_secrets_are_the_urls_and_passwords_of_the_composition(secrets: Path) -> None:
    text = {file.name: file.read_text().removesuffix("\n") for file in secrets.iterdir()}
    assert text.keys() == COMPOSITION["secrets"].keys()
    for name in ("owner_url", "service_url"):
        Settings.from_environment({"WALLET_DATABASE_URL_FILE": str(secrets / name)})
    Settings.from_environment({"WALLET_REDIS_URL_FILE": str(secrets / "redis_url")})
    database = SERVICES["postgres"]["environment"]["POSTGRES_DB"]
    assert text["owner_url"] == f"postgresql://postgres:{text['postgres_password']}@postgres:5432/{database}"
    (user,) = re.findall(r"CREATE ROLE (\w+) LOGIN", (ROOT / "deploy" / "roles.sql").read_text())
    assert text["service_url"] == f"postgresql://{user}:{text['service_password']}@postgres:5432/{database}"
    assert len({text["postgres_password"], text["service_password"], text["redis_url"]}) == 3
    assert all(len(text[name]) == 48 for name in ("postgres_password", "service_password"))


def test_the_secrets_are_made_once_and_shut_away(tmp_path: Path) -> None:
    folder = made_secrets(tmp_path)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    # Others than the owner may read what is inside, which containers do, and cannot get there.
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o644}
    assert made_secrets(tmp_path) == folder
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert os.access(ROOT / "deploy" / "make-secrets", os.X_OK)
    assert "secrets/" in (ROOT / "deploy" / ".gitignore").read_text().splitlines()


async def test_redis_takes_its_options_and_lets_in_who_has_the_secret(secrets: Path) -> None:
    program, *options = SERVICES["redis"]["command"]
    assert program == "redis-server"
    given = [str(option).replace(SECRETS, f"{secrets}/") for option in options]
    with redis_server(*given) as server:
        url = (secrets / "redis_url").read_text().strip().replace("redis:6379", f"127.0.0.1:{server.port}")
        store = RedisStore(url)
        await store.put_many({b"a": b"1"}, 60)
        await store.close()
        stranger = RedisStore(server.url)
        with pytest.raises((StoreAway, StoreRefused)):
            await stranger.ping()
        await stranger.close()
