"""The sessions in a page: what a reader types, and what the page says that it prints.

A block ``sh`` is carried out, unless it installs or starts something with make or git, which the test does instead. In
a block ``console`` each line that begins with ``$`` is a command, and what follows is its output. A page is one session
of one shell, from its top to its end.
"""

import re
import subprocess
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
RUN_S_MAX = 60

BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?((?:(?!\$ ).*\n)*)", re.MULTILINE)
BY_THE_TEST = re.compile(r"^(make|git) ", re.MULTILINE)
# What differs from run to run; the ids that a page chose are not among it.
CHANGING = re.compile(r"01[0-9a-f]{6}-[0-9a-f]{4}-7[0-9a-f-]{21}(?<!a11c)|[0-9a-f]{64}|\d{4}-\d\d-\d\dT[\d:.]+Z")
END = "\x1e"


@attrs.frozen
class Step:
    """A command, and its output; None where the page does not show it."""

    command: str
    output: str | None


def steps(text: str) -> list[Step]:
    """What a reader does, in order."""
    found = []
    for language, block in BLOCK.findall(text):
        if language == "console":
            found += [Step(command, output.strip()) for command, output in commands(block)]
        elif not BY_THE_TEST.search(block):
            found.append(Step(block, None))
    return found


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a block ``console``, and their outputs. A command goes on behind a backslash at a line's end."""
    found: list[tuple[str, str]] = COMMAND.findall(block)
    return found


def surprises(session: list[Step], url: str, data_dir: Path) -> list[str]:
    """Carry it out against a service at this address. Returns what is not as the page says."""
    script = "".join(f'{step.command}\nprintf "{END}%s{END}" "$?"\n' for step in session)
    script = script.replace("http://127.0.0.1:8080", url).replace(".wallet/", f"{data_dir}/")
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
    *told, rest = run.stdout.split(END)
    found = [f"the shell ended early: {rest}{run.stderr}"] if len(told) != 2 * len(session) or rest else []
    for step, output, code in zip(session, told[::2], told[1::2], strict=False):
        if code != "0":
            found.append(f"$ {step.command}\nended with {code}: {output}")
        elif step.output is not None and shown(output) != shown(step.output):
            found.append(f"$ {step.command}\nprinted\n{output.strip()}\nand not\n{step.output}")
    return found


def shown(output: str) -> str:
    """An output, without what differs from run to run."""
    return CHANGING.sub("…", output.strip())
