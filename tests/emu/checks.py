"""What a regular expression cannot say: each function takes the lines of the console, yields what is wrong with them."""

import re

import linux_models


def trace_entries(lines):
    """The `entry` rows as dictionaries, for each pCPU in the order in which they were shown last."""
    cpus = {}
    for line in lines:
        if line.startswith("entry n="):
            row = dict(word.split("=", 1) for word in line.split()[1:])
            cpus.setdefault(row["cpu"], []).append(row)
    return cpus


def entries_without_gaps(lines):
    """Of one `trace` command: every entry of a pCPU is there."""
    cpus = trace_entries(lines)
    if not cpus:
        yield "no entry rows"
    for cpu, rows in cpus.items():
        for before, row in zip(rows, rows[1:]):
            if int(row["n"]) != int(before["n"]) + 1:
                yield f"cpu {cpu}: n={row['n']} after n={before['n']}"


def mcu_writes_follow_wishes(lines):
    """Under `cached`, with one `trace` command: written exactly when FB_CLEAR_DIS changes, with the value asked for."""
    changes = 0
    for rows in trace_entries(lines).values():
        for before, row in zip(rows, rows[1:]):
            changed = row["dis"] != before["dis"]
            changes += changed
            if changed != row["mcu"].startswith("0x"):
                yield f"n={row['n']}: dis {before['dis']} -> {row['dis']}, mcu={row['mcu']}"
            elif changed and (int(row["mcu"], 16) >> 3 & 1) != int(row["dis"]):
                yield f"n={row['n']}: dis={row['dis']}, mcu={row['mcu']}"
    if not changes:
        yield "FB_CLEAR_DIS never changed"


def saved_trace_agrees(lines):
    """After one `audit` and one `trace` of all there was, with every VM paused: the other audit comes to the same."""
    from check import final_row  # tests/audit; the test driver has it in its path

    if any(rows[0]["n"] != "0" for rows in trace_entries(lines).values()):
        yield "the trace does not begin with the first entry"
    said = [line for line in lines if line.startswith("audit entries=")]
    found = final_row(lines)
    if said != [found]:
        yield f"audit said {said}, tests/audit/audit.py says {found}"


def stats_rows(lines):
    """The `vcpu` rows of `stats` as dictionaries, with the sum of its `exit` rows under exit_sum."""
    rows = {}
    for line in lines:
        words = line.split()
        if line.startswith("vcpu ") and "entries=" in line:
            rows[words[1]] = {key: int(value) for key, value in (word.split("=") for word in words[2:])} | {"exit_sum": 0}
        elif line.startswith("exit ") and words[1] in rows:
            rows[words[1]]["exit_sum"] += int(words[3].removeprefix("count="))
    return rows


def counters_add_up(lines):
    """After one `audit` and one `stats` of paused VMs that have never been reset: every entry was audited, each exit has
    a reason, and no entry flushed twice."""
    rows = stats_rows(lines)
    audited = [int(line.split()[1].removeprefix("entries=")) for line in lines if line.startswith("audit entries=")]
    if not rows or not audited:
        yield "no stats or no audit"
        return
    entries = sum(row["entries"] for row in rows.values())
    if entries != audited[-1]:
        yield f"{entries} entries in stats, {audited[-1]} audited"
    for name, row in rows.items():
        if row["exits"] != row["exit_sum"]:
            yield f"{name}: exits={row['exits']}, but the reasons add up to {row['exit_sum']}"
        if row["exits"] > row["entries"]:
            yield f"{name}: more exits than entries"
        if row["l1d_flush_msr"] + row["l1d_flush_soft"] + row["l1d_flush_skipped"] > row["entries"]:
            yield f"{name}: more L1D flushes than entries"


