"""Where the instructions of a VM exit go, counted one by one in the debugger of Bochs, without code in the hypervisor.

    exit_trace.py [--functions KIND] [--fast] [MACHINE [OPTION ...]]    the table of phases, for each kind of exit

KIND asks for one of them (cpuid rdmsr wrmsr vmcall io mmio) function by function as well. MACHINE is one of
tests/machines/ with Bochs (default: bochs-skylake), the OPTIONs are boot options (default: those of the budget of
docs/measuring.md). --fast: the guest wants FB_CLEAR_DIS (bochs-fbclear only). Needs a finished build.

The guest is `guest/exits.c mix`, on one pCPU. Bochs stops it at vmx_exit, lets the first exits go by, and then prints
each instruction that is executed; what is printed between the guest's instruction and VMRESUME is one exit. A count is
exact: in Bochs an instruction is a tick. Exits after which the pCPU went to its scheduler, as a time slice had ended,
are left out."""

import argparse
import bisect
import collections
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/run"))
from emulator import Emulator
from iso import make_iso, merge_options
from machine import Machine, Unusable

CFG = ROOT / "tests/bench/exits-mix.cfg"
CFG_FAST = ROOT / "tests/bench/exits-mix-fast.cfg"  # wants FB_CLEAR_DIS; only for a machine that has FB_CLEAR
BUDGET_OPTIONS = ["vmentry_l1d_flush=never", "rsb=off", "bhb=off"]
SECONDS = 120
IPS = "50000000"           # long time slices, in instructions: few exits are left out
EXITS_BEFORE = 60          # that what is done once is over
INSTRUCTIONS = 150000      # that are printed: a dozen exits of each kind

# By what the guest executed. A read of memory that exits is the one of an address that nothing answers.
KINDS = {"cpuid": "cpuid", "rdmsr": "rdmsr", "wrmsr": "wrmsr", "vmcall": "vmcall", "out": "io", "mov": "mmio"}
COUNTED = ("vmread", "vmwrite", "rdmsr", "wrmsr", "verw", "cpuid")

# The phase of an instruction is that of the outermost function it is executed for that begins with one of these.
PHASES = (
    ("L1D flush by software", ("vmx_enter_window_begin.flush_by_software", "..@")),
    ("exit, assembly", ("vmx_exit", "vmx_leave")),
    ("entry, assembly", ("vmx_enter",)),
    ("handler", ("exit_",)),
    ("plan and trace row", ("is_as_before", "prepare", "make_plan", "write_row", "take_up_regime", "entry_plan_", "trace_entry")),
    ("accounts", ("account_", "trace_commit")),
)
GUEST, REST = "guest's instruction", "loop"
ALL_PHASES = [GUEST, *[phase for phase, _ in PHASES], REST]

SCHEDULER = "sched_loop"
ENTRY_PATH = ("vmx_enter", "vmx_exit", "vmx_leave")

LINE = re.compile(r"^\(0\)\.\[(\d+)\] \[0x([0-9a-f]+)\] [0-9a-f]+:[0-9a-f]+ \([^)]*\): (\S+) ?(.*?) *; [0-9a-f]+$")
SYMBOL = re.compile(r"^([0-9a-f]+) [tT] (\S+)$", re.MULTILINE)

Instruction = collections.namedtuple("Instruction", "tick address name operands")


class TracedMachine(Machine):
    """A Bochs machine that is left to the debugger."""

    def __init__(self, name, stop_at):
        super().__init__(name)
        if self.emulator != "bochs":
            raise Unusable(f"{name}: not a machine of Bochs, whose debugger is needed")
        self.settings["ips"] = IPS
        self.stop_at = stop_at

    def command(self, iso, tty, cpus, folder):
        words = super().command(iso, tty, cpus, folder)
        lines = [f"pb {self.stop_at:#x}", *["c"] * EXITS_BEFORE, "d 1", "trace on", f"s {INSTRUCTIONS}", "q"]
        (folder / "rc.txt").write_text("\n".join(lines) + "\n")
        return words


class Program:
    """The functions of build/sluice.elf."""

    def __init__(self, elf):
        self.elf = elf
        symbols = subprocess.run(["nm", "-n", elf], check=True, capture_output=True, text=True).stdout
        found = [(int(address, 16), name) for address, name in SYMBOL.findall(symbols)]
        self.addresses = [address for address, _ in found]
        self.names = [name for _, name in found]
        self.end = self.addresses[-1]
        self.chains = {}

    def address(self, name):
        return self.addresses[self.names.index(name)]

    def learn(self, addresses):
        """Asks which functions were inlined at these."""
        asked = sorted(addresses)
        answer = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", self.elf], check=True, capture_output=True,
                                text=True, input="".join(f"{address:#x}\n" for address in asked))
        for line in answer.stdout.splitlines():
            if line.startswith("0x"):
                chain = self.chains.setdefault(int(line, 16), [])
                expects_name = True
            else:
                if expects_name and line != "??":
                    chain.insert(0, line)
                expects_name = not expects_name

    def symbol(self, address):
        return self.names[bisect.bisect_right(self.addresses, address) - 1]

    def function(self, address):
        """Without the local label."""
        return self.symbol(address).partition(".")[0]

    def chain(self, address):
        """The function that holds an address and those inlined into it there, outermost first."""
        return [self.symbol(address), *self.chains.get(address, [])[1:]]


def read_trace(text):
    for line in text:
        if match := LINE.match(line):
            yield Instruction(int(match[1]), int(match[2], 16), match[3], match[4])


