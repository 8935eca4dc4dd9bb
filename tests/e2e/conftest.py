"""The fixtures of the end-to-end tests."""

import os

import pytest

from support.stage import module_stage, stage  # noqa: F401


@pytest.fixture
def books_add_up(world):
    """What a test of the module's one world leaves waiting does not reach the next, and the shards' books are in order."""
    yield
    world.purge()
    world.api.check()


def pytest_collection_modifyitems(items):
    """tools/sanitize says which sanitizer the binary was built with."""
    if os.environ.get("HIKYAKU_SANITIZER"):
        for item in items:
            if item.get_closest_marker("memory"):
                item.add_marker(pytest.mark.skip(reason="the memory of a sanitizer's build is the sanitizer's"))
