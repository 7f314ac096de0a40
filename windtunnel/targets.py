"""Target files as the command reads them: plain data, with one clear line when they cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from windtunnel.errors import UsageProblem
from windtunnel.screen import one_line


def read_target(path: Path) -> dict[str, Any]:
    """The content of a target file (YAML or JSON). Raises UsageProblem."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageProblem(f"target {path}: {(error.strerror or str(error)).lower()}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageProblem(f"target {path}: not YAML: {one_line(str(error))}") from error
    if not isinstance(content, dict):
        raise UsageProblem(f"target {path}: holds {type(content).__name__}, a mapping was due")
    return content