def split_exits(instructions, vmx_exit):
    """(instruction of the guest that exited, what the hypervisor executed up to and with VMRESUME), for each exit that
    was seen from its beginning to its end."""
    guest, host = None, None
    for i in instructions:
        if i.address == vmx_exit:
            host = []
        if host is None:
            guest = i
            continue
        host.append(i)
        if i.name in ("vmresume", "vmlaunch"):
            if guest is not None:
                yield guest, host
            guest, host = None, None


def phase_of(chain):
    for function in chain:
        for phase, prefixes in PHASES:
            if function.startswith(prefixes):
                return phase
    return REST


def in_one_function(program, call):
    """RSB work: the target is a local label, nothing returns from there."""
    target = re.search(r"\(0x([0-9a-f]+)\)", call.operands)
    return target and program.function(int(target[1], 16)) == program.function(call.address)


def is_tail_call(program, last, i):
    """A jump to the first instruction of another function. The labels of the entry path are parts of one."""
    callee, caller = program.function(i.address), program.function(last.address)
    return last.name.startswith("j") and callee != caller and not caller.startswith(ENTRY_PATH) and \
        i.address == program.address(callee)


def phases_of(program, host):
    """(phase, function, instruction) for each. A tail call keeps the caller's name: it works for it."""
    callers = []      # for each call that has not returned, the functions that it was made for
    passed_on = []    # the functions that ended in a tail call, since the last call
    last = None
    for i in host:
        chain = program.chain(i.address)
        if last is not None and last.name == "call" and not in_one_function(program, last):
            callers.append((passed_on, [*passed_on, *program.chain(last.address)]))
            passed_on = []
        elif last is not None and last.name == "ret" and callers:
            passed_on, _ = callers.pop()
        elif last is not None and is_tail_call(program, last, i):
            passed_on = [*passed_on, *program.chain(last.address)]
        whole = [name for _, names in callers for name in names] + passed_on + chain
        yield phase_of(whole), chain[-1], i
        last = i


def count_exit(program, guest, host):
    """The counts of one exit: of all, by phase, by function."""
    count = {"instructions": host[-1].tick - guest.tick + 1, "phases": collections.Counter(),
             "functions": collections.Counter(), **dict.fromkeys(COUNTED, 0)}
    count["phases"][GUEST] = 1
    for phase, function, i in phases_of(program, host):
        count["phases"][phase] += 1
        count["functions"][phase, function] += 1
        if i.name in COUNTED:
            count[i.name] += 1
    return count


def trace(machine, options, cfg=CFG):
    """Runs the guest; returns {kind: list of counts}."""
    program = Program(ROOT / "build/sluice.elf")
    vmx_exit = program.address("vmx_exit")
    traced = TracedMachine(machine, vmx_exit)
    runs = ROOT / "build/run"
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trace-", dir=runs) as name:
        folder = pathlib.Path(name)
        make_iso(folder / "sluice.iso", merge_options(traced.options, " ".join(options)), [str(cfg)])
        emulator = Emulator(traced, folder / "sluice.iso", 1, folder)
        late = time.monotonic() + SECONDS
        while emulator.read(0.5) is not None and time.monotonic() < late:
            pass
        emulator.end()
        with open(folder / "emulator.out", errors="replace") as text:
            exits = list(split_exits(read_trace(text), vmx_exit))
        if not exits:
            raise Unusable("no exit was traced:\n" + "\n".join(emulator.last_words()))
    program.learn({i.address for _, host in exits for i in host})
    found = {kind: [] for kind in KINDS.values()}
    for guest, host in exits:
        count = count_exit(program, guest, host)
        if guest.name in KINDS and not any(function == SCHEDULER for _, function in count["functions"]):
            found[KINDS[guest.name]].append(count)
    missing = [kind for kind, samples in found.items() if not samples]
    if missing:
        raise Unusable(f"no exit for {' '.join(missing)} was traced")
    return found


def median_sample(samples):
    """The sample with the median of instructions: its phases add up, as medians of each would not."""
    return sorted(samples, key=lambda sample: sample["instructions"])[(len(samples) - 1) // 2]


def print_table(head, rows):
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(str(cell).ljust(width) if column == 0 else str(cell).rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths))).rstrip())


def print_functions(kind, sample):
    print(f"\n{kind}, function by function:\n")
    print_table(["phase: function", "instructions"],
                [[f"{phase}: {function}", n] for (phase, function), n in sample["functions"].most_common()])


def print_phases(found):
    kinds = list(found)
    typical = {kind: median_sample(found[kind]) for kind in kinds}
    print("One exit and re-entry, in instructions:\n")
    rows = [["samples", *[len(found[kind]) for kind in kinds]]]
    rows += [[word, *[function(sample["instructions"] for sample in found[kind]) for kind in kinds]]
             for word, function in (("min", min), ("median", statistics.median_low))]
    rows += [[name, *[typical[kind][name] for kind in kinds]] for name in COUNTED]
    print_table(["", *kinds], rows)
    print("\nThe exit with the median, phase by phase:\n")
    used = [phase for phase in ALL_PHASES if any(typical[kind]["phases"][phase] for kind in kinds)]
    print_table(["phase", *kinds], [[phase, *[typical[kind]["phases"][phase] for kind in kinds]] for phase in used])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", metavar="KIND", choices=list(KINDS.values()))
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("machine", nargs="?", default="bochs-skylake")
    parser.add_argument("options", nargs="*")
    given = parser.parse_args()
    try:
        found = trace(given.machine, given.options or BUDGET_OPTIONS, CFG_FAST if given.fast else CFG)
    except Unusable as why:
        sys.exit(f"exit_trace: {why}")
    print_phases(found)
    if given.functions:
        print_functions(given.functions, median_sample(found[given.functions]))


if __name__ == "__main__":
    main()