def running_counters_add_up(lines):
    """Of each `stats`, while vCPUs run: each exit has a reason, and belongs to an entry (the last one may not be counted
    yet)."""
    starts = [i for i, line in enumerate(lines) if line.startswith("vcpu ") and "entries=" in line]
    if len(starts) < 2:
        yield "no stats"
    for start, end in zip(starts, [*starts[1:], len(lines)]):
        for name, row in stats_rows(lines[start:end]).items():
            if row["exits"] != row["exit_sum"] or not -1 <= row["entries"] - row["exits"] <= 1:
                yield f"{name}: entries={row['entries']} exits={row['exits']}, and the reasons add up to {row['exit_sum']}"


def toggle_reads_and_writes(lines):
    """Under `toggle`: one read and two writes of MCU_OPT_CTRL for each entry of the VM that wants FB_CLEAR_DIS."""
    row = stats_rows(lines).get("fast.0")
    if row is None:
        yield "no stats of fast.0"
    elif row["mcu_opt_ctrl_writes"] != 2 * row["mcu_opt_ctrl_reads"]:
        yield f"reads={row['mcu_opt_ctrl_reads']} writes={row['mcu_opt_ctrl_writes']}"
    elif not row["entries"] <= row["mcu_opt_ctrl_reads"] <= row["entries"] + row["exit_sum"] // 100 + 8:
        yield f"reads={row['mcu_opt_ctrl_reads']} entries={row['entries']}"


def shares_are_even(lines):
    """After one `stats` of vCPUs that all want all they can get: none has a tenth more than another."""
    ticks = [row["guest_ticks"] for row in stats_rows(lines).values()]
    if len(ticks) < 2:
        yield "no stats of several vCPUs"
    elif max(ticks) > 1.1 * min(ticks):
        yield f"guest_ticks: {ticks}"


def shares_went_on(lines):
    """Between two `stats` of two vCPUs that want all they can get: the one has not got half as much again as the other."""
    ticks = re.findall(r"^vcpu \S+ .*guest_ticks=(\d+)", "\n".join(lines), re.MULTILINE)
    if len(ticks) != 4:
        yield f"{len(ticks)} rows of stats, not 4"
        return
    a, b = (int(ticks[i + 2]) - int(ticks[i]) for i in range(2))
    if max(a, b) > 1.5 * min(a, b):
        yield f"guest_ticks meanwhile: {a}, {b}"


def shares_agree(lines):
    """After `cpus` and `stats` of VMs that all want all they can get of one pCPU: both tell the same, and together it
    is most of the pCPU's time, but for that in which they were started."""
    shares = {match[1]: int(match[2]) for match in (re.match(r"share (\S+) permille=(\d+)$", line) for line in lines) if match}
    of_vcpus = {name.partition(".")[0]: row["share_permille"] for name, row in stats_rows(lines).items()}
    if not shares or shares.keys() != of_vcpus.keys():
        yield f"cpus tells of {[*shares]}, stats of {[*of_vcpus]}"
    elif any(abs(shares[name] - of_vcpus[name]) > 10 for name in shares) or not 700 <= sum(shares.values()) <= 1010:
        yield f"shares: {shares} in cpus, {of_vcpus} in stats"


def pcpus_slept(lines):
    """After one `cpus` on a machine without work: nine tenths of each pCPU's time went by asleep."""
    rows = [dict(word.split("=") for word in line.split()[2:]) for line in lines if line.startswith("cpu ") and
            "idle_ticks=" in line]
    if not rows:
        yield "no cpus rows"
    for row in rows:
        guest, root, idle = (int(row[key]) for key in ("guest_ticks", "root_ticks", "idle_ticks"))
        if idle < 9 * (guest + root):
            yield f"guest_ticks={guest} root_ticks={root} idle_ticks={idle}"


CHATTY = re.compile(r"(?:(chatty-\w)\| )?chatty: n=(\d+) ([a-z]*) sum=0x([0-9a-f]+)")
OTHERS = re.compile(r"ok$|error: |\[(error|notice|info|debug)\] |(vm|cpu|share|vcpu|exit|console|sluice|memory|vmx|entry|audit|mode|state|uptime|spin)\b"
                    r"|[a-z0-9_]+=")


