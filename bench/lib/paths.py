"""Where things are; makes the harness of the tests (tests/support) importable."""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BAZEL_BIN = pathlib.Path(os.environ.get("HIKYAKU_BAZEL_BIN", ROOT / "bazel-bin"))

os.environ.setdefault("HIKYAKU_BINARY", str(BAZEL_BIN / "services/hikyaku/hikyaku"))
if str(ROOT / "tests") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests"))


def built(target):
    """The file of a Bazel target like "bench/rpc_load", which must have been built."""
    path = BAZEL_BIN / target
    if not path.exists():
        sys.exit(f"no {path}: bazel build //{os.path.dirname(target)}:{os.path.basename(target)}")
    return path
