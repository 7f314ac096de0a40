"""A process that does random ledger work until it is killed. Run as `python -m tests.gateway.ledger_worker`.

It imports once, then forks a child for every line `folder seed point number` on its standard input, so that a kill
costs milliseconds. A child kills itself when its writer comes to this point (`-` for none) for that time. It prints
`up PID`, then one line for everything the ledger acknowledged: `bought USER AMOUNT KEY` | `held ID USER AMOUNT` |
`settled ID CHARGED`. When a child is dead the parent prints `dead`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import count
from pathlib import Path
from random import Random

from gateway.ledger.transfers import InsufficientCredits
from tests.gateway.making import CREDIT, NOW_MS, open_money, open_store, usage_row

TASKS = 16
USERS = ("usr_a", "usr_b", "usr_c")


def tell(*words: object) -> None:
    """One line, in one write, so that a kill cannot tear it."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def work(folder: Path, seed: int, fatal_point: str, number: int) -> None:
    """Sixteen tasks, each buying, holding and settling for ever."""
    passed = count(1)

    def mark(point: str) -> None:
        if point == fatal_point and next(passed) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    store = open_store(folder, mark=mark)
    money = open_money(store)
    await money.expire_open("restart")
    tell("up", os.getpid())

    async def spend(dice: Random, task: int) -> None:
        number = 0
        while True:
            number += 1
            user_id = dice.choice(USERS)
            try:
                hold = await money.hold(
                    user_id=user_id,
                    amount_uc=dice.randint(1, CREDIT),
                    minimum_uc=0,
                    request_id=f"req_{seed}_{task}_{number}",
                    deadline_ms=NOW_MS,
                )
            except InsufficientCredits:
                amount_uc, key = dice.randint(1, 20 * CREDIT), f"{seed}-{task}-{number}"
                await money.top_up(user_id, amount_uc, key)
                tell("bought", user_id, amount_uc, key)
                continue
            tell("held", hold.id, user_id, hold.amount_uc)
            if dice.random() < 0.8:
                charge_uc = dice.randint(0, hold.amount_uc * 5 // 4)
                settled = await money.settle(hold, charge_uc=charge_uc, row=usage_row(user_id))
                tell("settled", hold.id, settled.charged_uc)

    await asyncio.gather(*(spend(Random(f"{seed}/{task}"), task) for task in range(TASKS)))


def main() -> None:
    for line in sys.stdin:
        folder, seed, point, number = line.rsplit(" ", 3)
        child = os.fork()
        if child == 0:
            asyncio.run(work(Path(folder), int(seed), point, int(number)))
        os.waitpid(child, 0)
        tell("dead")


if __name__ == "__main__":
    main()
