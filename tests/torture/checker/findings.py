"""What is wrong, with the calls that show it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs

from tests.concurrency.violations import Violation

KEPT_MAX: Final = 20
"""How many findings of each kind are kept with what they say; of the others there is only a number."""

EVIDENCE_LINES_MAX: Final = 40


class BadAnswer(Violation):
    """An answer that a good request must never get: a failure of the service, or a refusal of what is right (G12)."""


class NotHealed(Violation):
    """The faults are over, and the service is not as it was before them (G13)."""


@attrs.frozen
class Finding:
    """A guarantee that does not hold. ``about`` is the key, wallet or hold that its evidence is to be looked up by."""

    kind: str
    says: str
    about: str
    evidence: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.says}"


@attrs.define
class Findings:
    """Everything that is wrong."""

    kept: list[Finding] = attrs.field(factory=list)
    counts: Counter[str] = attrs.field(factory=Counter)

    def add(self, kind: type[Violation], about: object, says: str) -> None:
        """Note one."""
        self.counts[kind.__name__] += 1
        if self.counts[kind.__name__] <= KEPT_MAX:
            self.kept.append(Finding(kind.__name__, says, str(about)))

    def with_evidence(self, journals: Iterable[Path]) -> Sequence[Finding]:
        """The findings, each with the calls that name what it is about, in the order of the journals' lines."""
        found: dict[str, list[str]] = {finding.about: [] for finding in self.kept}
        if not found:
            return ()
        for journal in journals:
            for about, lines in _calls_about(journal, found.keys()):
                kept = found[about]
                kept.extend(lines[: EVIDENCE_LINES_MAX - len(kept)])
        return [attrs.evolve(finding, evidence=found[finding.about]) for finding in self.kept]


def _calls_about(journal: Path, abouts: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
    """By subject, the lines that name it, and the answers to those."""
    wanted = {f'"{about}"'.encode(): about for about in abouts}
    calls: dict[bytes, str] = {}
    with journal.open("rb") as lines:
        for line in lines:
            number = line.split(b'"call":', 1)[-1].split(b",", 1)[0]
            if line.startswith(b'{"event":"sent"'):
                for name, about in wanted.items():
                    if name in line:
                        calls[number] = about
            about_told = calls.get(number)
            if about_told is not None:
                yield about_told, [f"{journal.stem} {line.decode(errors='replace').strip()}"]
