"""The session in the example's README runs as it stands there, and ends as it says."""

import re
import subprocess
from pathlib import Path

from tests.client.live import free_port
from tests.http.process import environment
from tests.support.over_http import Services

ROOT = Path(__file__).parents[2]
README = ROOT / "examples" / "checkout" / "README.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN_S_MAX = 60


def test_the_session_ends_as_the_readme_says(services: Services, api_key: str, tmp_path: Path) -> None:
    make_run, *session = BLOCK.findall(README.read_text())
    assert make_run == "make run\n"
    with free_port() as bound:
        port = bound.getsockname()[1]
    settings = {
        "WALLET_URL": services.url,
        "WALLET_API_KEY": api_key,
        "CHECKOUT_DATABASE": str(tmp_path / "orders.sqlite"),
        "CHECKOUT_PORT": str(port),
    }
    (tmp_path / "api-key").write_text(api_key)
    script = "".join(session)
    for written, here in (
        ("http://127.0.0.1:8080", services.url),
        ("http://127.0.0.1:8090", f"http://127.0.0.1:{port}"),
        (".wallet/api-key", str(tmp_path / "api-key")),
    ):
        assert script.count(written) == 1
        script = script.replace(written, here)
    # The first start: what follows needs it to answer.
    up = f"until curl -s -o /dev/null http://127.0.0.1:{port}/orders/1; do sleep 0.05; done\n"
    first, rest = script.split("\n", 1)
    done = subprocess.run(
        ["bash", "-c", f"trap 'kill $PID' EXIT\n{first}\n{up}{rest}"],
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )
    lines = done.stdout.splitlines()
    held = [f'{{"id":"{number}","state":"held"}}' for number in range(1, 11)]
    said = re.findall(r"`([{\"][^`]+)`", README.read_text())
    assert (lines, done.returncode) == ([*held, *said], 0), done.stderr
