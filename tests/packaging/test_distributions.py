"""The wheel and the source distribution: whole, the same, and of use without the checkout."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.process import Running, environment, serving
from tests.support.redis import free_port

ROOT = Path(__file__).parents[2]
UI = ROOT / "src" / "entrypoints" / "ui"
BUILD_S_MAX = 60
NO_OTHER_CODE = {"PYTHONPATH": ""}


def build(source: Path, target: str, into: Path) -> Path:
    """A distribution, made by the build backend of this environment."""
    made = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    subprocess.run(made, cwd=source, capture_output=True, timeout=BUILD_S_MAX, check=True)
    (found,) = into.iterdir()
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    archive = build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as files:
        # Not as an argument: Python has that since 3.11.4.
        files.extraction_filter = getattr(tarfile, "data_filter", None)
        files.extractall(folder)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the wheel, which sees the dependencies that are here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    library = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    # As a plain entry of the path: the .pth files there, one of which leads to this checkout, are not heeded.
    (library / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    installer = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--offline", "--no-cache", "--no-deps"]
    subprocess.run(
        [*installer, "--python", str(folder / "bin" / "python"), str(wheel)],
        capture_output=True,
        timeout=BUILD_S_MAX,
        check=True,
    )
    return folder / "bin"


@pytest.fixture(scope="module")
def service(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The installed service with a PostgreSQL of its own, run in a folder that has nothing in it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    settings = {"WALLET_DATA_DIR": str(folder / "data"), **NO_OTHER_CODE}
    with serving(None, [str(installed / "wallet")], folder, **settings) as running:
        yield running
        assert running.stop() == 0
    assert os.listdir(folder) == ["data"]


def files_of(folder: Path, below: str = "") -> set[str]:
    """What the wheel has to hold of a folder, and under which names."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {f"{below}{path}" for path in found if "__pycache__" not in path.parts}


def modules_of(folder: Path) -> set[str]:
    return {name for name in files_of(folder) if name.endswith(".py")}


def test_the_wheel_holds_the_code_the_pages_and_the_migrations_and_nothing_else(wheel: Path) -> None:
    assert {path.suffix for path in UI.rglob("*") if path.is_file()} >= {".html", ".js", ".css", ".br", ".gz"}
    expected = files_of(ROOT / "src") | files_of(ROOT / "alembic", "adapters/postgres/migrations/")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
    assert names >= {f"{package}/py.typed" for package in ("wallet_core", "adapters", "entrypoints")}


def test_the_wheel_built_from_the_source_distribution_is_the_same(
    wheel: Path, unpacked: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = build(unpacked, "wheel", tmp_path_factory.mktemp("again"))
    assert again.name == wheel.name
    # Its record has the name and hash of every file.
    assert record(again) == record(wheel)


def record(wheel: Path) -> list[str]:
    files = zipfile.ZipFile(wheel)
    (name,) = (name for name in files.namelist() if name.endswith(".dist-info/RECORD"))
    return files.read(name).decode().splitlines()


def test_the_source_distribution_has_what_its_makefile_image_and_tests_need(unpacked: Path) -> None:
    needed = ("Makefile", "Dockerfile", ".dockerignore", "compose.yaml", "deploy/haproxy.cfg", "requirements/dev.txt")
    assert [name for name in needed if not (unpacked / name).is_file()] == []
    for folder in ("src", "tests", "benchmarks", "alembic"):
        assert modules_of(unpacked / folder) == modules_of(ROOT / folder)
    assert not (unpacked / "frontend" / "node_modules").exists()
    assert [path for path in unpacked.rglob("*") if path.name in (".env", ".wallet", "secrets")] == []


def test_what_is_installed_is_run_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    # Found, and not imported: that would take as long as all else here.
    ask = "import sys; from importlib.util import find_spec; print(*(find_spec(name).origin for name in sys.argv[1:]))"
    run = subprocess.run(
        [installed / "python", "-c", ask, "wallet_core", "adapters", "entrypoints"],
        cwd=tmp_path,
        env=environment(NO_OTHER_CODE),
        capture_output=True,
        text=True,
        check=True,
    )
    places = [Path(line) for line in run.stdout.split()]
    assert [place.is_relative_to(installed.parent) for place in places] == [True, True, True]


def test_the_installed_service_migrates_is_ready_and_credits_once(service: Running) -> None:
    with service.client() as client:
        assert client.get("/health/ready").json() == {"status": "ok"}
        opened = client.post("/v1/wallets", json={"currency": "EUR"}, headers={"idempotency-key": "open"})
        path = f"/v1/wallets/{opened.json()['id']}"
        credits = [
            client.post(f"{path}/credits", json={"amount": 1500}, headers={"idempotency-key": "pay"}) for _ in range(2)
        ]
        assert [credit.status_code for credit in credits] == [201, 201]
        assert credits[0].content == credits[1].content
        assert client.get(path).json()["balance"] == 1500


def test_the_installed_service_has_its_pages(service: Running) -> None:
    with service.client() as client:
        page = client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        scripts = re.findall(r'src="(/assets/[^"]+\.js)"', page.text)
        assert scripts
        for script in scripts:
            for coding in ("br", "gzip"):
                head = client.get(script, headers={"accept-encoding": coding}).headers
                assert head["content-encoding"] == coding


def test_the_images_health_check_tells_a_service_that_lives_from_none(service: Running, installed: Path) -> None:
    (line,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    program, *arguments = json.loads(line)

    def check(port: str) -> int:
        given = environment({"WALLET_PORT": port})
        return subprocess.run([installed / program, *arguments], env=given, capture_output=True, check=False).returncode

    assert check(service.url.rpartition(":")[2]) == 0
    assert check(str(free_port())) != 0
