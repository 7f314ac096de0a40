"""`python -m mutants NAME …`: the gateway, broken in that way, with the gateway's own arguments."""

from __future__ import annotations

import sys

from gateway.__main__ import gateway
from mutants import UnknownMutant, find

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m mutants NAME [arguments of the gateway]")
    try:
        find(sys.argv[1]).apply()
    except UnknownMutant as error:
        print(f"mutants: {error}", file=sys.stderr)
        sys.exit(2)
    gateway(sys.argv[2:], prog_name=f"mutant {sys.argv[1]}")
