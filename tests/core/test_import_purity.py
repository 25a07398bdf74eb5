"""The core stands on the standard library and attrs, so that it can be used, read and tested alone."""

import ast
import subprocess
import sys
from pathlib import Path

import attr
import pytest

import wallet_core

CORE = Path(wallet_core.__file__).parent
ALLOWED = sys.stdlib_module_names | {"attr", "attrs", "wallet_core"}
MODULES = sorted(path.relative_to(CORE) for path in CORE.rglob("*.py"))


def _imported_packages(source: str) -> set[str]:
    packages: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            packages.add(node.module.partition(".")[0])
    return packages


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_core_module_names_only_the_standard_library_and_attrs(module: Path) -> None:
    assert _imported_packages((CORE / module).read_text()) <= ALLOWED


def test_the_core_imports_where_nothing_but_attrs_is_installed(tmp_path: Path) -> None:
    """Isolated and without site-packages, so that nothing installed here can help."""
    site_packages = Path(attr.__file__).parent.parent
    for package in ("attr", "attrs"):
        (tmp_path / package).symlink_to(site_packages / package)
    (tmp_path / "wallet_core").symlink_to(CORE)
    names = [".".join(("wallet_core", *module.with_suffix("").parts)).removesuffix(".__init__") for module in MODULES]
    imports = "\n".join(f"import {name}" for name in names)
    script = f"import sys\nsys.path.append({str(tmp_path)!r})\n{imports}"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
