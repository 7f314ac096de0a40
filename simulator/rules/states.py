"""States of a scenario: a small machine that its rules look at and move, and that time moves too.

Where it stands is worked out when somebody asks, from the moment of its last move: nothing runs in the background.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.faults import Flaw
from simulator.rules.timeline import read_time_ms

HISTORY = 1000  # moves that are remembered


@dataclass(frozen=True, slots=True)
class States:
    """What a scenario declares: its states, the first being where it begins, and the transitions of time."""

    scenario: str
    names: tuple[str, ...]
    after: Mapping[str, tuple[float, str]]  # state -> (milliseconds it lasts, the next one)
    at_ms: float = 0.0  # when it begins


def read_states(data: Mapping[str, Any], scenario: str, flaws: list[Flaw]) -> States | None:
    """The states of a scenario whose shape the schema has passed; None when it has none."""
    names: list[str] = data.get("states", [])
    if len(set(names)) < len(names):
        flaws.append(Flaw("states", ", ".join(names), "states that differ"))
    after: dict[str, tuple[float, str]] = {}
    for index, row in enumerate(data.get("transitions", [])):
        where = f"transitions[{index}]"
        flaws += [no_state(row[word], names, f"{where}.{word}") for word in ("from", "to") if row[word] not in names]
        try:
            after_ms = read_time_ms(row["after"])
        except ValueError as error:
            flaws.append(Flaw(f"{where}.after", repr(row["after"]), str(error)))
            continue
        if after_ms < 1:
            flaws.append(Flaw(f"{where}.after", repr(row["after"]), "at least 1 ms"))
        if row["from"] in after:
            flaws.append(Flaw(f"{where}.from", repr(row["from"]), "a state that no other transition leaves"))
        after[row["from"]] = (after_ms, row["to"])
    return States(scenario, tuple(names), after) if names else None


def no_state(came: str, names: Sequence[str], where: str) -> Flaw:
    """That a name is none of the states."""
    due = f"one of {', '.join(names)}" if names else "no state: the scenario has no `states`"
    return Flaw(where, repr(came), due)


class Machine:
    """Where one scenario stands."""

    __slots__ = ("_moves", "_since_ms", "_state", "declared")

    def __init__(self, declared: States, now_ms: float) -> None:
        self.declared = declared
        self._state = declared.names[0]
        self._since_ms = now_ms + declared.at_ms
        self._moves: deque[tuple[float, str]] = deque([(self._since_ms, self._state)], HISTORY)

    def at(self, now_ms: float) -> str:
        """The state, once time has moved it as far as it does."""
        seen: dict[str, float] = {}
        while (step := self.declared.after.get(self._state)) is not None and now_ms >= self._since_ms + step[0]:
            if self._state in seen:  # round and round: whole rounds are skipped
                round_ms = self._since_ms - seen[self._state]
                self._since_ms += (now_ms - self._since_ms) // round_ms * round_ms
                seen.clear()
                continue
            seen[self._state] = self._since_ms
            self._move(step[1], self._since_ms + step[0])
        return self._state

    def go(self, state: str, now_ms: float) -> None:
        """Move to a state; being there already starts its time anew."""
        self.at(now_ms)
        self._move(state, now_ms)

    def _move(self, state: str, at_ms: float) -> None:
        self._state, self._since_ms = state, at_ms
        self._moves.append((at_ms, state))

    def was(self, then_ms: float) -> str | None:
        """The state at an earlier moment; None when that is forgotten."""
        for at_ms, state in reversed(self._moves):
            if at_ms <= then_ms:
                return state
        return self.declared.names[0] if len(self._moves) < HISTORY else None

    def as_json(self, now_ms: float) -> dict[str, Any]:
        """The machine as the control API tells it."""
        state = self.at(now_ms)
        left_ms = self.declared.after[state][0] + self._since_ms - now_ms if state in self.declared.after else None
        return {
            "scenario": self.declared.scenario,
            "state": state,
            "states": list(self.declared.names),
            "since_ms": self._since_ms,
            "moves_in_ms": left_ms,
        }
