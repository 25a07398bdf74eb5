"""Clients of the simulated service: what they ask for, and what they do when they get no clear answer.

They keep to the contract: the same key until the answer is definite, or a fence if they would rather not go on.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import attrs

from tests.concurrency.history import Call, Look
from tests.concurrency.violations import Violation
from tests.simulation import faults
from tests.simulation.cluster import Answer, Cluster
from tests.simulation.coverage import FENCE_TOLD_DECISION, FOUND_APPLIED, WITHDRAWN
from tests.simulation.menu import Make
from tests.simulation.session import ModelSession
from tests.simulation.transactions import OUTSIDER
from tests.simulation.world import HOT, A, B, C, D, World
from wallet_core import (
    Applied,
    Command,
    Contention,
    DatabaseUnavailable,
    Fenced,
    FenceKey,
    KeyFenced,
    Outcome,
    Overloaded,
    Post,
    Rejected,
    Replayed,
    Unknown,
    VersionConflict,
)

TRIES_MAX: Final = 60
RETRY_S_FIRST: Final = 0.002
RETRY_S_MAX: Final = 2.0
NEW_KEY_FOR_RETRIES: Final = "a retry has the key of what it retries"
"""The mechanism that is missing where clients send what they do not know the outcome of under another key."""
STORM_STATEMENTS: Final = 40
FOREIGN_LOCKS_APART_S_MAX: Final = 0.02
FOREIGN_LOCKS_S: Final = (0.01, 1.5, 9.0)

NOT_DONE: Final = (Contention, DatabaseUnavailable, Overloaded)


class Unresolved(Violation):
    """A client that kept to the contract never learned what became of its command (G4)."""


class Client:
    """Does one thing after the other."""

    def __init__(self, world: World, cluster: Cluster, name: str, steps: int, menu: Sequence[Make | None]) -> None:
        self.world = world
        self.cluster = cluster
        self.name = name
        self.steps = steps
        self.menu = menu
        self._random = world.random

    async def run(self) -> None:
        loop, draw = self.world.server.loop, self._random.random
        for _ in range(self.steps):
            await loop.pause(draw() * 0.003 if draw() < 0.85 else draw() * 4)
            await self._trouble()
            step = self._random.choice(self.menu)
            if step is None:
                await self._look()
            else:
                await self._want(step(self.world))

    # ------------------------------------------------------------------ sending

    async def _want(self, commands: Sequence[Command]) -> None:
        """Send commands, together, until the answer to each is definite."""
        world = self.world
        attempts = {command.key: [command.key] for command in commands}
        world.attempts.extend(attempts.values())
        world.sent.extend(commands)
        delay = RETRY_S_FIRST
        for _ in range(TRIES_MAX):
            if self._random.random() < 0.1:
                commands = await self._send_twice(commands)
            else:
                commands = self._still_open(commands, await self._send(commands))
            if not commands:
                return
            await world.server.loop.pause(delay * self._random.random())
            delay = min(delay * 2, RETRY_S_MAX)
            if NEW_KEY_FOR_RETRIES in world.server.lacking:
                commands = [attrs.evolve(command, key=world.next_key()) for command in commands]
                for keys, command in zip(attempts.values(), commands, strict=False):
                    keys.append(command.key)
        raise Unresolved(f"{self.name}: {commands}")

    async def _send_twice(self, commands: Sequence[Command]) -> Sequence[Command]:
        """Send the same at once to two processes, as a load balancer's retry does."""
        loop = self.world.server.loop
        other = loop.create_task(self._send(commands))
        still_open = self._still_open(commands, await self._send(commands))
        self._still_open(commands, await other)
        return still_open

    async def _send(self, commands: Sequence[Command]) -> Answer:
        world = self.world
        invoked_ns = world.now_ns()
        if world.server.log.lines is not None:
            world.server.log.note(self.name, f"sends {', '.join(map(_short, commands))}")
        outcomes = await self.cluster.call(world.tenant, commands)
        completed_ns = world.now_ns()
        told: Sequence[Outcome | None] = outcomes if outcomes is not None else [None] * len(commands)
        for command, outcome in zip(commands, told, strict=True):
            world.calls.append(Call(command, invoked_ns, completed_ns, outcome))
            world.server.log.cover(f"outcome {type(outcome).__name__}" if outcome is not None else "no answer")
            if world.server.log.lines is not None:
                world.server.log.note(self.name, f"is told {_short(outcome)} of {command.key}")
            self._cover(command, outcome, completed_ns - invoked_ns)
        return outcomes

    def _cover(self, command: Command, outcome: Outcome | None, took_ns: int) -> None:
        world, cover = self.world, self.world.server.log.cover
        match outcome:
            case Applied(transaction):
                world.learn(transaction)
                if transaction.id in world.server.unacknowledged:
                    cover(FOUND_APPLIED)
            case Replayed() if isinstance(command, FenceKey):
                cover(FENCE_TOLD_DECISION)
            case Fenced() | KeyFenced() | Rejected() | Replayed() if command.key in world.in_doubt:
                cover(f"no answer, and later {type(outcome).__name__}")
            case Overloaded() if took_ns > 1e9:
                cover(WITHDRAWN)
            case None | Unknown():
                world.in_doubt.add(command.key)
            case _:
                pass

    def _still_open(self, commands: Sequence[Command], outcomes: Answer) -> Sequence[Command]:
        """What has to be sent again, and how."""
        still_open: list[Command] = []
        told: Sequence[Outcome | None] = outcomes if outcomes is not None else [None] * len(commands)
        for command, outcome in zip(commands, told, strict=True):
            if outcome is None or isinstance(outcome, Unknown):
                fence = self._random.random() < 0.2 and NEW_KEY_FOR_RETRIES not in self.world.server.lacking
                still_open.append(FenceKey(command.key) if fence else command)
            elif isinstance(outcome, NOT_DONE):
                still_open.append(command)
            elif isinstance(outcome, VersionConflict) and isinstance(command, Post) and self._random.random() < 0.7:
                current = {outcome.wallet_id: outcome.current_version}
                still_open.append(attrs.evolve(command, expected_versions=current))
        return still_open

    async def _look(self) -> None:
        world, wallet_id = self.world, self._random.choice(HOT)
        invoked_ns = world.now_ns()
        await world.server.loop.pause(world.server.delay())
        row = world.server.tables[world.tenant].wallets[wallet_id]
        await world.server.loop.pause(world.server.delay())
        world.looks.append(Look(wallet_id, invoked_ns, world.now_ns(), row["version"], row["balance"]))

    # ------------------------------------------------------------------ what may happen meanwhile

    async def _trouble(self) -> None:
        server, cluster = self.world.server, self.cluster
        fault = server.plan.at(faults.ELSEWHERE)
        if fault is None:
            return
        server.log.cover(faults.named(faults.ELSEWHERE, fault))
        match fault:
            case faults.RESTART:
                await cluster.restart()
            case faults.LOCKS:
                server.loop.create_task(self._lock_rows())
            case faults.CLOCK_BACK:
                server.step_clock_back()
            case faults.STORM:
                server.storm = STORM_STATEMENTS
            case faults.KILL:
                cluster.kill_one()
            case _:
                server.crash()

    async def _lock_rows(self) -> None:
        """Somebody else's session locks two wallets, in no order, and lets them go again."""
        server = self.world.server
        session = ModelSession(server, None, OUTSIDER)
        outsider = session.transaction
        try:
            await session.begin()
            for wallet_id in self._random.choice(((B, A), (C, A), (C, B), (A, B))):
                await outsider.lock(("row of wallets", wallet_id, self.world.tenant))
                await server.loop.pause(self._random.random() * FOREIGN_LOCKS_APART_S_MAX)
            await server.loop.pause(self._random.choice(FOREIGN_LOCKS_S))
        except (asyncpg.PostgresError, OSError) as error:
            server.log.note(OUTSIDER, error)
        outsider.abort()


def _short(thing: object) -> str:
    match thing:
        case Post(key, postings):
            moves = "; ".join(f"{_wallet(p.source)} → {_wallet(p.destination)} {p.amount}" for p in postings)
            return f"{key} ({moves})"
        case Applied(transaction):
            return f"Applied {[(_wallet(entry.wallet_id), entry.version) for entry in transaction.entries]}"
        case _ if hasattr(thing, "key") and not isinstance(thing, Outcome):
            return f"{thing.key} ({type(thing).__name__})"
        case _:
            return "nothing" if thing is None else type(thing).__name__


def _wallet(id: UUID | None) -> str:
    return {None: "outside", A: "A", B: "B", C: "C", D: "D"}.get(id, str(id))
