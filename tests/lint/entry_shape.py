"""The shape of the entry path (docs/vm-entry.md), read off the object file: what stands between a decision and the guest.

    entry_shape.py OBJECT       prints each fault, one a line; exits 1 if there is one, or if there was nothing to check
    entry_shape.py --self-test  builds tests/lint/fixtures/*.asm: each must be refused, with the words of its `; expect:`

The object is arch/vmx_enter.asm's. Its global labels name the parts: the entry starts at vmx_enter, both kinds of return at
vmx_exit and vmx_enter_failed, and everything comes back to C through vmx_leave."""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/lint/fixtures"

# The steps before an entry, in their order (facts: SDM, and the vendors' guidance cited in docs/vm-entry.md).
MCU_WRITE, IBPB, L1D_FLUSH, SPEC_CTRL, REGISTERS, VERW, ENTRY = range(1, 8)
STEP_NAMES = {MCU_WRITE: "MCU_OPT_CTRL write", IBPB: "IBPB", L1D_FLUSH: "L1D flush", SPEC_CTRL: "SPEC_CTRL write",
              REGISTERS: "guest registers", VERW: "VERW", ENTRY: "entry"}
STEP_OF_MSR = {"MSR_IA32_MCU_OPT_CTRL": MCU_WRITE, "MSR_IA32_PRED_CMD": IBPB, "MSR_IA32_FLUSH_CMD": L1D_FLUSH,
               "MSR_IA32_SPEC_CTRL": SPEC_CTRL}

LABELS = ("vmx_enter", "vmx_enter_window_begin", "vmx_enter_window_end", "vmx_enter_failed", "vmx_exit", "vmx_leave")
ENTRIES = ("vmlaunch", "vmresume")
FLUSH_BUFFER = "l1d_flush_buffer"
RSB_ENTRIES = 32
# rsp is in the VMCS.
GUEST_REGISTERS = {"rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi"} | {f"r{n}" for n in range(8, 16)}
# rax has the status.
CLEAN_ON_EXIT = GUEST_REGISTERS - {"rax"}
# Plan, guest registers, flush buffer: all that may be touched once the L1D is flushed.
BASES_AFTER_FLUSH = {"rdi", "rsi", "r9"}

