"""Audits a saved trace: reads rows as `trace N` prints them (interface.md 7), re-derives what each entry had to do
(interface.md 5 and 6), prints the violations and the row `audit entries=.. violations=.. lost=..`, as the command
`audit` does. Written from the interface alone; nothing of the hypervisor is used.

    audit.py [FILE]         standard input without FILE; lines that are no rows are passed over
    audit.py --rules [FILE] the names of the rules that are broken, one a line

Exits 1 if there are violations or rows were lost. How rows of different pCPUs are compared: hv/trace.h, "Time". In short:
a promise row happened between tsc and until, and policies from gen on know of it; an entry knew all that was published
up to its gen, and all that was over when the row before it on its pCPU was written, and nothing that began after its
tsc."""

import dataclasses
import sys

SKIP_L1DFL_VMENTRY, MDS_NO, FB_CLEAR = 1 << 3, 1 << 5, 1 << 17
FB_CLEAR_DIS = 1 << 3
WORDS = ("entry", "mode", "capread", "ack", "reset", "state")
KNOBS = ("vmentry_l1d_flush", "verw", "fb_clear_dis")
FLUSHES = ("msr", "soft")
SHOWN = 20


class Row(dict):
    """One row: its word, its keys as text; num() for numbers."""

    def __init__(self, line):
        self.word, *pairs = line.split()
        super().__init__(pair.split("=", 1) for pair in pairs)
        self.cpu, self.tsc, self.gen = self.num("cpu"), self.num("tsc"), self.num("gen")

    def num(self, key):
        return int(self[key], 0)

    def names(self, key, separator):
        return [] if self[key] == "-" else self[key].split(separator)


def rows_of(lines):
    for line in lines:
        word = line.partition(" ")[0]
        if word in WORDS and " cpu=" in line and " tsc=" in line:
            yield Row(line)


@dataclasses.dataclass
class Since:
    """A value that entries have from a policy on; None: not known."""
    value: object = None
    gen: int = 0

    def at(self, gen):
        return self.value if gen >= self.gen else None


@dataclasses.dataclass
class Cpu:
    entry: Row = None  # the last one
    tsc: int = 0  # of the last row
    mcu: int = None  # IA32_MCU_OPT_CTRL in root mode
    unserved: bool = False  # a reason to flush came, and no flush after it
    reading: tuple = None  # a capread that the next row settles: VM, value, era


@dataclasses.dataclass
class Vm:
    """owed: the policy, and the time, from which on entries must flush. relies, broken: None for unknown."""
    owed: tuple = None
    relies: bool = None
    broken: bool = None
    freed: tuple = (0, 0)  # the policy, and the time, from which on entries know of the end of the last debt or breach
    ended: int = 0  # until when that went on
    told: int = 0  # until when the last reading of a 1 went on
    caps: int = None
    start_bit: int = None
    md_clear: bool = None
    fixed: bool = None
    homes: dict = dataclasses.field(default_factory=dict)  # vCPU -> pCPU where it ran last
    reset_seen: bool = False


