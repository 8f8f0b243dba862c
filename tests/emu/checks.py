"""What a regular expression cannot say: each function takes the lines of the console, yields what is wrong with them."""


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
