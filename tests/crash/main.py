"""The command line of tests/crash/run: campaigns of any length."""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

from crash.campaign import Campaign
from crash.moments import KINDS


def campaign(kind, cycles, seed, log):
    """Whether every promise was kept."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"hikyaku-{kind}-"))
    print(f"{kind}: {cycles} cycles, seed {seed}, in {folder}", flush=True)
    begin, sound = time.monotonic(), False
    run = Campaign(folder, kind, seed, say=lambda text: print(text, flush=True))
    try:
        run.run(cycles)
        sound = True
    except Exception:  # Whatever it is, the rest is told and the folder kept.
        traceback.print_exc()
        print(run.node.process.tail() if run.node.process else "", file=sys.stderr)
    finally:
        run.close()
    seconds = time.monotonic() - begin
    print(f"{kind}: {'kept every promise' if sound else f'BROKEN; see {folder}'}; {seconds / cycles:.2f} s a cycle; "
          f"calls not met {run.missed}", flush=True)
    if log:
        with open(log, "a") as out:
            out.write(json.dumps({"kind": kind, "seed": seed, "cycles": cycles, "sound": sound,
                                  "seconds": round(seconds), "missed": run.missed, **run.totals}) + "\n")
    if sound:
        shutil.rmtree(folder)
    return sound


def main():
    parser = argparse.ArgumentParser(prog="tests/crash/run")
    parser.add_argument("kind", choices=[*KINDS, "all"])
    parser.add_argument("cycles", nargs="?", type=int, default=100)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--log", help="a file to which a line of JSON with the totals is added")
    given = parser.parse_args()
    kinds = list(KINDS) if given.kind == "all" else [given.kind]
    sound = [campaign(kind, given.cycles, given.seed, given.log) for kind in kinds]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
