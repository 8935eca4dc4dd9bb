"""Markdown from what bench/compare measured."""

import statistics

NAMES = {"straight": "limit: source to sink", "postfix": "Postfix", "haraka": "Haraka", "hikyaku": "Hikyaku, one process",
         "hikyaku3": "Hikyaku, three services"}


def median(rounds, value):
    found = [value(each) for each in rounds]
    return None if any(each is None for each in found) else statistics.median(found)


def per_mail(rounds, field, factor=1):
    return median(rounds, lambda each: None if each[field] is None else each[field] / each["mails"] * factor)


def text(value, form="{:,.0f}"):
    return "–" if value is None else form.format(value)


def rows(header, lines):
    out = ["| " + " | ".join(header) + " |", "|" + "|".join("---" if i == 0 else "--:" for i in range(len(header))) + "|"]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


HEADER = ["system", "mails/s", "min … max", "accept/s", "× Postfix", "of limit", "syncs a mail", "flushes a mail",
          "CPU s a 1000", "source + sink", "CPU ratio", "busy cores", "switches a mail", "peak RSS MiB"]


def line(name, measured, postfix, straight):
    rounds = measured["rounds"]
    rate = median(rounds, lambda r: r["rate"])
    low, high = (pick(r["rate"] for r in rounds) for pick in (min, max))
    load = straight and median(straight, lambda r: (r["source_cpu"] + r["sink_cpu"]) / r["mails"] * 1000)
    cpu = per_mail(rounds, "cpu", 1000)
    beside = median(rounds, lambda r: (r["source_cpu"] + r["sink_cpu"]) / r["mails"] * 1000)
    switches = median(rounds, lambda r: (r["voluntary"] + r["involuntary"]) / r["mails"])
    syncs = measured.get("traced_syncs", per_mail(rounds, "syncs"))
    relay = name != "straight"
    limit = straight and median(straight, lambda r: r["rate"])
    return [NAMES.get(name, name), text(rate), f"{low:,.0f} … {high:,.0f}",
            text(median(rounds, lambda r: r["accept_rate"])),
            text(postfix and rate / postfix, "{:.1f}"), text(limit and rate / limit, "{:.2f}"),
            text(syncs if relay else None, "{:.2f}"), text(per_mail(rounds, "flushes") if relay else None, "{:.2f}"),
            text(cpu if relay else None, "{:.3f}"), text(beside, "{:.3f}"),
            text(cpu / load if relay and load else None, "{:.1f}"),
            text(median(rounds, lambda r: r["machine_cpu"] / r["seconds"]), "{:.1f}"), text(switches if relay else None, "{:.1f}"),
            text(max(r["rss"] for r in rounds) / 2**20 if relay else None)]


def cell_table(cell):
    systems = cell["systems"]
    postfix = median(systems["postfix"]["rounds"], lambda r: r["rate"]) if "postfix" in systems else None
    straight = systems["straight"]["rounds"] if "straight" in systems else None
    count = max(len(each["rounds"]) for each in systems.values())
    mails = ", ".join(f"{NAMES.get(n, n)} {m['rounds'][0]['mails']:,}" for n, m in systems.items())
    signed = ", signed with DKIM and sent by TLS" if cell.get("signed") else ""
    return (f"### {cell['size'] / 1024:g} KiB, {cell['sessions']} sessions{signed}\n\n"
            + rows(HEADER, [line(name, measured, postfix, straight) for name, measured in systems.items()])
            + f"\nMedian of {count} rounds in turn. Mails a round: {mails}.\n\n")


def head(results):
    ran = results[0]["machine"]
    syncs = [probe for result in results for probe in result["sync"]]
    p50 = statistics.median(probe["p50_ms"] for probe in syncs)
    return (f"Measured {ran['date']} at commit {ran['commit']}; kernel {ran['kernel']}, {ran['cores']} cores ({ran['cpu']}), "
            f"{ran['memory_gib']} GiB, disk {ran['disk']}; Debian {ran['debian']}, Postfix {ran['postfix']}, Haraka "
            f"{ran['haraka']} on Node {ran['node']}, gRPC {ran['grpc']}, RocksDB {ran['rocksdb']}.\n"
            f"fdatasync of 4 KiB appended, on the same disk: p50 {p50:.2f} ms, p99 "
            f"{statistics.median(probe['p99_ms'] for probe in syncs):.2f} ms.\n\n")


def merged_cells(results):
    """Cells of one kind, size and number of sessions, measured in several files, become one."""
    cells = {}
    for cell in (cell for result in results for cell in result["cells"]):
        size, sessions, signed = cell["size"], cell["sessions"], cell.get("signed", False)
        into = cells.setdefault((signed, size, sessions),
                                {"size": size, "sessions": sessions, "signed": signed, "systems": {}})
        for name, measured in cell["systems"].items():
            if name in into["systems"]:
                into["systems"][name]["rounds"] += measured["rounds"]
            else:
                into["systems"][name] = measured
    return [cells[key] for key in sorted(cells)]


def about(results):
    seen = {}
    for cell in (cell for result in results for cell in result["cells"]):
        seen.update({(NAMES.get(name, name), cell.get("signed", False)): measured["about"]
                     for name, measured in cell["systems"].items()})
    return "".join(f"- {name}{', signed and by TLS' if signed else ''}: {what}.\n" for (name, signed), what in seen.items())


