"""`python -m simulator.faults`: write what is derived from the registry of faults."""

from __future__ import annotations

from simulator.faults.document import write_all

if __name__ == "__main__":
    for path in write_all():
        print(path)
