"""What tests say of calls: how they fail, and when."""

import time

import grpc
import pytest
from google.protobuf import timestamp_pb2

from support.api import field_errors


def fails(call, code, *fields):
    """Asserts the code, and the fields of the BadRequest where it has one."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() == code, caught.value
    assert sorted(field_errors(caught.value)) == sorted(fields), caught.value.details()
    assert caught.value.details()
    return caught.value


def at(seconds):
    """A timestamp so far from now."""
    stamp = timestamp_pb2.Timestamp()
    stamp.FromMicroseconds(int((time.time() + seconds) * 1e6))
    return stamp


def seconds(stamp):
    return stamp.seconds + stamp.nanos / 1e9
