"""`make bench`: boots Sluice on a machine, has it measure, adds what can be counted and timed beside it, makes a page.

    MACHINE CPUS CMDLINE   as for `make run`
    OUT=path               where the rows and the page go, without .tsv and .html (default: build/bench/DATE-MACHINE)
    A=file [B=file]        measures nothing: the page of one saved run, or of two side by side. A file is one that this
                           program kept, or the text of a console on which `bench` was typed

Standard output is the rows as they come; the rest goes to standard error, whose last line is `bench: ok: PAGE ROWS`,
`bench: failed` (a measurement failed) or `bench: died`."""

import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import exit_trace
from bench_rows import BadRows, BenchRow, is_tsv, parse_row, parse_rows, read_tsv, write_tsv
from machine import ROOT, Machine, Unusable, default_name
from page import Run, make_page

COMMANDS = ("info", "bugs", "caps", "get", "bench", "stats", "audit")
USER_PROGRAM = "build/tests/bench/user"
CPUINFO = {"model name": "model", "microcode": "microcode", "stepping": "stepping", "cpu family": "family"}
VULNERABILITIES = pathlib.Path("/sys/devices/system/cpu/vulnerabilities")

started = time.monotonic()


class Failed(Exception):
    """What was to be measured could not be; the text says why."""


def say(text):
    seconds = int(time.monotonic() - started)
    print(f"bench: {seconds // 60}:{seconds % 60:02} {text}", file=sys.stderr, flush=True)


def is_status(line):
    return line == "ok" or line.startswith("error: ")


def ask_console(machine):
    """Types the commands on the machine's console; returns all rows, and whether every command answered ok."""
    environment = os.environ | {"MACHINE": machine.name, "VMS": ""}
    words = [sys.executable, str(ROOT / "tests/run/run.py"), "bench"]
    process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               errors="replace")
    process.stdin.write("\n".join(COMMANDS) + "\n")
    process.stdin.close()
    waiting, rows = list(COMMANDS), []
    for line in map(str.rstrip, process.stdout):
        if line.startswith("["):
            continue
        row = parse_row(line)
        if row:
            print(line, flush=True)
            rows.append(row)
        elif waiting and line and not is_status(line):
            rows.append(BenchRow("console", {"command": waiting[0], "text": line}))
        if waiting and is_status(line):
            if line != "ok":
                say(f"{waiting[0]}: {line}")
            waiting.pop(0)
            if waiting:
                say(f"on the console: {waiting[0]}")
    return rows, process.wait() == 0


def count_rows(found, strategy, kinds):
    """What the debugger counted, as rows."""
    for kind in kinds:
        sample = exit_trace.median_sample(found[kind])
        least = min(each["instructions"] for each in found[kind])
        yield BenchRow("exit-count", {"kind": kind, "strategy": strategy, "samples": str(len(found[kind])),
                                      "instructions": str(sample["instructions"]), "instructions_min": str(least),
                                      **{name: str(sample[name]) for name in exit_trace.COUNTED}})
    for kind in kinds:
        phases = exit_trace.median_sample(found[kind])["phases"]
        yield from (BenchRow("exit-phase", {"kind": kind, "strategy": strategy, "phase": phase,
                                            "instructions": str(phases[phase])})
                    for phase in exit_trace.ALL_PHASES if phases[phase])


def count_exits(machine, rows):
    """What the debugger of Bochs counts: every kind of exit, and for CPUID also what the mitigations add."""
    if machine.emulator != "bochs":
        say(f"no instructions are counted: {machine.name} is no machine of Bochs")
        return []
    budget = exit_trace.BUDGET_OPTIONS
    kinds = tuple(exit_trace.KINDS.values())
    runs = [("l1d:never", budget, kinds, exit_trace.CFG),
            ("l1d:always", ["vmentry_l1d_flush=always", *budget[1:]], ("cpuid",), exit_trace.CFG)]
    if any(row.name == "rdmsr-mcu" and row.unsupported is None for row in rows):
        runs += [(f"dis:{value}", [*budget, f"fb_clear_dis={value}"], ("cpuid",), exit_trace.CFG_FAST)
                 for value in ("off", "cached", "toggle", "msrlist")]
    counted = []
    for strategy, options, wanted, cfg in runs:
        say(f"counting instructions in the debugger of Bochs: {strategy}")
        counted += count_rows(exit_trace.trace(machine.name, options, cfg), strategy, wanted)
    return counted


