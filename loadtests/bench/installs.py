"""Peers from npm and PyPI, each installed once, in the user's cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALL_S = 420.0


class NotInstalled(Exception):
    """A peer cannot be installed here, and why."""


def cache() -> Path:
    """Where peers are installed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windtunnel" / "peers"


def npm(package: str, version: str) -> Path:
    """The folder of a package from npm. Raises NotInstalled."""
    program = shutil.which("npm")
    if program is None or shutil.which("node") is None:
        raise NotInstalled("npm is not installed")
    folder = cache() / f"{package.rpartition('/')[2]}-{version}"
    found = folder / "node_modules" / package
    if not found.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--no-audit", "--no-fund", "--ignore-scripts"]
        _run([program, "install", "--prefix", str(folder), *options, f"{package}@{version}"])
    return found


def pip(package: str, version: str) -> Path:
    """The folder of the programs of a package from PyPI, in an environment of its own. Raises NotInstalled."""
    folder = cache() / f"{package.partition('[')[0]}-{version}"
    done = folder / "installed"
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        options = ["--quiet", "--disable-pip-version-check"]
        _run([str(folder / "bin" / "pip"), "install", *options, f"{package}=={version}"])
        done.touch()
    return folder / "bin"


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"it was not installed within {INSTALL_S:g} s") from None
    if done.returncode:
        raise NotInstalled((done.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1])