RPC_HEADER = ["RPC, 4 KiB", "calls/s", "min … max", "of echo", "p50 ms", "p99 ms", "server CPU s a 1000", "client CPU s a 1000",
              "half load: p50 ms", "p99 ms", "p99 in fdatasyncs"]


def merged_rpc(results):
    """Rows measured in several files become one: lists of rounds, full load and half load."""
    full, half = {}, {}
    for rpc in (result["rpc"] for result in results if result["rpc"]):
        for into, measured in ((full, rpc["rows"]), (half, rpc["half"])):
            for row, rounds in measured.items():
                into.setdefault(row, []).extend(rounds)
    return full, half


def rpc_line(row, full, half, sync_ms):
    rounds, mode = full[row], row.split()[1].rstrip(",")
    rate = median(rounds, lambda r: r["rate"])
    echo = median(full[f"echo {mode}"], lambda r: r["rate"]) if f"echo {mode}" in full else None
    at_half = half.get(row, [])
    p99 = median(at_half, lambda r: r["p99_us"] / 1000) if at_half else None
    return [row, text(rate), f"{min(r['rate'] for r in rounds):,.0f} … {max(r['rate'] for r in rounds):,.0f}",
            text(echo and rate / echo, "{:.2f}"), text(median(rounds, lambda r: r["p50_us"] / 1000), "{:.2f}"),
            text(median(rounds, lambda r: r["p99_us"] / 1000), "{:.2f}"),
            text(median(rounds, lambda r: r["cpu_1000"]), "{:.3f}"),
            text(median(rounds, lambda r: r["client_cpu_1000"]), "{:.3f}"),
            text(median(at_half, lambda r: r["p50_us"] / 1000) if at_half else None, "{:.2f}"), text(p99, "{:.2f}"),
            text(p99 and p99 / sync_ms, "{:.1f}")]


def rpc_table(results):
    full, half = merged_rpc(results)
    if not full:
        return ""
    syncs = [probe["p50_ms"] for result in results if result["rpc"] for probe in result["rpc"]["sync"]]
    lines = [rpc_line(row, full, half, statistics.median(syncs)) for row in full]
    failed = sum(r["failed"] for rounds in (*full.values(), *half.values()) for r in rounds)
    return ("### Accepted by gRPC\n\n" + rows(RPC_HEADER, lines)
            + f"\nMedian of {max(len(r) for r in full.values())} rounds in turn, each on a fresh instance; closed loop with 256 calls "
            f"unanswered over 4 connections; half load is an open loop. {failed} calls failed. fdatasync p50 then: "
            f"{statistics.median(syncs):.2f} ms.\n\n")


def spread(values, form):
    """Of a list: its one value, or its least and its most."""
    values = [value for value in values if value is not None]
    if not values:
        return "not measured"
    return form.format(values[0]) if len(values) == 1 else f"{form.format(min(values))} to {form.format(max(values))}"


def system_ratio(cells, name, ratio):
    return [ratio(cell["systems"]) for cell in cells if name in cell["systems"]]


def rate_of(system):
    return median(system["rounds"], lambda r: r["rate"])


def times_postfix(name):
    def ratio(systems):
        if "postfix" in systems:
            return rate_of(systems[name]) / rate_of(systems["postfix"])
    return ratio


def times_load_cpu(name):
    def ratio(systems):
        if "straight" in systems:
            return per_mail(systems[name]["rounds"], "cpu") / median(
                systems["straight"]["rounds"], lambda r: (r["source_cpu"] + r["sink_cpu"]) / r["mails"])
    return ratio


def aims(results):
    """The aims of the project, and what was reached over all cells."""
    cells, (full, half) = merged_cells(results), merged_rpc(results)
    syncs = [probe["p50_ms"] for result in results if result["rpc"] for probe in result["rpc"]["sync"]]

    def of_echo(name):
        return [median(full[f"{name} {mode}, parked"], lambda r: r["rate"]) / median(full[f"echo {mode}"], lambda r: r["rate"])
                for mode in ("unary", "stream") if f"{name} {mode}, parked" in full and f"echo {mode}" in full]

    def p99(name):
        return [median(half[row], lambda r: r["p99_us"] / 1000) / statistics.median(syncs)
                for row in half if row.startswith(f"{name} ") and "parked" in row]
    lines = [["end to end, times Postfix", "10 or more"], ["accepted by RPC, of the bare echo", "0.70 or more"],
             ["accept p99 under half load, fdatasyncs", "below 5"], ["CPU a mail, of source + sink", "2 or less"],
             ["with DKIM and TLS, times Postfix with OpenDKIM and TLS", "5 or more"]]
    signed = [cell for cell in cells if cell["signed"]]
    cells = [cell for cell in cells if not cell["signed"]]
    for name in ("hikyaku", "hikyaku3"):
        lines[0].append(spread(system_ratio(cells, name, times_postfix(name)), "{:.1f}"))
        lines[4].append(spread(system_ratio(signed, name, times_postfix(name)), "{:.1f}"))
        lines[1].append(spread(of_echo(name), "{:.2f}"))
        lines[2].append(spread(p99(name), "{:.1f}"))
        lines[3].append(spread(system_ratio(cells, name, times_load_cpu(name)), "{:.1f}"))
    return rows(["over all cells", "aim", "one process", "three services"], lines) + "\n"


def render(results):
    return (head(results) + aims(results) + "".join(cell_table(cell) for cell in merged_cells(results)) + rpc_table(results)
            + about(results))
