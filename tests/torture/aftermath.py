"""After the faults: what is open is resolved by its own key, old keys are sent once more, and all has to be healed."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from tests.concurrency.violations import BrokenChain
from tests.http.process import environment
from tests.torture.checker.findings import Findings
from tests.torture.checker.history import History
from tests.torture.checker.places import Places
from tests.torture.intents import decode, unguarded
from tests.torture.processes import ROOT
from tests.torture.stage import Stage
from tests.torture.workload import Client

AT_ONCE: Final = 16
FENCED_SHARE: Final = 0.2
ROUNDS_MAX: Final = 3
REPEATED_MAX: Final = 400
SETTLE_S: Final = (1.2, 1.0)
"""What is left behind shows a second later. What is still wrong then may be about to be put right, and gets another."""
READS: Final = 40
SESSIONS_PER_WORKER_MAX: Final = 14

IDLE_IN_TRANSACTION: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'wallet' AND application_name LIKE 'wallet%'"
    " AND state LIKE 'idle in transaction%' AND now() - state_change > interval '1 second'"
)
SESSIONS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'wallet' AND application_name = 'wallet-service'"
)


async def resolve(client: Client, journals: Sequence[Path], chance: Random) -> None:
    """Ask for every key of which nobody knows what became of it: by the key itself, and for some with a fence."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(key: str, raw: bytes) -> None:
        async with gate:
            if chance.random() < FENCED_SHARE:
                await client.caller.fence(key, chance.randrange(len(client.caller.instances)))
            else:
                await client.settle(unguarded(decode(raw)))

    for _ in range(ROUNDS_MAX):
        history = History.read(journals, Findings())
        with Places(journals) as places:
            open_keys = [(key, bytes(places.intent(state.intents[0]))) for key, state in history.open_keys()]
        if not open_keys:
            return
        await asyncio.gather(*(ask(key, raw) for key, raw in open_keys))


async def repeat_old_keys(client: Client, journals: Sequence[Path], chance: Random) -> int:
    """Send some of the keys of the whole run once more; the answers have to be those of the first time."""
    history = History.read(journals, Findings())
    decided = [state for state in history.keys.values() if state.outcome and state.intents]
    chosen = chance.sample(decided, min(len(decided), REPEATED_MAX))
    with Places(journals) as places:
        intents = [unguarded(decode(places.intent(state.intents[0]))) for state in chosen]
    gate = asyncio.Semaphore(AT_ONCE)

    async def repeat(number: int) -> None:
        async with gate:
            await client.caller.write(intents[number], number % len(client.caller.instances))

    await asyncio.gather(*(repeat(number) for number in range(len(intents))))
    return len(intents)


async def find_what_is_not_healed(stage: Stage, client: Client) -> list[str]:
    """What still shows that there were faults, though they are over."""
    wrong = [
        f"instance {instance.number} is not ready" for instance in stage.instances if not await instance.is_ready()
    ]
    for number in range(len(stage.instances)):
        wallets = [wallet for kind in ("warm", "cold") for wallet in client.world.wallets[kind]][:READS]
        reads = [client.caller.read("wallet", wallet, number) for wallet in wallets]
        writes = [client.caller.write(client.new_movement(), number) for _ in range(READS)]
        answers = await asyncio.gather(*reads, *writes)
        failed = [answer for answer in answers if answer.status in (0, 500, 503, 504)]
        if failed:
            wrong.append(f"instance {number} fails {len(failed)} of {len(answers)} requests: {failed[0]}")
    left: list[str] = []
    for settle_s in SETTLE_S:
        await asyncio.sleep(settle_s)
        left = await _find_what_is_left_behind(stage)
        if not left:
            break
    return wrong + left


async def _find_what_is_left_behind(stage: Stage) -> list[str]:
    """Sessions that nobody needs any more."""
    wrong = []
    async with stage.session() as owner:
        idle = await owner.fetchval(IDLE_IN_TRANSACTION)
        sessions = await owner.fetchval(SESSIONS)
    if idle:
        wrong.append(f"{idle} sessions sit idle in a transaction")
    most = sum(instance.workers for instance in stage.instances) * SESSIONS_PER_WORKER_MAX
    if sessions > most:
        wrong.append(f"the service has {sessions} sessions, and its pools are made for {most}")
    return wrong


async def ledger_is_proved(dsn: str, findings: Findings) -> None:
    """Have the service's own command prove every hash, balance, hold and sum."""

    def verify() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "entrypoints.cli", "verify"],
            env=environment({"WALLET_DATABASE_URL": dsn}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    done = await asyncio.to_thread(verify)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        says = os.linesep.join(lines[:30])
        findings.add(BrokenChain, "", f"`wallet verify` ends with {done.returncode}: {says}")
