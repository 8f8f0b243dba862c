"""Plants a fault in a clean trace of traces/, so that it can be seen whether an audit finds it.

    plant.py --list     the faults: `NAME RULE`, the rule that each breaks; and the clean traces: `NAME -`
    plant.py NAME       the trace with this fault, on standard output

A fault is what the hypervisor would have written had it done wrong there; all else stays as it was."""

import pathlib
import re
import sys

TRACES = pathlib.Path(__file__).resolve().parent / "traces"


def trace(name):
    return (TRACES / f"{name}.txt").read_text().splitlines()


def has(row, **wanted):
    """Whether the row's keys match these regular expressions."""
    values = dict(word.split("=", 1) for word in row.split()[1:])
    return all(key in values and re.fullmatch(pattern, values[key]) for key, pattern in wanted.items())


def put(row, **new):
    for key, value in new.items():
        row, count = re.subn(rf" {key}=\S+", f" {key}={value}", row)
        assert count == 1, f"{key} in {row}"
    return row


def find(rows, word, after=0, **wanted):
    """The number of the first such row from number `after` on."""
    for i in range(after, len(rows)):
        if rows[i].startswith(word + " ") and has(rows[i], **wanted):
            return i
    raise LookupError(f"no {word} row with {wanted}")


def done(rows, knob, new):
    return find(rows, "mode", knob=knob, new=new, phase="done")


FAULTS = {}


def fault(rule, source):
    def register(plant):
        FAULTS[plant.__name__.replace("_", "-")] = (rule, source, plant)
        return plant
    return register


# ---- promises.txt: told under cond; never, one VM acknowledges, the other runs into force; then always ----

@fault("G1", "promises")
def owed_vm_not_flushed(rows):
    i = find(rows, "entry", find(rows, "state"), why=r".*owed.*")
    rows[i] = put(rows[i], l1d="none", why="-")


@fault("G1", "promises")
def owed_flush_skipped_after_nmi(rows):
    i = find(rows, "entry", find(rows, "state"), vcpu=r"noack\.0", l1d="skip")
    rows[i] = put(rows[i], flags="nmi")


@fault("G1", "promises")
def flush_without_reason(rows):
    i = find(rows, "entry", l1d="soft", why=r".*owed")
    rows[i] = put(rows[i], why="-")


@fault("G1", "promises")
def debt_dropped_without_ack(rows):
    del rows[find(rows, "ack", vm="probe0")]


@fault("G1", "promises")
def debt_ended_by_reading_0(rows):
    i = find(rows, "ack", vm="probe0")
    row = rows[i].replace("ack ", "capread ", 1).replace(" vm=probe0 ", " vcpu=probe0.0 ")
    rows[i] = row + " told_now=0"


@fault("G1", "promises")
def told_and_not_remembered(rows):
    """probe0 reads 1 again under `never`, after its acknowledgement, and is not flushed for it."""
    i = find(rows, "capread", find(rows, "ack"), vcpu=r"probe0\.0")
    value = int(re.search(r"value=(\S+)", rows[i])[1], 0) | 8
    rows[i] = put(rows[i], value=hex(value), told_now="1")


@fault("G1", "promises")
def owed_without_debt(rows):
    i = find(rows, "entry", find(rows, "ack") + 20, vcpu=r"probe0\.0", l1d="none")
    rows[i] = put(rows[i], l1d="soft", why="host+owed")


@fault("G1", "promises")
def broken_without_force(rows):
    i = find(rows, "entry", find(rows, "ack") + 20, vcpu=r"probe0\.0")
    rows[i] = put(rows[i], flags="broken")


@fault("G1", "promises")
def breach_not_marked(rows):
    i = find(rows, "entry", done(rows, "vmentry_l1d_flush", "never") + 20, flags="broken")
    rows[i] = put(rows[i], flags="-")


@fault("G1", "promises")
def skipped_under_always(rows):
    i = find(rows, "entry", done(rows, "vmentry_l1d_flush", "always"), mode="always")
    rows[i] = put(rows[i], l1d="skip", why="-")


@fault("G5", "promises")
def entry_under_replaced_policy(rows):
    at = done(rows, "vmentry_l1d_flush", "always")
    old = int(re.search(r"gen=(\d+)", rows[at])[1]) - 1
    i = find(rows, "entry", at, cpu="1")
    rows[i] = put(rows[i], gen=old)


@fault("G5", "promises")
def ok_before_the_last_pcpu(rows):
    """`done` comes while the other pCPU still enters under the old policy."""
    at = done(rows, "vmentry_l1d_flush", "always")
    before = max(i for i in range(at) if rows[i].startswith("entry ") and has(rows[i], cpu="1", gen=r"8"))
    tsc = int(re.search(r"tsc=(\d+)", rows[before])[1])
    begin = find(rows, "mode", phase="begin", new="always")
    rows[begin] = put(rows[begin], tsc=tsc - 2)
    rows[at] = put(rows[at], tsc=tsc - 1)
    rows.sort(key=lambda row: tuple(int(re.search(rf"{key}=(\d+)", row)[1]) for key in ("tsc", "cpu")))