class Audit:
    def __init__(self, lost):
        self.entries = 0
        self.lost = lost  # rows were overwritten while the trace was printed: a gap is no fault then
        self.violations = []  # (rule, row, why)
        self.machine = None  # the last state row
        self.forget()

    def forget(self):
        self.cpus, self.vms = {}, {}
        self.knobs = {knob: Since() for knob in KNOBS}
        self.strategy, self.shows = Since(), Since()
        self.done = None  # the newest mode row with phase=done
        self.setting = False
        self.forcing = None
        self.era = 0

    def cpu(self, row):
        return self.cpus.setdefault(row.cpu, Cpu())

    def vm(self, name):
        return self.vms.setdefault(name, Vm())

    def fact(self, key):
        return self.machine is not None and self.machine[key] == "1"

    def effective(self, requested):
        if requested in ("cond", "always"):
            return requested
        if self.fact("l1d_needed"):
            return {"auto": "cond", "never": "never"}[requested]
        return "not-required"

    def feed(self, row):
        if self.lost and row.word == "entry" and self.gap(row):
            self.forget()
        found = dict(self.settle_reading(row))
        for rule, why in getattr(self, row.word)(row):
            found.setdefault(rule, why)
        self.cpu(row).tsc = row.tsc
        self.violations += [(rule, row, found[rule]) for rule in sorted(found, key=lambda rule: (rule != "rows", rule))]

    def gap(self, row):
        before = self.cpu(row).entry
        return before is not None and row.num("n") != before.num("n") + 1

    # ---- knobs ----

    def mode(self, row):
        self.era += 1
        knob = row["knob"]
        self.setting = row["phase"] == "begin"
        if knob == "vmentry_l1d_flush":
            self.shows = Since()
        if knob == "fb_clear_dis":
            self.strategy = Since()
        if self.setting:
            self.knobs[knob] = Since()
            if row["force"] == "1":
                self.forcing = row
            return ()
        self.knobs[knob] = Since(row["new"], row.gen)
        self.done = row
        if row["force"] == "1":
            self.force(row)
        return ()

    def force(self, row):
        """Debts are dropped if the new mode leaves any."""
        began = self.forcing.tsc if self.forcing else 0
        self.forcing = None
        if self.machine and self.effective(row["new"]) != "never":
            return
        for vm in self.vms.values():
            if vm.relies is False:
                continue
            vm.broken = True if vm.owed is not None and vm.told < began else None
            vm.owed = vm.relies = None
            vm.ended, vm.freed = row.tsc, (row.gen, row.tsc)

    # ---- promises ----

    @staticmethod
    def tell(vm, tsc, until, gen):
        vm.told = max(vm.told, until)
        if tsc > vm.ended:
            vm.relies = True
            gens, untils = zip((gen, until), vm.owed or (gen, until))
            vm.owed = min(gens), min(untils)
        elif vm.relies is False:
            vm.relies = None

    def capread(self, row):
        name = row["vcpu"].rpartition(".")[0]
        vm, value = self.vm(name), row.num("value")
        if vm.caps is not None and value & ~SKIP_L1DFL_VMENTRY != vm.caps:
            yield "G5", "a value that is not the vm's was read"
        if vm.fixed and vm.start_bit is not None and value & SKIP_L1DFL_VMENTRY != vm.start_bit:
            yield "G5", "the bit of a fixed value was read otherwise than at the start"
        if value & SKIP_L1DFL_VMENTRY:
            self.tell(vm, row.tsc, row.num("until"), row.gen + (row["told_now"] == "0"))
        self.cpu(row).reading = None if self.setting else (vm, value, self.era)

    def settle_reading(self, row):
        """What was read is compared with the knob once it is sure that no `set` was under way."""
        cpu = self.cpu(row)
        reading, cpu.reading = cpu.reading, None
        if not reading:
            return
        vm, value, era = reading
        if era == self.era and self.shows.value is not None and vm.fixed is False \
                and bool(value & SKIP_L1DFL_VMENTRY) != self.shows.value:
            yield "G5", "the bit was read otherwise than the knob says"

    def ack(self, row):
        vm = self.vm(row["vm"])
        if row.num("value") & SKIP_L1DFL_VMENTRY:
            if vm.broken and vm.relies is not False:
                vm.broken = None
            return ()
        vm.relies = None if vm.told >= row.tsc else False
        vm.owed, vm.broken = None, False
        vm.ended, vm.freed = row.num("until"), (row.gen, row.num("until"))
        return ()

    def reset(self, row):
        value = row.num("value")
        self.vms[row["vm"]] = Vm(relies=False, broken=False, ended=row.num("until"), caps=value & ~SKIP_L1DFL_VMENTRY,
                                 start_bit=value & SKIP_L1DFL_VMENTRY, reset_seen=True)
        return ()

    # ---- state ----

    def state(self, row):
        self.machine = row
        self.cpu(row).mcu = None if row["mcu"] == "absent" else row.num("mcu")
        if self.setting or row["settled"] == "0":
            return ()
        for knob, since in self.knobs.items():
            if since.value is None:
                self.knobs[knob] = Since(row[knob], row.gen)
        if self.strategy.value is None:
            self.strategy = Since(row["strategy"], row.gen)
        if self.shows.value is None:
            self.shows = Since(self.effective(row["vmentry_l1d_flush"]) != "never", row.gen)
        for key in row:
            if key.startswith("told."):
                self.state_of_vm(row, key[len("told."):])
        return ()

    def state_of_vm(self, row, name):
        vm = self.vm(name)
        if row.tsc <= vm.ended:
            return
        if vm.fixed is None:
            vm.fixed = name in row.names("fixed", ",")
            vm.md_clear = name in row.names("md_clear", ",")
        if row["told." + name] != "-":
            self.tell(vm, row.tsc, row.num("until"), row.gen + 1)
        elif vm.relies is None and vm.told < row.tsc:
            vm.relies, vm.freed = False, (row.gen + 1, row.num("until"))
        if vm.broken is None:
            vm.broken, vm.freed = name in row.names("broken", ","), (row.gen + 1, row.num("until"))

    # ---- entries ----

    def entry(self, row):
        self.entries += 1
        cpu = self.cpu(row)
        name, _, index = row["vcpu"].rpartition(".")
        vm = self.vm(name)
        if self.gap(row):
            yield "rows", "entries are missing before this one"
        cpu.unserved |= self.reason_shown(row, cpu, vm, index)
        yield from self.policy(row, cpu, vm)
        yield from self.l1d(row, cpu, vm)
        yield from self.mcu(row, cpu)
        yield from self.buffers(row, cpu, vm)
        self.entered(row, cpu, vm, index)

    @staticmethod
    def reason_shown(row, cpu, vm, index):
        before, home = cpu.entry, vm.homes.get(index)
        return bool(
            (before and (before["vcpu"] != row["vcpu"] or before["mode"] != row["mode"]))
            or (home is not None and home != row.cpu) or (home is None and vm.reset_seen)
            or "nmi" in row.names("flags", "+") or row["after"] == "external_interrupt")

    @staticmethod
    def comes_after(row, cpu, since):
        """By its policy, or because the row before it on its pCPU does."""
        gen, until = since
        return row.gen >= gen or cpu.tsc >= until

    def policy(self, row, cpu, vm):
        value = row.num("caps")
        bit = value & SKIP_L1DFL_VMENTRY
        if self.done and row.tsc > self.done.tsc and row.gen < self.done.gen:
            yield "G5", "entered under a policy that had been replaced"
        if cpu.entry and row.gen < cpu.entry.gen:
            yield "G5", "entered under an older policy than the entry before"
        requested = self.knobs["vmentry_l1d_flush"].at(row.gen)
        if self.machine and requested and row["mode"] != self.effective(requested):
            yield "G5", "entered in another mode than was set"
        if vm.caps is not None and value & ~SKIP_L1DFL_VMENTRY != vm.caps:
            yield "G5", "the vm's value is not that of its start"
        if vm.fixed and vm.start_bit is not None and bit != vm.start_bit:
            yield "G5", "the bit of a fixed value has moved"
        if vm.fixed is False and self.shows.at(row.gen) not in (None, bool(bit)):
            yield "G5", "the vm's bit is not what the knob says"

    def l1d(self, row, cpu, vm):
        mode, did, why = row["mode"], row["l1d"], row.names("why", "+")
        broken = "broken" in row.names("flags", "+")
        owed = self.fact("l1d_needed") and vm.owed and self.comes_after(row, cpu, vm.owed) and not self.forcing
        if did == "none" and (owed or mode in ("cond", "always")):
            yield "G1", "the vm is owed a flush, or the mode flushes, and the l1d was left alone"
        if did == "skip" and (mode == "always" or (cpu.unserved and (owed or mode == "cond"))):
            yield "G1", "skipped though due"
        if (did in FLUSHES) != bool(why):
            yield "G1", "why= does not go with l1d="
        if why and (("always" in why) != (mode == "always") or ("owed" in why) != (mode == "never")):
            yield "G1", "why= does not go with the mode"
        if not self.comes_after(row, cpu, vm.freed) or self.forcing:
            return
        if "owed" in why and vm.relies is False and not row.num("caps") & SKIP_L1DFL_VMENTRY:
            yield "G1", "owed, but nobody was told, nor can be"
        if broken and vm.broken is False:
            yield "G1", "broken, but no force"
        if vm.broken and not broken and self.shows.at(row.gen) is not None:
            yield "G1", "a broken promise is not marked"

    def mcu(self, row, cpu):
        """How the register came to what it is, and whether the strategy allows it."""
        strategy, dis = self.strategy.at(row.gen), row["dis"] == "1"
        written = row.num("mcu") if row["mcu"] not in ("keep", "absent") else None
        if written is not None:
            if self.machine and self.machine["mcu"] == "absent":
                yield "G4", "an msr was written that does not exist"
            if cpu.mcu is not None and (written ^ cpu.mcu) & ~FB_CLEAR_DIS:
                yield "G4", "a bit other than FB_CLEAR_DIS was changed"
            if strategy == "cached" and written == cpu.mcu and "nmi" not in row.names("flags", "+"):
                yield "G4", "written though the value had not changed"
            cpu.mcu = written
        if dis and self.machine and not self.fact("fb_clear_ctrl"):
            yield "G4", "dis=1 without fb_clear_ctrl"
        if cpu.mcu is None:
            return
        root = bool(cpu.mcu & FB_CLEAR_DIS)
        wrong = {"cached": dis != root, "toggle": dis != root or (dis and written is None), "msrlist": root,
                 "off": dis or root}
        if wrong.get(strategy):
            yield "G4", f"FB_CLEAR_DIS is not as {strategy} has it"

    def buffers(self, row, cpu, vm):
        caps, dis, verw = row.num("caps"), row["dis"] == "1", row["verw"] == "1"
        root = cpu.mcu is not None and bool(cpu.mcu & FB_CLEAR_DIS)
        if vm.md_clear is not None and (caps & FB_CLEAR or (not caps & MDS_NO and vm.md_clear)) and (dis or root):
            yield "G2", "the vm has fb_clear and runs with FB_CLEAR_DIS"
        knob = self.knobs["verw"].at(row.gen)
        if not verw and (knob == "on" or (knob == "auto" and self.fact("verw_needed"))):
            yield "G3", "the host needs verw, and there was none"
        if verw and (root or (dis and self.strategy.at(row.gen) not in (None, "msrlist"))):
            yield "G3", "verw ran with FB_CLEAR_DIS"

    def entered(self, row, cpu, vm, index):
        cpu.entry = row
        vm.homes[index] = row.cpu
        if "failed" in row.names("flags", "+"):
            cpu.unserved = True
        elif row["l1d"] in FLUSHES and row["mode"] != "always":
            cpu.unserved = False
        if row["dis"] == "1":
            strategy = self.strategy.at(row.gen)
            if strategy is None:
                cpu.mcu = None
            elif strategy == "toggle" and cpu.mcu is not None:
                cpu.mcu &= ~FB_CLEAR_DIS


def main():
    words = sys.argv[1:]
    rules_only = words[:1] == ["--rules"]
    files = words[rules_only:]
    lines = (open(files[0]) if files else sys.stdin).read().splitlines()
    lost = sum(int(line.partition("=")[2]) for line in lines if line.startswith("trace lost="))
    audit = Audit(lost)
    for row in rows_of(lines):
        audit.feed(row)
    if rules_only:
        print("\n".join(sorted({rule for rule, _, _ in audit.violations})))
    else:
        for rule, row, why in audit.violations[:SHOWN]:
            print(f'violation rule={rule} cpu={row.cpu} n={row.get("n", "-")} vcpu={row.get("vcpu", "-")} why="{why}"')
        if len(audit.violations) > SHOWN:
            print(f"violations more={len(audit.violations) - SHOWN}")
        print(f"audit entries={audit.entries} violations={len(audit.violations)} lost={lost}")
    sys.exit(1 if audit.violations or lost else 0)


if __name__ == "__main__":
    main()
