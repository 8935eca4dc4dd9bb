"""The rulers of the benchmarks, on what is known; the benchmarks themselves are commands (docs/performance.md)."""

import copy
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from lib import machine, table, usage  # noqa: E402

# Spends CPU in a child of a child, which then ends: what a relay with short-lived processes does.
BURN = "import time\nwhile time.process_time() < 0.5: pass"
SHELL = f"read go; {sys.executable} -c '{BURN}'; echo burnt; read end; exit 0"


def test_cpu_of_children_that_ended_is_counted():
    with subprocess.Popen(["sh", "-c", SHELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        meter = usage.Meter([shell.pid]).start()
        shell.stdin.write(b"go\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == b"burnt\n"
        used = meter.stop()
        shell.stdin.write(b"end\n")
    # Ticks of the kernel are 10 ms; a Python starts and ends besides.
    assert 0.45 < used["cpu"] < 2, used
    assert used["rss"] > 100_000, used
    assert used["machine_cpu"] >= 0.4, used


def test_a_tree_holds_descendants_only():
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; read end; kill $!"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as shell:
        sleeper = int(shell.stdout.readline())
        assert {process.pid for process in usage.tree([shell.pid])} == {shell.pid, sleeper}
        shell.stdin.write(b"end\n")


def test_every_sync_of_the_probe_takes_time(tmp_path):
    times = machine.sync_times(tmp_path, count=5)
    assert len(times) == 5 and all(each > 0 for each in times)
    assert not list(tmp_path.iterdir())


ROUND = {"mails": 1000, "seconds": 2, "rate": 500, "accept_rate": 600, "cpu": 2, "source_cpu": 0.3, "sink_cpu": 0.2,
         "machine_cpu": 3, "voluntary": 30_000, "involuntary": 10_000, "rss": 50 << 20, "flushes": 900, "syncs": 200}
CALLS = {"rate": 1000, "p50_us": 2000, "p99_us": 4000, "failed": 0, "cpu_1000": 0.1, "client_cpu_1000": 0.05}


def result(**rates):
    """As bench/compare writes it: one cell, each system at this rate; and the RPC rows."""
    systems = {name: {"about": name, "rounds": [dict(ROUND, rate=rate)]} for name, rate in rates.items()}
    return {"machine": machine.describe(ROOT), "sync": [{"p50_ms": 1, "p99_ms": 2}],
            "cells": [{"size": 4096, "sessions": 20, "systems": systems}],
            "rpc": {"rows": {"echo unary": [CALLS], "hikyaku unary, parked": [dict(CALLS, rate=700)]},
                    "half": {"hikyaku unary, parked": [CALLS]}, "sync": [{"p50_ms": 1, "p99_ms": 2}]}}


def cells(text, first):
    """The cells of the one row that begins with `first`."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith(f"| {first} |")]
    assert len(rows) == 1, text
    return [cell.strip() for cell in rows[0]]


def test_the_table_shows_ratios_to_postfix_to_the_limits_and_the_aims():
    text = table.render([result(straight=10_000, postfix=500, hikyaku=5500)])
    header = cells(text, "system")
    ours = dict(zip(header, cells(text, "Hikyaku, one process")))
    assert ours["× Postfix"] == "11.0" and ours["of limit"] == "0.55"
    assert ours["CPU ratio"] == "4.0" and ours["syncs a mail"] == "0.20" and ours["switches a mail"] == "40.0"
    assert cells(text, "end to end, times Postfix")[2] == "11.0"
    assert cells(text, "accepted by RPC, of the bare echo")[2] == "0.70"
    assert cells(text, "accept p99 under half load, fdatasyncs")[2] == "4.0"


def test_pieces_of_one_cell_are_merged_into_one_median():
    first, second, third = (result(postfix=rate) for rate in (400, 900, 500))
    text = table.render(copy.deepcopy([first, second, third]))
    assert cells(text, "Postfix")[1:3] == ["500", "400 … 900"]


@pytest.mark.parametrize("twice", [1, 2])
def test_a_page_takes_the_table_between_its_marks(tmp_path, twice):
    page, measured = tmp_path / "page.md", tmp_path / "a.json"
    page.write_text("before\n<!-- bench/compare -->\nold\n<!-- end -->\nafter\n")
    measured.write_text(json.dumps(result(postfix=500)))
    for _ in range(twice):
        subprocess.run([ROOT / "bench/compare", "--table", measured, "--into", page], check=True, capture_output=True)
    text = page.read_text()
    assert text.startswith("before\n<!-- bench/compare -->\nMeasured ") and text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text and text.count("| Postfix |") == 1
