"""`make audit` tells what is known, and does not take silence for an answer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

from tests.support.http_servers import Quiet, answering

ROOT: Final = Path(__file__).parents[2]
PATHS: Final = {"osv": "/v1/query", "npm": "/-/npm/v1/security/advisories/bulk"}
NOTHING: Final[Mapping[str, Any]] = {PATHS["osv"]: {}, PATHS["npm"]: {}}
OF_ATTRS: Final = {
    "vulns": [
        {
            "id": "PYSEC-2026-1",
            "summary": "made up",
            "details": "made up",
            "affected": [
                {
                    "package": {"name": "attrs", "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
                }
            ],
        }
    ]
}
OF_REACT: Final = {
    "react": [
        {
            "id": 1,
            "url": "https://example.org/1",
            "title": "made up",
            "severity": "high",
            "vulnerable_versions": "<99.1",
            "cwe": [],
            "cvss": {"score": 7.5, "vectorString": None},
        }
    ]
}


@contextmanager
def advisories(answers: Mapping[str, Any]) -> Iterator[str]:
    """A source of advisories that answers these paths, and knows of no other."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            content = json.dumps(answers.get(self.path)).encode()
            self.send_response(200 if self.path in answers else 405)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with answering(Handler) as source:
        yield source


def audit(folder: Path, source: str) -> "subprocess.CompletedProcess[str]":
    """Audit one package of Python, and the real frontend."""
    lock = folder / "requirements.txt"
    lock.write_text(f"attrs==25.1.0 --hash=sha256:{'0' * 64}\n")
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "audit.py", "--requirements", lock, "--osv-url", source + PATHS["osv"]],
        env={**os.environ, "npm_config_registry": source, "npm_config_fetch_retries": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_known_is_told(tmp_path: Path) -> None:
    with advisories({PATHS["osv"]: OF_ATTRS, PATHS["npm"]: OF_REACT}) as source:
        run = audit(tmp_path, source)
    assert run.returncode == 1, run.stderr
    assert "attrs 25.1.0: PYSEC-2026-1, fixed in 99.1" in run.stdout
    assert "the frontend: react <99.1: high, made up" in run.stdout.splitlines()


def test_where_nothing_is_known_that_is_told(tmp_path: Path) -> None:
    with advisories(NOTHING) as source:
        run = audit(tmp_path, source)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["Python: nothing is known", "the frontend: nothing is known"]


def test_who_cannot_be_asked_is_not_taken_to_know_nothing(tmp_path: Path) -> None:
    with advisories({}) as source:
        run = audit(tmp_path, source)
    assert run.returncode == 2, run.stdout
    assert [line.partition(": ")[0] for line in run.stderr.splitlines()] == ["Python", "the frontend"]
    assert run.stderr.count(": NOT AUDITED: ") == 2
