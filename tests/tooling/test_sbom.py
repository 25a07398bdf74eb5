"""`make sbom` lists what the service is made of: all that is locked, with its hashes, and nothing else."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("sbom")
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    subprocess.run(["make", "--silent", "sbom", f"SBOM={folder}"], cwd=ROOT, env=environment, check=True)
    return {name: json.loads((folder / f"sbom-{name}.cdx.json").read_text()) for name in ("python", "frontend")}


def test_every_package_of_python_that_is_locked_is_listed_with_its_hashes(listed: dict[str, Any]) -> None:
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    assert listed["python"]["bomFormat"] == "CycloneDX"
    assert listed["python"]["metadata"]["component"]["name"] == "wallet-service"
    components = listed["python"]["components"]
    found = {f"{component['name']}=={component['version']}" for component in components}
    assert found == set(re.findall(r"^[a-z0-9-]+==[^ ]+", lock, re.MULTILINE))
    for component in components:
        (distribution,) = component["externalReferences"]
        assert {each["alg"] for each in distribution["hashes"]} == {"SHA-256"}


def test_every_package_of_the_frontend_that_is_shipped_is_listed_with_its_hash(listed: dict[str, Any]) -> None:
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text())["packages"]
    shipped = {
        f"{path.rpartition('node_modules/')[2]}@{package['version']}"
        for path, package in lock.items()
        if path and not any(package.get(kind) for kind in ("dev", "optional", "devOptional", "peer"))
    }
    components = listed["frontend"]["components"]
    assert listed["frontend"]["bomFormat"] == "CycloneDX"
    assert {f"{component['name']}@{component['version']}" for component in components} >= shipped
    assert "vite" not in {component["name"] for component in components}
    assert all(component["hashes"] for component in components)
