"""What docs/operations.md says of copies of a data folder: of a stopped shard, and of one moment of a running one."""

import shutil
import signal
import subprocess

import pytest

from support.api import request
from support.node import BINARY
from support.world import World

MX = "20.0.0.10"


@pytest.mark.parametrize("how", ["stopped", "snapshot"])
def test_a_copy_holds_all_that_was_accepted(stage, how):
    """snapshot: the process is frozen while its folder is copied, so the copy is of one moment, as an atomic snapshot of
    the volume is."""
    world = World(stage)
    name = world.domain((10, MX))  # Nobody listens there yet.
    ids = world.send_all([request(to=[f"r{i}@{name}"]) for i in range(500)])
    if how == "stopped":
        world.node.stop()
    else:
        world.node.process.signal(signal.SIGSTOP)
    shutil.copytree(world.node.data, stage.folder / "copy")
    if how == "snapshot":
        world.node.process.signal(signal.SIGCONT)
    world.node.kill()
    done = subprocess.run([BINARY, "queue", "check", "--data-dir", stage.folder / "copy"], capture_output=True, text=True)
    assert done.returncode == 0, done
    shutil.rmtree(world.node.data)
    shutil.move(stage.folder / "copy", world.node.data)  # The restore.
    sink = stage.sink(MX)
    world.node.start()
    world.api.wait_empty(120)
    assert sorted(sink.recipients()) == sorted(f"r{i}@{name}" for i in range(500)) and len(set(ids)) == 500
    world.api.check()
