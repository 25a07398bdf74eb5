"""The code in docs/client.md runs, as it stands there; what it says in other languages survives lost answers too."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.live import Live, free_port, listening, relay

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "client.md").read_text()
TSC = ROOT / "frontend" / "node_modules" / ".bin" / "tsc"
RUN_S_MAX = 60

MAIN = """
import { OutcomeUnknown, Refused, write } from "./write.mjs";
declare const process: { env: Record<string, string> };
const { URL: url, CUTTING: cutting, REFUSING: refusing, API_KEY: apiKey = "", WALLET: wallet } = process.env;
const credit = (at?: string, key?: string) =>
  write<{ id: string }>(`${at}/v1/wallets/${wallet}/credits`, apiKey, { amount: 5 }, key, 3000);
const first = await credit(cutting);
const second = await credit(url, "k");
const again = await credit(url, "k");
const refused = await write(`${url}/v1/wallets/${wallet}/debits`, apiKey, { amount: 11 }).catch((e) => e);
const unknown = await write(`http://${refusing}/`, apiKey, {}, "u", 300).catch((e) => e);
console.log(
  first.id !== second.id && second.id === again.id,
  refused instanceof Refused,
  unknown instanceof OutcomeUnknown && unknown.key,
);
"""


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return found


async def ran(*command: str, **variables: str) -> tuple[int, str]:
    """The exit code of a command, and what it printed."""
    run = await asyncio.to_thread(
        subprocess.run,
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize("code", blocks("python"), ids=["client", "pay", "ledger"])
async def test_the_python_runs(live: Live, code: str) -> None:
    exit_code, said = await ran(sys.executable, "-c", f"base_url, api_key = {live.url!r}, {live.api_key!r}\n{code}")
    assert exit_code == 0, said


async def test_the_bash_credits_once_though_answers_are_lost(live: Live) -> None:
    (script,) = blocks("bash")
    wallet_id = await live.open()
    async with listening(relay(live.url, cut_answers=2)) as url:
        exit_code, said = await ran("bash", "-euc", script, URL=url, API_KEY=live.api_key, WALLET=str(wallet_id))
    assert exit_code == 0, said
    assert await live.state(wallet_id) == (500, 2)


async def test_the_bash_takes_no_for_an_answer(live: Live) -> None:
    (script,) = blocks("bash")
    await live.client().fence("order-7")
    wallet_id = await live.open()
    exit_code, said = await ran("bash", "-euc", script, URL=live.url, API_KEY=live.api_key, WALLET=str(wallet_id))
    assert (exit_code, "idempotency-key-fenced" in said) == (1, True)
    exit_code, said = await ran("bash", "-euc", script, URL=f"{live.url}/x", API_KEY=live.api_key, WALLET="w")
    assert exit_code == 1, said


async def test_the_typescript_writes_once_though_answers_are_lost(live: Live, tmp_path: Path) -> None:
    (module,) = blocks("typescript")
    (tmp_path / "write.mts").write_text(module)
    (tmp_path / "main.mts").write_text(MAIN)
    options = ["--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"]
    exit_code, said = await ran(str(TSC), *options, *(str(tmp_path / name) for name in ("write.mts", "main.mts")))
    assert exit_code == 0, said
    wallet_id = await live.open()
    async with listening(relay(live.url, cut_answers=1)) as cutting:
        with free_port() as refusing:
            addresses = {"URL": live.url, "CUTTING": cutting, "REFUSING": f"127.0.0.1:{refusing.getsockname()[1]}"}
            exit_code, said = await ran(
                "node", str(tmp_path / "main.mjs"), **addresses, API_KEY=live.api_key, WALLET=str(wallet_id)
            )
    assert (exit_code, said.strip()) == (0, "true true u")
    assert await live.state(wallet_id) == (10, 3)
