"""What rows measure: each function takes the lines of the console and the time at which each came, in seconds, and yields
what it found, a text each, shown also when the row passes. A text that begins with "! " is a fault."""

import re

import native
from checks import stats_rows
from machine import ROOT

PROMPT_SECONDS = 120        # issue 4, "Time": a goal, which the load of this computer may spoil
COST_LIMIT = 1.05           # issue 4, "Cost": ticks as a guest to ticks natively
ROOT_LIMIT = 0.05           # and root mode's part of what is not idle
FLUSH_TICKS_MAX = 1300      # of one flush by software (issue 5): `stats` counts it as the guest's
NATIVE_ARGUMENTS = "console=ttyS0 quiet mem=256M tsc_early_khz=100000"

# Ticks of Bochs, seen by the guest (docs/measuring.md).
EXIT_BUDGET = {"cpuid": 220, "rdmsr": 220, "io": 260, "vmcall": 180, "mmio": 900}
FLUSH_BUDGET = 1300

CPUS_ROW = re.compile(r"^cpu 0 .* guest_ticks=(\d+) root_ticks=(\d+) idle_ticks=(\d+)")
INIT = re.compile(r"^linux\| linux: init at tsc=(\d+)")


def first(pattern, lines):
    return next(i for i, line in enumerate(lines) if re.search(pattern, line))


def time_to_prompt(lines, times):
    """From `vm start linux` to its prompt, in seconds of wall time."""
    seconds = times[first(r"^linux\| linux# ", lines)] - times[first(r"^\[info\] linux: started", lines)]
    yield f"prompt after {seconds:.1f} s of wall time (goal: {PROMPT_SECONDS}, on an idle computer)"


def linux_cost(lines, times):
    """The boot as a guest against the same kernel's native boot on the same machine."""
    del times
    # The VM's time is 0 shortly before its first entry, so that the guest's figure errs on the high side.
    guest = next(int(match[1]) for match in map(INIT.match, lines) if match)
    entry, init = native.boot("bochs-linux", ROOT / "build/guest/linux.bzImage", ROOT / "build/guest/linux.cpio",
                              NATIVE_ARGUMENTS)
    ratio = guest / (init - entry)
    yield f"kernel to /init: guest={guest} native={init - entry} ratio={ratio:.4f} limit={COST_LIMIT}"

    before, after = [list(map(int, match.groups())) for match in map(CPUS_ROW.match, lines) if match]
    in_guest, in_root, idle = (b - a for a, b in zip(before, after))
    flushes = stats_rows(lines)["linux.0"]["l1d_flush_soft"] * FLUSH_TICKS_MAX
    share = (in_root + flushes) / (in_guest + in_root)
    yield f"root mode: root={in_root} flushes={flushes} guest={in_guest - flushes} idle={idle} share={share:.4f} limit={ROOT_LIMIT}"
    if ratio > COST_LIMIT:
        yield "! the boot takes too many ticks"
    if share > ROOT_LIMIT:
        yield "! too many of the ticks are root mode's"


def exits_within_budget(lines, times):
    """Two runs of guest/exitcost.c, the second one with a software flush before each entry."""
    del times
    runs = []
    for line in lines:
        if match := re.match(r"exitcost\| exitcost: (\S+) mean=(\d+) ", line):
            if match[1] == "cpuid":
                runs.append({})
            runs[-1][match[1]] = int(match[2])
    if len(runs) != 2 or any(run.keys() < EXIT_BUDGET.keys() for run in runs):
        yield f"! not two whole runs of exitcost: {runs}"
        return
    without, flushed = runs
    for kind, budget in EXIT_BUDGET.items():
        flush = flushed[kind] - without[kind]
        yield f"{kind}: mean={without[kind]} budget={budget} flush={flush} budget={FLUSH_BUDGET}"
        if without[kind] > budget:
            yield f"! {kind}: {without[kind]} ticks, the budget is {budget}"
        if flush > FLUSH_BUDGET:
            yield f"! {kind}: the flush adds {flush} ticks, the budget is {FLUSH_BUDGET}"
