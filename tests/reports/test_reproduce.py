"""The command that runs one requirement again."""

from __future__ import annotations

import pytest

from reports.reproduce import reproduce


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        ([], "windtunnel conform --only BIL-001"),
        (["windtunnel", "conform", "--only", "chat", "--json"], "windtunnel conform --only BIL-001"),
        (
            ["windtunnel", "conform", "--target", "my gw.yaml"],
            "windtunnel conform --target 'my gw.yaml' --only BIL-001",
        ),
        (
            ["conform", "--url=http://x", "--key", "ck_1"],
            'windtunnel conform --url http://x --only BIL-001 --key "$KEY"',
        ),
        (
            ["conform", "--key=ck_1", "--profile", "gemini"],
            'windtunnel conform --profile gemini --only BIL-001 --key "$KEY"',
        ),
        (["conform", "--target"], "windtunnel conform --target '' --only BIL-001"),
    ],
)
def test_the_target_is_kept_and_the_key_is_not(argv: list[str], command: str) -> None:
    assert reproduce(argv, "BIL-001") == command
