"""A process whose disk is slow: every fdatasync takes so much longer. No tracer, so that the rest is as fast as ever."""

import pathlib
import subprocess


def slow_sync(folder, seconds):
    """The environment of such a process; its library is built into `folder`."""
    library = pathlib.Path(folder, "slow_sync.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, pathlib.Path(__file__).with_suffix(".c")], check=True)
    return {"LD_PRELOAD": str(library), "SLOW_SYNC_MICROS": str(int(seconds * 1e6))}
