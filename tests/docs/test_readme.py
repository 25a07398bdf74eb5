"""The session in the README runs against the real service, and prints what it says there."""

import re
import subprocess
from pathlib import Path

from tests.docs.served import serving

ROOT = Path(__file__).parents[2]
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETUP = re.compile(r"^```sh\n(URL=.*?)^```$", re.MULTILINE | re.DOTALL)
# What differs from run to run; the ids that a test or reader chose are not among it.
CHANGING = re.compile(r"01[0-9a-f]{6}-[0-9a-f]{4}-7[0-9a-f-]{21}(?<!a11c)|[0-9a-f]{64}|\d{4}-\d\d-\d\dT[\d:.]+Z")


def steps(readme: str) -> list[tuple[str, str]]:
    """The commands and what each is said to print."""
    found = []
    for block in CONSOLE.findall(readme):
        for step in block.strip().split("\n\n"):
            command, _, output = step.partition("\n")
            found.append((command.removeprefix("$ "), output))
    return found


def test_the_session_prints_what_the_readme_says(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    (setup,) = SETUP.findall(readme)
    with serving(tmp_path) as url:
        setup = setup.replace("http://127.0.0.1:8080", url).replace(".wallet/", f"{tmp_path}/")
        session = steps(readme)
        assert len(session) >= 8
        for command, output in session:
            run = subprocess.run(
                ["bash", "-euc", f"{setup}\n{command}"], capture_output=True, text=True, timeout=30, check=False
            )
            assert CHANGING.sub("…", run.stdout.strip()) == CHANGING.sub("…", output.strip()), (command, run.stderr)
