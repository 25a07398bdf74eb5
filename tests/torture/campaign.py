"""A campaign: clients write and read, faults strike, everything is healed, and what is left has to be right."""

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

import attrs
import msgspec

from tests.torture.aftermath import find_what_is_not_healed, ledger_is_proved, repeat_old_keys, resolve
from tests.torture.caller import Answer, Caller
from tests.torture.checker.check import Verdict, check
from tests.torture.checker.findings import Finding, NotHealed
from tests.torture.client import Job, connections
from tests.torture.faults.kinds import FaultKind, NotFired, Scene
from tests.torture.faults.schedule import Planned, schedule
from tests.torture.feed import events_are_the_ledger
from tests.torture.intents import Intent
from tests.torture.journal import Journal
from tests.torture.processes import ROOT, CampaignError
from tests.torture.stage import Cast, Stage
from tests.torture.workload import WEIGHTS, Client, Memory
from tests.torture.world import World

ATTEMPTS_MAX: Final = 4
"""How often a fault is tried that could not be shown to have struck."""

OPENERS: Final = 8
STOP_S_MAX: Final = 20.0
TELL_EVERY_S: Final = 30.0


@attrs.frozen
class Options:
    """What a campaign is to be. ``rate`` is about how many things a second the clients begin, all together."""

    seed: int
    seconds: float
    kinds: Sequence[FaultKind]
    cast: Cast = attrs.field(factory=Cast)
    processes: int = 2
    clients: int = 16
    rate: float = 250.0
    weights: Mapping[str, int] = WEIGHTS
    new_key_on_retry: bool = False


@attrs.frozen
class Strike:
    """A fault that was tried. Times are those of the monotonic clock."""

    name: str
    began_ns: int
    ended_ns: int
    fired: bool
    says: str


@attrs.frozen
class Result:
    """What a campaign came to."""

    options: Options
    began_ns: int
    quiet_ns: int
    """When the last fault was over, and the clients were stopped."""
    ended_ns: int
    strikes: Sequence[Strike]
    impossible: dict[str, str]
    """Faults that cannot be here, and why."""
    verdict: Verdict
    findings: Sequence[Finding]
    repeated: int
    check_s: float

    @property
    def never_fired(self) -> list[str]:
        """The kinds that were asked for and never struck."""
        fired = {strike.name for strike in self.strikes if strike.fired}
        return [kind.name for kind in self.options.kinds if kind.name not in fired]

    @property
    def coverage(self) -> dict[str, tuple[int, int]]:
        """By kind, how often it was to strike and did."""
        tried, fired = Counter[str](), Counter[str]()
        for strike in self.strikes:
            tried[strike.name] += 1
            fired[strike.name] += strike.fired
        return {kind.name: (tried[kind.name], fired[kind.name]) for kind in self.options.kinds}

    @property
    def ok(self) -> bool:
        return not self.verdict.findings.counts and not self.never_fired


async def run(options: Options, tell: Callable[[str], None] = lambda line: None) -> Result:
    """Run a campaign from beginning to end. Raises ``CampaignError`` if it cannot go on."""
    async with Stage.new(options.cast) as stage:
        return await _Campaign(options, stage, tell).run()


@attrs.define
class _Clients:
    """One process of clients after the other, under one number."""

    number: int
    process: "subprocess.Popen[bytes] | None" = None
    generation: int = 0


