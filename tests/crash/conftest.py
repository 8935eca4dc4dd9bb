"""The fixtures of the tests that break things."""

from support.stage import module_stage, stage  # noqa: F401
