"""Nothing that is committed is a secret, or says from which registry somebody happened to install."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SIZE_MAX: Final = 2**20

SECRETS: Final = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "a key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token of GitHub": r"\bgh[oprsu]_[0-9A-Za-z]{36}|\bgithub_pat_[0-9A-Za-z_]{40,}",
    "a token of GitLab": r"\bglpat-[0-9A-Za-z_-]{20,}",
    "a token of Slack": r"\bxox[abprs]-[0-9A-Za-z-]{20,}",
    "a token of npm": r"\bnpm_[0-9A-Za-z]{36}\b|:_authToken=",
    "a token of PyPI": r"\bpypi-[0-9A-Za-z_-]{40,}",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}",
    "a key of Stripe": r"\b[rs]k_live_[0-9A-Za-z]{20,}",
    "a JSON web token": r"\beyJ[0-9A-Za-z_-]{20,}\.eyJ[0-9A-Za-z_-]{20,}\.",
    "a key of this service": r"\bwk_[0-9A-Za-z_-]{40,}",
    "a registry": r"registry\.npmjs\.|files\.pythonhosted\.|https?://pypi\.|deb\.debian\.",
    "where npm found it": r'"resolved": *"http',
}


def committed() -> list[Path]:
    """Every file that is committed, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def found_in(text: str) -> list[str]:
    return [name for name, pattern in SECRETS.items() if re.search(pattern, text)]


def test_no_file_holds_a_secret_or_names_a_registry() -> None:
    files = [path for path in committed() if path.is_file() and path != Path(__file__)]
    assert len(files) > 300
    found = {
        str(path.relative_to(ROOT)): names
        for path in files
        if path.stat().st_size <= SIZE_MAX and (names := found_in(path.read_text(errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a private key", "-----BEGIN RSA PRIVATE KEY-----"),
        ("a private key", "-----BEGIN PRIVATE KEY-----"),
        ("a key of AWS", "AKIA" + 16 * "A"),
        ("a token of GitHub", "ghp_" + 36 * "a"),
        ("a token of GitLab", "glpat-" + 20 * "a"),
        ("a token of Slack", "xoxb-" + 20 * "1"),
        ("a token of npm", "//host/:_authToken=x"),
        ("a token of PyPI", "pypi-" + 40 * "a"),
        ("a key of Google", "AIza" + 35 * "a"),
        ("a key of Stripe", "sk_live_" + 24 * "a"),
        ("a JSON web token", f"eyJ{20 * 'a'}.eyJ{20 * 'b'}.c"),
        ("a key of this service", "wk_" + 43 * "a"),
        ("a registry", f"https://registry.{'npmjs'}.org/react"),
        ("where npm found it", '"resolved": "https://host/react.tgz"'),
    ],
)
def test_each_would_be_found(name: str, text: str) -> None:
    assert found_in(f"before {text} after") == [name]