def checksum(text):
    """FNV-1a of 32 bits, as in guest/chatty.c."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 & 0xffffffff
    return value


def chatty_line(line):
    """The VM and the number of a line of chatty's that is whole; None: it is none."""
    found = CHATTY.fullmatch(line)
    if not found:
        return None
    name, n, text, summed = found[1] or "chatty-b", int(found[2]), found[3], int(found[4], 16)
    whole = summed == (checksum(text) + n) & 0xffffffff and len(text) == n * 7 % 96
    return (name, n) if whole else None


def chatty_lines_whole(lines):
    """Every line is one of chatty's, whole, or begins as our own do; of each VM there are many, and none is missing. The
    terminal is at chatty-b at times; what it cuts off comes again as a line."""
    seen = {}
    for line, after in zip(lines, [*lines[1:], ""]):
        found = chatty_line(line)
        if not found:
            cut_off = after.startswith("console chatty-b state=running attached=no") and "chatty: n=".startswith(line[:10])
            if not cut_off and (not OTHERS.match(line) or "chatty:" in line):
                yield f"torn: {line}"
            continue
        name, n = found
        if n != seen.get(name, -1) + 1:
            yield f"missing before: {line}"
        seen[name] = n
    if sorted(seen) != ["chatty-a", "chatty-b", "chatty-c"] or min(seen.values()) < 50:
        yield f"too few lines: the last ones were {seen}"


def memory_rows(lines):
    """What `info` said each time."""
    return [{key: int(value) for key, value in re.findall(r"(\w*pages)=(\d+)", line)}
            for line in lines if line.startswith("memory total=")]


def memory_given_back(lines):
    """In each `info` every page is in one account; the first one and the last are the same."""
    rows = memory_rows(lines)
    if len(rows) < 2:
        yield f"only {len(rows)} memory rows"
        return
    for row in rows:
        if row["pages"] != row["free_pages"] + row["boot_pages"] + row["log_pages"] + row["vm_pages"]:
            yield f"does not add up: {row}"
    if rows[0] != rows[-1]:
        yield f"at the beginning {rows[0]}, at the end {rows[-1]}"


def pages_accounted(lines):
    """The same with VMs that are on between two times when all are off."""
    rows = memory_rows(lines)
    if len(rows) < 3:
        yield f"only {len(rows)} memory rows"
        return
    yield from memory_given_back(lines)
    if rows[-1]["vm_pages"] != 0 or not any(row["vm_pages"] for row in rows):
        yield f"vm_pages: {[row['vm_pages'] for row in rows]}"


BENCH_KEYS = ["strategy", "n", "min", "median", "p99", "unit", "spread", "overhead", "noisy", "repeats"]
BENCH_COUNTS = ["mcu_reads", "mcu_writes", "verw", "l1d_msr", "l1d_soft", "entries"]
BENCH_EXTRA = {"strategy": BENCH_COUNTS, "rate": ["k"], "switch": ["turn", "turns", *BENCH_COUNTS],
               "alone": ["turn", "turns", *BENCH_COUNTS]}


def bench_rows(lines):
    """The rows of `bench` that have numbers: pairs of a name and a dictionary."""
    for line in lines:
        words = line.split()
        if line.startswith("bench ") and words[2].startswith("strategy="):
            yield words[1], {key: int(value) if value.isdigit() else value
                             for key, value in (word.split("=") for word in words[2:])}


def bench_names_answered(lines):
    """After `bench list` and `bench`: each name of the list has rows with numbers, or is unsupported and has none."""
    names = [line.split()[0] for line in lines[:next(i for i, line in enumerate(lines) if line == "ok")]
             if "  " in line and not line.startswith("[")]
    numbers = {name for name, _ in bench_rows(lines)}
    unsupported = {line.split()[1] for line in lines if line.startswith("bench ") and " unsupported reason=" in line}
    if not names or set(names) != numbers | unsupported:
        yield f"listed {names}, with numbers {numbers}, unsupported {unsupported}"
    if numbers & unsupported:
        yield f"both: {numbers & unsupported}"