@attrs.define
class _Campaign:
    options: Options
    stage: Stage
    tell: Callable[[str], None]
    strikes: list[Strike] = attrs.field(factory=list)
    troubles: list[str] = attrs.field(factory=list)
    """What went wrong with healing."""
    began_ns: int = 0
    _clients: list[_Clients] = attrs.field(factory=list)
    _lanes: "defaultdict[str, asyncio.Lock]" = attrs.field(factory=lambda: defaultdict(asyncio.Lock))
    _own_client: Client | None = None

    async def run(self) -> Result:
        options, stage = self.options, self.stage
        own = self._client("campaign")
        self._own_client = own
        await self._open_wallets(own)
        self.began_ns = time.monotonic_ns()
        impossible = {kind.name: why for kind in options.kinds if (why := kind.impossible(stage))}
        possible = [kind for kind in options.kinds if kind.name not in impossible]
        plan = schedule(options.seed, options.seconds, possible)
        self.tell(f"{len(plan)} faults of {len(possible)} kinds, seed {options.seed}; in {stage.folder}")
        self._clients = [_Clients(number) for number in range(options.processes)]
        try:
            for clients in self._clients:
                self._start_clients(clients)
            await self._strike_all(plan)
            self._require_living_clients()
        finally:
            await self._stop_clients()
        quiet_ns = time.monotonic_ns()
        await stage.heal()
        self.tell("healed; asking for what is open")
        await resolve(own, self.journals, Random(f"{options.seed} resolve"))
        repeated = await repeat_old_keys(own, self.journals, Random(f"{options.seed} repeat"))
        not_healed = [*self.troubles, *await find_what_is_not_healed(stage, own)]
        own.caller.close()
        ended_ns = time.monotonic_ns()
        self.tell("checking")
        verdict = await check(stage.dsn, stage.tenant, self.journals)
        check_s = (time.monotonic_ns() - ended_ns) / 1e9
        for trouble in not_healed:
            verdict.findings.add(NotHealed, "", trouble)
        await ledger_is_proved(stage.dsn, verdict.findings)
        await events_are_the_ledger(stage.dsn, verdict.findings)
        findings = verdict.findings.with_evidence(self.journals)
        return Result(
            options,
            self.began_ns,
            quiet_ns,
            ended_ns,
            sorted(self.strikes, key=lambda strike: strike.began_ns),
            impossible,
            verdict,
            findings,
            repeated,
            check_s,
        )

    @property
    def journals(self) -> list[Path]:
        return sorted(self.stage.folder.glob("*.jsonl"))

    async def write(self, fault: str, instance: int) -> tuple[Intent, Answer]:
        """Send a new intent that asks the lab for a fault."""
        intent = self._own.new_movement()
        return intent, await self._own.caller.write(intent, instance, fault=fault)

    async def read(self, instance: int) -> None:
        """Read a wallet."""
        await self._own.caller.read("wallet", self._own.world.wallets["warm"][0], instance)

    async def settle(self, intent: Intent) -> None:
        """Have an intent decided."""
        await self._own.settle(intent)

    async def kill_clients(self, chance: Random) -> str:
        """Kill a process of clients, and start its successor."""
        clients = chance.choice(self._clients)
        process = clients.process
        if process is None or process.poll() is not None:
            raise NotFired("there is no process of clients")
        process.kill()
        await asyncio.to_thread(process.wait)
        self._start_clients(clients)
        return f"process {process.pid}; another in its place"

    @property
    def _own(self) -> Client:
        if self._own_client is None:
            raise RuntimeError("the campaign has not begun")
        return self._own_client

    def _client(self, name: str) -> Client:
        journal = Journal(self.stage.folder / f"{name}.jsonl")
        caller = Caller(connections(self.stage.addresses, self.stage.api_key), journal)
        return Client(name, World.of(self.options.seed), caller, Memory(), Random(f"{self.options.seed} {name}"))

    async def _open_wallets(self, own: Client) -> None:
        gate = asyncio.Semaphore(OPENERS)

        async def settle(intent: Intent) -> None:
            async with gate:
                answer = await own.settle(intent)
                if not answer.ok:
                    raise CampaignError(f"{intent} was answered with {answer}")

        for intents in (own.world.openings(), own.world.fundings()):
            await asyncio.gather(*(settle(intent) for intent in intents))

    def _start_clients(self, clients: _Clients) -> None:
        clients.generation += 1
        name = f"c{clients.number}g{clients.generation}"
        job = Job(
            name=name,
            seed=self.options.seed,
            begin_ns=self.began_ns,
            instances=self.stage.addresses,
            api_key=self.stage.api_key,
            clients=max(1, self.options.clients // self.options.processes),
            rate=self.options.rate / self.options.processes,
            journal=str(self.stage.folder / f"{name}.jsonl"),
            weights=self.options.weights,
            new_key_on_retry=self.options.new_key_on_retry,
        )
        words = [sys.executable, "-m", "tests.torture.client", msgspec.json.encode(job).decode()]
        with (self.stage.folder / f"{name}.log").open("wb") as log:
            clients.process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def _require_living_clients(self) -> None:
        for clients in self._clients:
            if clients.process is not None and clients.process.poll() is not None:
                log = self.stage.folder / f"c{clients.number}g{clients.generation}.log"
                raise CampaignError(f"clients have failed: {log.read_text(errors='replace')[-2000:]}")

    async def _stop_clients(self) -> None:
        for clients in self._clients:
            if clients.process is not None and clients.process.poll() is None:
                clients.process.send_signal(signal.SIGTERM)
        for clients in self._clients:
            if clients.process is None:
                continue
            try:
                await asyncio.to_thread(clients.process.wait, STOP_S_MAX)
            except subprocess.TimeoutExpired:
                clients.process.kill()
                clients.process.wait()

    async def _strike_all(self, plan: Sequence[Planned]) -> None:
        end = self.began_ns / 1e9 + self.options.seconds
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell_progress(len(plan)))
            striking = []
            for planned in plan:
                await asyncio.sleep(max(0.0, self.began_ns / 1e9 + planned.at_s - time.monotonic()))
                self._require_living_clients()
                striking.append(tasks.create_task(self._strike(planned)))
            await asyncio.gather(*striking)
            await asyncio.sleep(max(0.0, end - time.monotonic()))
            telling.cancel()

    async def _strike(self, planned: Planned) -> None:
        scene = Scene(self.stage, self, Random(planned.seed))
        async with self._lanes[planned.kind.lane]:
            began_ns = time.monotonic_ns()
            for attempt in range(ATTEMPTS_MAX):
                try:
                    says, fired = await planned.kind.strike(scene), True
                except CampaignError as error:
                    says, fired = str(error), False
                    self.troubles.append(f"{planned.kind.name}: {error}")
                except Exception as error:  # noqa: BLE001 - not hidden: it stands in the report, and did not fire
                    # Another fault may have been in its way.
                    says, fired = f"{type(error).__name__}: {error}", False
                    await asyncio.sleep(0.3 * 2**attempt)
                if fired:
                    break
        self.strikes.append(Strike(planned.kind.name, began_ns, time.monotonic_ns(), fired, says))

    async def _tell_progress(self, planned: int) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            elapsed_s = (time.monotonic_ns() - self.began_ns) / 1e9
            fired = sum(strike.fired for strike in self.strikes)
            self.tell(f"{elapsed_s:.0f} s: {fired} of {planned} faults have fired")
