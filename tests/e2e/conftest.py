"""The fixtures of the end-to-end tests."""

from support.stage import module_stage, stage  # noqa: F401
