"""`python -m simulator.neighbours`: write the tables of docs/neighbours.md."""

from __future__ import annotations

from simulator.neighbours.document import DOCS, page

if __name__ == "__main__":
    DOCS.write_text(page(), "utf-8")
    print(DOCS.name)