@fault("G5", "promises")
def old_mode_after_done(rows):
    i = find(rows, "entry", find(rows, "state", done(rows, "vmentry_l1d_flush", "always")), mode="always")
    rows[i] = put(rows[i], mode="cond", l1d="soft", why="host")


@fault("G5", "promises")
def vcpu_reads_another_value(rows):
    i = find(rows, "capread", find(rows, "state"), vcpu=r"noack\.0")
    rows[i] = put(rows[i], value=hex(int(re.search(r"value=(\S+)", rows[i])[1], 0) | 8))


@fault("G5", "promises")
def bit_shown_under_never(rows):
    i = find(rows, "entry", find(rows, "state"), vcpu=r"noack\.0", mode="never")
    rows[i] = put(rows[i], caps=hex(int(re.search(r"caps=(\S+)", rows[i])[1], 0) | 8))


@fault("G3", "promises")
def no_verw(rows):
    i = find(rows, "entry", find(rows, "state"), verw="1", l1d="skip")
    rows[i] = put(rows[i], verw="0")


@fault("rows", "promises")
def entry_missing(rows):
    del rows[find(rows, "entry", find(rows, "state"), l1d="skip")]


@fault("G4", "promises")
def register_that_does_not_exist(rows):
    i = find(rows, "entry", find(rows, "state"), mcu="absent")
    rows[i] = put(rows[i], mcu="0x8")


# ---- switch.txt: two VMs on one pCPU, under cond ----

@fault("G1", "switch")
def flush_skipped_after_switch(rows):
    i = find(rows, "entry", find(rows, "state"), l1d="soft", why="switch")
    rows[i] = put(rows[i], l1d="skip", why="-")


@fault("G1", "switch")
def no_flush_under_cond(rows):
    i = find(rows, "entry", find(rows, "state"), l1d="soft", why="host")
    rows[i] = put(rows[i], l1d="none", why="-")


# ---- fb_clear.txt: one VM with fb_clear, one that wants VERW fast, on one pCPU; each strategy ----

def fast(rows, strategy, **wanted):
    at = find(rows, "state", strategy=strategy, settled="1", verw="auto")
    return find(rows, "entry", at, vcpu=r"fast\.0", dis="1", **wanted)


@fault("G2", "fb_clear")
def fb_clear_vm_with_dis(rows):
    i = find(rows, "entry", find(rows, "state"), vcpu=r"clear\.0", dis="0")
    rows[i] = put(rows[i], dis="1")


@fault("G2", "fb_clear")
def dis_left_behind(rows):
    """The other VM's FB_CLEAR_DIS stays in the register: a compare with the vCPU's last wish, not with the pCPU's."""
    i = find(rows, "entry", fast(rows, "cached", mcu=r"0x8"), vcpu=r"clear\.0", mcu="0x0")
    rows[i] = put(rows[i], mcu="keep")


@fault("G3", "fb_clear")
def dis_set_before_verw(rows):
    at = find(rows, "state", verw="on")
    i = find(rows, "entry", at, vcpu=r"fast\.0", verw="1")
    rows[i] = put(rows[i], mcu="0x8", dis="1")


@fault("G4", "fb_clear")
def written_though_unchanged(rows):
    i = fast(rows, "cached", mcu="keep")
    rows[i] = put(rows[i], mcu="0x8")


@fault("G4", "fb_clear")
def other_bit_changed(rows):
    i = fast(rows, "cached", mcu=r"0x8")
    rows[i] = put(rows[i], mcu="0x18")


@fault("G4", "fb_clear")
def toggle_did_not_write(rows):
    i = fast(rows, "toggle", mcu=r"0x8")
    rows[i] = put(rows[i], mcu="keep")


@fault("G4", "fb_clear")
def msrlist_by_instruction(rows):
    i = fast(rows, "msrlist", mcu="keep")
    rows[i] = put(rows[i], mcu="0x8")


@fault("G4", "fb_clear")
def dis_without_a_write(rows):
    i = fast(rows, "cached", mcu=r"0x8")
    rows[i] = put(rows[i], mcu="keep")


def main():
    if sys.argv[1:] == ["--list"]:
        for name in sorted({source for _, source, _ in FAULTS.values()}):
            print(name, "-")
        for name, (rule, _, _) in FAULTS.items():
            print(name, rule)
        return
    name = sys.argv[1]
    if name in FAULTS:
        _, source, plant = FAULTS[name]
        rows = trace(source)
        plant(rows)
    else:
        rows = trace(name)
    print("\n".join(rows))


if __name__ == "__main__":
    main()
