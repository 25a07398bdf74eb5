"""The image, built and run. Collected only where an engine has its base images: see ``conftest``.

They are set with ``WALLET_TEST_PYTHON_IMAGE`` and ``WALLET_TEST_NODE_IMAGE``. Building takes minutes and a registry of
packages, unless the image is built already: ``WALLET_TEST_IMAGE`` then names it.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.images import base_images

ROOT = Path(__file__).parents[2]
BUILD_S_MAX = 1200
HEALTHY_S_MAX = 90.0
NETWORK = os.environ.get("WALLET_TEST_NETWORK", "bridge")
"""``host`` where the engine cannot make networks."""

pytestmark = pytest.mark.timeout(BUILD_S_MAX)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def image() -> str:
    if given := os.environ.get("WALLET_TEST_IMAGE"):
        return given
    arguments = [part for name, base in base_images().items() for part in ("--build-arg", f"{name}={base}")]
    registries = [name for name in ("PIP_INDEX_URL", "NPM_CONFIG_REGISTRY") if name in os.environ]
    arguments += [part for name in registries for part in ("--build-arg", name)]
    return docker("build", "--quiet", "--network", NETWORK, *arguments, str(ROOT)).splitlines()[-1]


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[str]:
    """A container of the service, with its own PostgreSQL inside."""
    published = ("--publish", "127.0.0.1:0:8080") if NETWORK != "host" else ("--env", "WALLET_HOST=127.0.0.1")
    confined = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", NETWORK)
    name = docker("run", "--detach", *confined, *published, image)
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def shown(container: str, template: str) -> str:
    return docker("inspect", "--format", f"{{{{{template}}}}}", container)


def test_it_becomes_healthy_serves_its_pages_and_stops_in_order(container: str) -> None:
    deadline = time.monotonic() + HEALTHY_S_MAX
    while shown(container, ".State.Health.Status") != "healthy":
        assert shown(container, ".State.Running") == "true", docker("logs", container)
        assert time.monotonic() < deadline, docker("logs", container)
        time.sleep(0.5)
    address = docker("port", container, "8080").splitlines()[0] if NETWORK != "host" else "127.0.0.1:8080"
    assert httpx.get(f"http://{address}/health/ready").json() == {"status": "ok"}
    assert "<!doctype html>" in httpx.get(f"http://{address}/").text.lower()
    assert docker("exec", container, "id", "-u") == "10001"
    docker("stop", "--time", "35", container)
    assert shown(container, ".State.ExitCode") == "0"


def test_there_is_no_installer_in_the_services_environment(image: str) -> None:
    has = "import importlib.util as u; print(u.find_spec('pip'), bool(u.find_spec('entrypoints')))"
    assert docker("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", has) == "None True"
