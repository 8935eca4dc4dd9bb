"""The work of bench/compare: see there. Runs inside a network namespace of its own."""

import argparse
import itertools
import json
import os
import pathlib
import signal
import sys
import tempfile

from lib import machine, rpc_cell, smtp_cell, table
from lib.signed import SIGNED
from lib.systems import SYSTEMS


BEGIN, END = "<!-- bench/compare -->", "<!-- end -->"


def numbers(text):
    return [int(each) for each in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(prog="bench/compare", description="Hikyaku, its peers and the limits, in turn.")
    parser.add_argument("--size", type=numbers, default=[4096, 51200], metavar="BYTES,…",
                        help="of a mail (default 4096,51200)")
    parser.add_argument("--sessions", type=numbers, default=[20, 100], metavar="N,…",
                        help="kept sessions (default 20,100)")
    parser.add_argument("--rounds", type=int, default=3, help="of each system, in turn (default 3)")
    parser.add_argument("--seconds", type=float, default=5, help="of one measurement, about (default 5)")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="default %(default)s")
    parser.add_argument("--rpc", default="all", metavar="ROW,…",
                        help="rows of the RPC table that begin with one of these; all, or no (default all)")
    parser.add_argument("--smtp", choices=["yes", "no"], default="yes", help="the cells of mail from end to end")
    parser.add_argument("--signed", choices=["yes", "no"], default="yes",
                        help="the same with DKIM and TLS on the way out, of those systems that have a row for it")
    parser.add_argument("--quick", action="store_true", help="two rounds of two seconds")
    parser.add_argument("--folder", default="/var/tmp", help="where queues lie: a real disk (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured")
    parser.add_argument("--table", nargs="+", metavar="FILE", help="measure nothing: print the table of these files")
    parser.add_argument("--into", metavar="PAGE", help=f"put the table into this page, between {BEGIN} and {END}")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 2
    options.systems = options.systems.split(",")
    if options.rpc == "all":
        options.rpc = list(rpc_cell.ROWS)
    else:
        begin = tuple(options.rpc.split(","))
        options.rpc = [row for row in rpc_cell.ROWS if row.startswith(begin)]
    unknown = [name for name in options.systems if name not in SYSTEMS]
    if unknown:
        parser.error(f"--systems: no {', '.join(unknown)}; there are {', '.join(SYSTEMS)}")
    return options


def measure(options):
    machine.enter_namespace()
    kinds = [signed for signed, wanted in ((False, options.smtp), (True, options.signed)) if wanted == "yes"]
    result = {"cells": [], "rpc": None}
    with tempfile.TemporaryDirectory(prefix="hikyaku-bench-", dir=options.folder) as work:
        folder = pathlib.Path(work)
        os.chmod(folder, 0o755)
        result["machine"] = machine.describe(folder)
        result["sync"] = [machine.sync_summary(folder)]
        for signed, size, sessions in itertools.product(kinds, options.size, options.sessions):
            cell = folder / f"{size}-{sessions}{'-signed' if signed else ''}"
            cell.mkdir()
            known = SIGNED if signed else SYSTEMS
            systems = {name: known[name] for name in options.systems if name in known}
            result["cells"].append({**smtp_cell.measure(cell, size, sessions, systems, options), "signed": signed})
        if options.rpc:
            result["rpc"] = rpc_cell.measure(folder, options)
        result["sync"].append(machine.sync_summary(folder))
    return result


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that what was begun is put away.
    if options.table:
        results = [json.loads(pathlib.Path(name).read_text()) for name in options.table]
    else:
        results = [measure(options)]
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(results[0], indent=1))
    text = table.render(results)
    if options.into:
        page = pathlib.Path(options.into)
        before, _, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