def developer_rows():
    """The CPU that this runs on, in the kernel's words."""
    text = pathlib.Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    found = dict(re.findall(r"^(.*?)\s*:\s*(.*)$", text, re.MULTILINE))
    keys = {key: found[name] for name, key in CPUINFO.items() if name in found}
    virtual = "hypervisor" in found.get("flags", "").split()
    yield BenchRow("developer", {**keys, "virtual": "yes" if virtual else "no"})
    for path in sorted(VULNERABILITIES.glob("*")):
        yield BenchRow("vulnerability", {"kind": path.name, "state": path.read_text().strip()})


def time_user_mode():
    if platform.machine() not in ("x86_64", "AMD64"):
        say(f"nothing is timed in user mode: this is {platform.machine()}, not x86-64")
        return []
    say("timing VERW and the flush by software in user mode, on this CPU")
    done = subprocess.run([ROOT / USER_PROGRAM], capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise Failed(f"{USER_PROGRAM} ended with status {done.returncode}")
    print(done.stdout, end="", flush=True)
    return parse_rows(done.stdout.splitlines()) + list(developer_rows())


def tick_of(machine):
    """What a tick is there: a key of page.TICK."""
    if machine.emulator == "bochs":
        return "instruction"
    return "outer" if machine.needs_vmx_from_kvm else "translated"


def measure(name):
    """All rows of a run, and whether everything went well."""
    machine = Machine(name)
    now = datetime.datetime.now()
    options = " ".join([*machine.options, os.environ.get("CMDLINE", "")]).strip()
    about = BenchRow("run", {"machine": name, "date": now.strftime("%Y-%m-%d %H:%M"), "shows": machine.shows,
                             "cpus": os.environ.get("CPUS") or "2", "options": options or "-",
                             "tick": tick_of(machine)})
    say(f"booting {name}")
    rows, good = ask_console(machine)
    if not any(row.name not in ("console",) for row in rows):
        raise Failed("the console gave no row of bench")
    return [about, *rows, *count_exits(machine, rows), *time_user_mode()], good


def saved_run(path, mark):
    """A run that was kept, or a console's text."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise BadRows(f"{path}: no such file: give a .tsv that `make bench` kept, or the text of a console")
    rows = read_tsv(path) if is_tsv(path) else \
        parse_rows(line.rpartition("\r")[2] for line in path.read_text(errors="replace").splitlines())
    if not rows:
        raise BadRows(f"{path}: holds no row of bench: give a .tsv that `make bench` kept, or the text of a console")
    return Run(rows, mark, path.name)


def base_path(default):
    out = os.environ.get("OUT")
    base = pathlib.Path(re.sub(r"\.(tsv|html)$", "", out)) if out else ROOT / "build/bench" / default
    base.parent.mkdir(parents=True, exist_ok=True)
    return base


def shown(path):
    """Relative to the root, where it lies in there."""
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def write_page(base, runs):
    path = base.with_name(base.name + ".html")
    path.write_text(make_page(runs))
    return path


def bench():
    """Returns the last line."""
    a, b = os.environ.get("A"), os.environ.get("B")
    if b and not a:
        raise BadRows("B= alone: give A= as well")
    if a:
        runs = [saved_run(a, "A:" if b else "")] + ([saved_run(b, "B:")] if b else [])
        names = "-and-".join(pathlib.Path(path).stem for path in (a, b) if path)
        return f"ok: {shown(write_page(base_path(f'page-{names}'), runs))}"
    name = os.environ.get("MACHINE") or default_name()
    rows, good = measure(name)
    base = base_path(datetime.datetime.now().strftime("%Y%m%d-%H%M%S-") + name)
    kept = base.with_name(base.name + ".tsv")
    write_tsv(kept, rows)
    say("drawing the page")
    page = write_page(base, [Run(rows)])
    return f"{'ok' if good else 'failed'}: {shown(page)} {shown(kept)}"


def main():
    try:
        last = bench()
    except (BadRows, Failed, Unusable, OSError) as why:
        say(str(why))
        last = "died"
    print(f"bench: {last}", file=sys.stderr)
    sys.exit(not last.startswith("ok"))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
