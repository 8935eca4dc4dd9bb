"""The planted faults of tests/crash/mutate must follow the code that they change."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATCHES = sorted((ROOT / "tests/crash/mutants").glob("*.patch"))


def test_there_are_mutants():
    assert len(PATCHES) >= 7


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_the_mutant_can_still_be_planted(patch):
    assert re.search(r"^Checks: \w+", patch.read_text(), re.M), "it says what should catch it"
    done = subprocess.run(["git", "apply", "--check", patch], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