Instruction = collections.namedtuple("Instruction", "address name operands symbol")
SYMBOL = re.compile(r"^([0-9a-f]+) [tT] (\S+)$", re.MULTILINE)
CODE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)\s*([^#<]*?)\s*(?:<.*>)?\s*(?:#.*)?$")
RELOCATION = re.compile(r"^\s*[0-9a-f]+: R_X86_64_\S+\s+([^\s+-]+)")
LOAD = re.compile(r"^(r\w+),QWORD PTR \[rsi(?:\+0x[0-9a-f]+)?\]$")
BASE = re.compile(r"\[(\w+)")
STACK_USERS = ("push", "pop", "call", "ret", "pushf", "popf", "enter", "leave")
PREFIXES = ("rep", "repz", "repnz", "lock", "notrack", "bnd", "cs", "ds")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Code:
    """The instructions of .text, and where each may go next."""

    def __init__(self, path):
        self.list = []
        # nm, as objdump shows but one label of an address.
        self.labels = {name: int(address, 16) for address, name in SYMBOL.findall(output("nm", path))}
        for line in output("objdump", "-d", "-r", "-M", "intel", "--no-show-raw-insn", "-j", ".text", path).splitlines():
            if match := RELOCATION.match(line):
                self.list[-1] = self.list[-1]._replace(symbol=match[1])
            elif match := CODE.match(line):
                name, operands = match[2], match[3]
                while name in PREFIXES and operands:
                    name, _, operands = operands.partition(" ")
                self.list.append(Instruction(int(match[1], 16), name, operands.strip(), None))
        self.index = {instruction.address: at for at, instruction in enumerate(self.list)}
        self.names = {address: name for name, address in self.labels.items()}
        self.targets = {self.target(i) for i in self.list if self.is_jump(i) and self.target(i) is not None}

    @staticmethod
    def is_jump(i):
        return i.name.startswith("j")

    @staticmethod
    def is_indirect(i):
        return (i.name.startswith("j") or i.name.startswith("call")) and not re.fullmatch(r"(0x)?[0-9a-f]+", i.operands)

    @staticmethod
    def is_return(i):
        return i.name.startswith(("ret", "iret"))

    def target(self, i):
        """Where a direct jump or call goes; None for an indirect one, or one out of this object."""
        if i.symbol is not None:
            return self.labels.get(i.symbol)
        return None if self.is_indirect(i) else int(i.operands, 16)

    def next(self, i):
        """The instructions that may follow. A call is followed into its target: RSB work never returns."""
        follow = []
        if i.name.startswith(("j", "call")) and not self.is_indirect(i):
            target = self.target(i)
            if target in self.index:
                follow.append(self.list[self.index[target]])
        ends = self.is_return(i) or i.name in ("jmp", "ud2", "int3") or i.name.startswith("call")
        at = self.index[i.address] + 1
        if not ends and at < len(self.list):
            follow.append(self.list[at])
        return follow

    def reach(self, starts, stop):
        """Every instruction on a way from the starts up to, and with, the first for which stop(i)."""
        seen, work = {}, list(starts)
        while work:
            i = work.pop()
            if i.address not in seen:
                seen[i.address] = i
                if not stop(i):
                    work += self.next(i)
        return [seen[address] for address in sorted(seen)]

    def at(self, label):
        return self.list[self.index[self.labels[label]]]

    def before(self, i):
        return self.list[self.index[i.address] - 1]

    def where(self, i):
        """vmx_enter+0x4d: jmp rax"""
        label, start = max(((name, address) for name, address in self.labels.items() if address <= i.address and
                            "." not in name), key=lambda pair: pair[1], default=("?", 0))
        return f"{label}+{i.address - start:#x}: {i.name} {i.operands}".rstrip()


def msr_numbers():
    text = (ROOT / "arch/defs/msr.h").read_text()
    found = dict(re.findall(r"^#define (MSR_\w+)\s+(0x[0-9a-f]+)", text, re.MULTILINE))
    return {int(number, 16): name for name, number in found.items() if name in STEP_OF_MSR}


def touches_memory(i):
    if i.name in STACK_USERS:
        return True
    return "PTR" in i.operands and i.name not in ("lea", "nop")


def msr_written(code, wrmsr, numbers):
    """The MSR of a WRMSR, from the immediate that was put into ecx last in straight line; None if that cannot be seen."""
    at = code.index[wrmsr.address] - 1
    while at >= 0:
        i = code.list[at]
        if match := re.fullmatch(r"[er]cx,(0x[0-9a-f]+)", i.operands):
            return numbers.get(int(match[1], 16)) if i.name == "mov" else None
        if i.name in ("cpuid", "rdtscp") or code.is_jump(i) or code.is_return(i):
            return None
        at -= 1
    return None


def step_of(code, i, numbers):
    if i.name == "wrmsr":
        return STEP_OF_MSR.get(msr_written(code, i, numbers))
    if i.symbol == FLUSH_BUFFER:
        return L1D_FLUSH
    if i.name == "verw":
        return VERW
    if i.name in ENTRIES:
        return ENTRY
    return REGISTERS if i.name == "mov" and LOAD.match(i.operands) else None


def after_registers(code, entry):
    """The instructions between the last load of a guest register and the entry, and that load (None if there is none)."""
    between, i = [], code.before(entry)
    while not LOAD.match(i.operands) and i.name != "jmp" and not code.is_return(i):
        between.insert(0, i)
        i = code.before(i)
    return between, i if LOAD.match(i.operands) else None


def tail_faults(code, entry):
    """The straight line before one VMLAUNCH or VMRESUME: 15 loads, VERW or not, nothing else."""
    between, i = after_registers(code, entry)
    verws = [j for j in between if j.name == "verw"]
    for verw in verws:
        if "PTR" not in verw.operands:
            yield f"VERW has no memory operand: only that form clears: {code.where(verw)}"
        for j in between:
            if j.address > verw.address:
                yield f"something stands between VERW and the entry: {code.where(j)}"
        for j in [*between, entry]:
            if j.address > verw.address and (j.address in code.targets or j.address in code.names):
                yield f"a jump may come between VERW and the entry: {code.where(j)}"
    for j in between:
        if j not in verws:
            kind = "a memory access" if touches_memory(j) else "an instruction"
            yield f"{kind} stands after the guest's registers: {code.where(j)}"
    if i is None:
        yield f"no load of the guest's registers before {code.where(entry)}"
        return
    loaded = []
    while match := LOAD.match(i.operands):
        loaded.append(match[1])
        if i.address in code.targets or i.address in code.names:
            break
        i = code.before(i)
    for register in sorted(GUEST_REGISTERS - set(loaded)):
        yield f"guest register {register} is not loaded in straight line before {code.where(entry)}"
    if loaded[0] != "rsi":
        yield f"rsi, the base of the others, is not the last guest register before {code.where(entry)}"


def entry_faults(code, numbers):
    leave = code.labels["vmx_leave"]

    def outside(i):
        return i.name in ENTRIES or i.address == leave

    def after(i):
        return [j for j in code.reach(code.next(i), outside) if j.address != leave]

    region = [i for i in code.reach([code.at("vmx_enter")], outside) if i.address != leave]
    steps = [(i, step_of(code, i, numbers)) for i in region]
    steps = [(i, step) for i, step in steps if step]
    present = {step for _, step in steps}
    for step, name in STEP_NAMES.items():
        if step not in present:
            yield f"the {name} is missing"
    if not any(i.symbol == FLUSH_BUFFER for i in region):
        yield "the L1D flush by software is missing"
    for i in region:
        if i.name == "wrmsr" and not step_of(code, i, numbers):
            yield f"WRMSR of an MSR that is no step of the entry: {code.where(i)}"
    for i, step in steps:
        for j in after(i):
            later = step_of(code, j, numbers)
            if later and later < step:
                yield f"order: {STEP_NAMES[later]} comes after {STEP_NAMES[step]}: {code.where(j)}"
    for i, step in steps:
        if step == SPEC_CTRL:
            for j in after(i):
                if code.is_return(j) or j.name.startswith("call") or code.is_indirect(j):
                    yield f"ret, call or indirect jump between SPEC_CTRL and the entry: {code.where(j)}"
        if step == L1D_FLUSH:
            for j in after(i):
                base = BASE.search(j.operands)
                if j.name in STACK_USERS or (touches_memory(j) and j.name != "verw" and
                                             (base is None or base[1] not in BASES_AFTER_FLUSH)):
                    yield f"memory other than plan, registers and flush buffer after the L1D flush: {code.where(j)}"
    window = range(code.labels["vmx_enter_window_begin"], code.labels["vmx_enter_window_end"])
    for i, step in steps:
        if (step >= REGISTERS or step == L1D_FLUSH) and i.address not in window:
            yield f"{STEP_NAMES[step]} lies outside the window that an NMI restarts: {code.where(i)}"
    for i in region:
        if i.name == "hlt" and [code.before(i).name, code.before(code.before(i)).name] != ["sti", "verw"]:
            yield f"no VERW, STI right before the sleep: {code.where(i)}"
    entries = [i for i in region if i.name in ENTRIES]
    for name in ENTRIES:
        kinds = {any(j.name == "verw" for j in after_registers(code, i)[0]) for i in entries if i.name == name}
        for verw in {True, False} - kinds:
            yield f"no {name.upper()} {'after' if verw else 'without'} VERW"
    for i in entries:
        yield from tail_faults(code, i)


def is_rsb_work(code, call):
    """call over; int3; over: never returned from, and speculation that follows a stale entry stops."""
    at = code.index[call.address]
    return not code.is_indirect(call) and at + 2 < len(code.list) and code.list[at + 1].name == "int3" and \
        code.target(call) == code.list[at + 2].address


def rsb_runs(code, calls):
    """Lengths of the runs of RSB calls that follow one another directly."""
    runs, last = [], None
    for call in calls:
        if last is not None and code.target(last) == call.address:
            runs[-1] += 1
        else:
            runs.append(1)
        last = call
    return runs


def exit_faults(code, numbers):
    starts = [code.at(label) for label in ("vmx_exit", "vmx_enter_failed", "vmx_leave")]
    region = code.reach(starts, lambda i: i.name == "lfence" or code.is_return(i) or code.is_indirect(i))
    calls = [i for i in region if i.name.startswith("call") and is_rsb_work(code, i)]
    fences = [i for i in region if i.name == "lfence"]
    writes = [i for i in region if i.name == "wrmsr"]
    for i in region:
        if code.is_return(i):
            yield f"ret before LFENCE after the exit: {code.where(i)}"
        elif code.is_indirect(i):
            yield f"indirect branch before LFENCE after the exit: {code.where(i)}"
        elif i.name.startswith("call") and i not in calls:
            yield f"a call that is no RSB work before LFENCE after the exit: {code.where(i)}"
    for i in writes:
        if msr_written(code, i, numbers) not in ("MSR_IA32_SPEC_CTRL", "MSR_IA32_MCU_OPT_CTRL"):
            yield f"WRMSR of an MSR that is no step of the exit: {code.where(i)}"
    if not fences:
        yield "no LFENCE after the exit"
    if not any(msr_written(code, i, numbers) == "MSR_IA32_SPEC_CTRL" for i in writes):
        yield "the host's SPEC_CTRL write is missing after the exit"
    if sorted(rsb_runs(code, calls)) != [1, RSB_ENTRIES]:
        yield f"the RSB work after the exit is not one run of {RSB_ENTRIES} calls and one of 1: {rsb_runs(code, calls)}"
    for i in calls:
        for j in code.reach(code.next(i), lambda k: k.name == "lfence" or code.is_return(k)):
            if j.name == "wrmsr":
                yield f"order: the host's SPEC_CTRL comes after the RSB work: {code.where(j)}"
    clean = set()
    for i in code.list[code.index[code.labels["vmx_leave"]]:]:
        if code.is_jump(i) or i.name in ("wrmsr", "lfence") or i.name.startswith("call"):
            break
        if i.name == "pop":
            clean.add(i.operands)
        elif match := re.fullmatch(r"e(\w\w),e\1|(r\d+)d?,\2d?", i.operands):
            if i.name == "xor":
                clean.add(match[2] or f"r{match[1]}")
    for register in sorted(CLEAN_ON_EXIT - clean):
        yield f"guest register {register} is neither zeroed nor C's again at vmx_leave"


def faults(path):
    """What is wrong with an object file, each fault once."""
    code = Code(path)
    missing = [label for label in LABELS if label not in code.labels]
    if missing:
        return [f"no label {label}: nothing can be checked" for label in missing]
    numbers = msr_numbers()
    return list(dict.fromkeys([*entry_faults(code, numbers), *exit_faults(code, numbers)]))


def self_test():
    """Every fixture, by name: (passed, what it said)."""
    for source in sorted(FIXTURES.glob("*.asm")):
        expected = re.search(r"^; expect: (.+)$", source.read_text(), re.MULTILINE)[1]
        with tempfile.TemporaryDirectory() as folder:
            built = f"{folder}/fixture.o"
            subprocess.run(["nasm", "-f", "elf64", "-I", "./", "-I", "build/gen/", "-o", built, source], check=True,
                           cwd=ROOT)
            found = faults(built)
        yield source.name, any(expected in fault for fault in found), expected, found


def main(arguments):
    if arguments == ["--self-test"]:
        results = list(self_test())
        for name, good, expected, found in results:
            print(f"{name}: {'refused' if good else 'NOT refused as it should be'}: {expected}")
            if not good:
                print("\n".join(f"    said: {fault}" for fault in found) or "    said nothing")
        return 0 if results and all(good for _, good, _, _ in results) else 1
    if len(arguments) != 1:
        print(__doc__)
        return 2
    found = faults(arguments[0])
    for fault in found:
        print(f"{arguments[0]}: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