def bench_rows_well_formed(lines):
    """The keys stand in their order, and the numbers can be what they say."""
    rows = list(bench_rows(lines))
    if not rows:
        yield "no rows"
    for name, row in rows:
        if [key for key in row if key in BENCH_KEYS] != BENCH_KEYS or not set(BENCH_EXTRA.get(name, [])) <= set(row):
            yield f"{name}: keys {list(row)}"
        elif not row["min"] <= row["median"] <= row["p99"] or row["n"] < 2 * row["repeats"] or row["unit"] != "tsc":
            yield f"{name}: {row}"


def bench_step_counts(row):
    """What the entries of a row must have counted of VERW and the L1D, by the strategy's name; flushes under `cond` are
    those that the measurement's own start asks for."""
    l1d, verw, _ = (part.partition(":")[2] for part in row["strategy"].split(","))
    mode, _, how = l1d.partition(":")
    flushes = {"l1d_soft" if how == "soft" else "l1d_msr": row["entries"]} if mode == "always" else {}
    counts = {"verw": row["entries"] if verw == "on" else 0, "l1d_msr": 0, "l1d_soft": 0, **flushes}
    return {key: count for key, count in counts.items() if mode != "cond" or key == "verw"}


def bench_strategy_counts(lines):
    """`strategy`, from each VM's start on: `cached` writes IA32_MCU_OPT_CTRL once, `toggle` reads it and writes it twice
    an entry; with VERW on entry neither sets FB_CLEAR_DIS; `cond` flushes a few times in a thousand."""
    rows = [row for name, row in bench_rows(lines) if name == "strategy"]
    ways = {"off": (0, 0), "cached": (0, 1), "toggle": (1000, 2000), "msrlist": (0, 0)}
    if len({row["strategy"] for row in rows}) != len(rows) or len(rows) < 6:
        yield f"{len(rows)} strategies"
    for row in rows:
        l1d, verw, dis = (part.partition(":")[2] for part in row["strategy"].split(","))
        mcu = ways[dis] if verw == "off" else (0, 0)
        expected = {"entries": 1000, "mcu_reads": mcu[0], "mcu_writes": mcu[1], **bench_step_counts(row)}
        if any(row[key] != count for key, count in expected.items()):
            yield f"{row}: expected {expected}"
        if l1d.startswith("cond") and not 1 <= row["l1d_msr"] + row["l1d_soft"] <= 10:
            yield f"{row}: flushes under cond"


def bench_turn_counts(lines):
    """`switch` and `alone`: under `cached` a write for each turn of two vCPUs, and none of one alone; `toggle` pays for
    each entry of the one that wants FB_CLEAR_DIS."""
    rows = [(name, row) for name, row in bench_rows(lines) if name in ("switch", "alone")]
    if {(name, row["turn"], row["strategy"].rpartition(":")[2]) for name, row in rows} != {
            (name, turn, dis) for name in ("switch", "alone") for turn in (1, 10, 100)
            for dis in ("off", "cached", "toggle", "msrlist")}:
        yield f"rows: {rows}"
    for name, row in rows:
        wanting = row["entries"] // 2 if name == "switch" else row["entries"]
        expected = {"off": (0, 0), "cached": (0, row["turns"] if name == "switch" else 0),
                    "toggle": (wanting, 2 * wanting), "msrlist": (0, 0)}[row["strategy"].rpartition(":")[2]]
        if (row["mcu_reads"], row["mcu_writes"]) != expected or row["entries"] != row["turns"] * row["turn"]:
            yield f"{name} {row}: expected reads and writes {expected}"


def linux_models_as_documented(lines):
    """What Linux says of its CPU under each model is the table of docs/guests.md."""
    yield from linux_models.problems(lines)
