"""gRPC's own services, health and reflection: Debian has no Python packages of them."""

import pathlib
import subprocess
import sys
import tempfile

_HERE = pathlib.Path(__file__).resolve().parent


def _load():
    out = tempfile.TemporaryDirectory(prefix="hikyaku-grpc-standard-")
    subprocess.run(["protoc", f"-I{_HERE.parent}", f"--python_out={out.name}", f"--grpc_python_out={out.name}",
                    "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
                    "grpc_standard/health.proto", "grpc_standard/reflection.proto"], cwd=_HERE.parent, check=True)
    sys.path.insert(0, out.name)
    return out


_folder = _load()

from grpc_standard import health_pb2, health_pb2_grpc, reflection_pb2, reflection_pb2_grpc  # noqa: E402,F401
