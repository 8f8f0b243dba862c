"""What the traps want of code that no test can run: small checks of the built objects, each with its trap's number.

    structure.py [N ...]   prints each fault, one a line; exits 1 if there is one. Needs a finished build."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lint"))
from entry_shape import Code, output

BUILD = ROOT / "build"
KIB = 1024


def trap8():
    """All ways back from an entry, the failed ones too, go through vmx_leave, which sets the host's registers."""
    code = Code(BUILD / "arch/vmx_enter.o")
    leave = code.labels["vmx_leave"]
    for label in ("vmx_enter_failed", "vmx_enter_restart", "vmx_exit"):
        way = code.reach([code.at(label)], lambda i: i.address == leave)
        if not any(i.address == leave for i in way):
            yield f"{label} does not come to vmx_leave"
        yield from (f"{label} leaves without vmx_leave: {code.where(i)}" for i in way
                    if code.is_return(i) or code.is_indirect(i) or
                    (i.name.startswith("j") and leave < (code.target(i) or 0)))


def nmi_handler():
    code = Code(BUILD / "arch/trap_entry.o")
    return code, code.reach([code.at("trap_nmi")], lambda i: i.name.startswith("iret"))


def trap9():
    """An NMI of the window is sent to the restart; one from before it is looked for once the window has begun."""
    code, handler = nmi_handler()
    symbols = {i.symbol for i in handler}
    for label in ("vmx_enter_window_begin", "vmx_enter_window_end"):
        if label not in symbols:
            yield f"the NMI handler does not compare with {label}"
    if not any(i.name == "mov" and "[rsp+0x8]" in i.operands and i.symbol == "vmx_enter_restart" for i in handler):
        yield "the NMI handler does not return to vmx_enter_restart"
    code = Code(BUILD / "arch/vmx_enter.o")
    test = code.at("vmx_enter_window_begin")
    jump = code.list[code.index[test.address] + 1]
    if test.name != "cmp" or "gs:" not in test.operands or code.target(jump) != code.labels["vmx_enter_restart"]:
        yield f"the window does not begin with the test of nmi_pending: {code.where(test)}"


def trap10():
    """The NMI handler may run under the guest's SPEC_CTRL and MCU_OPT_CTRL: nothing in it can be led astray."""
    code, handler = nmi_handler()
    for i in handler:
        if i.name.startswith("call") or code.is_indirect(i) or (code.is_return(i) and not i.name.startswith("iret")):
            yield f"ret, call or indirect jump in the NMI handler: {code.where(i)}"


def calls(path, function):
    """How often the object refers to a function of another one."""
    return len(re.findall(rf"R_X86_64_\S+\s+{function}\b", output("objdump", "-dr", path)))


def trap24():
    """An entry takes up the policy once, and looks at the VM's promise once."""
    path = BUILD / "hv/vcpu_run.o"
    if calls(path, "regime_now"):
        yield "hv/vcpu_run.c reads the policy in force by regime_now(), not once by regime_enter()"
    if calls(path, "regime_enter") != 1:
        yield f"hv/vcpu_run.c calls regime_enter {calls(path, 'regime_enter')} times"
    plan = re.search(r"^static void make_plan\(.*?^}", (ROOT / "hv/vcpu_run.c").read_text(), re.MULTILINE | re.DOTALL)
    if plan[0].count("promise_word_get(") != 1:
        yield "make_plan() of hv/vcpu_run.c does not look at the VM's promise once"


def trap27():
    """The buffer of the flush by software: in one piece, aligned, twice the L1D, and all of it is read."""
    symbols = output("nm", "-S", BUILD / "sluice.elf")
    found = re.search(r"^([0-9a-f]+) ([0-9a-f]+) \w l1d_flush_buffer$", symbols, re.MULTILINE)
    offsets = dict(re.findall(r"^%define (L1D_\w+) (\d+)$", (BUILD / "gen/offsets.inc").read_text(), re.MULTILINE))
    size, pages, line, turn = (int(offsets[f"L1D_{name}"]) for name in
                               ("FLUSH_BYTES", "FLUSH_PAGES", "LINE_BYTES", "FLUSH_LINES_PER_TURN"))
    if not found or int(found[2], 16) < 64 * KIB or int(found[2], 16) != size:
        yield f"l1d_flush_buffer has not the 64 KiB that are read: {found and found[0]}, {size} bytes"
    elif int(found[1], 16) % (4 * KIB):
        yield f"l1d_flush_buffer is not aligned: {found[0]}"
    if line != 64 or pages * 4 * KIB != size or size % (line * turn):
        yield f"not every line of the buffer is read: {offsets}"


def listing(path):
    return output("objdump", "-d", "-M", "intel", "--no-show-raw-insn", path)


def trap35():
    """A vCPU that comes to a pCPU: its stale translations and those of its EPT go."""
    for name in ("invvpid", "invept"):
        if not re.search(rf"\t{name}\b", listing(BUILD / "hv/vcpu_switch.o")):
            yield f"no {name.upper()} in hv/vcpu_switch.c"


def trap36():
    """An instruction that is emulated under TF leaves a single step pending."""
    text = (ROOT / "arch/defs/vmcs.def").read_text()
    field = re.search(r"\((0x[0-9a-f]+), GUEST_PENDING_DEBUG\b", text)[1]
    if not re.search(rf"\tmov\s+\w+,{field}\b", listing(BUILD / "hv/vcpu.o")):
        yield "hv/vcpu.c never writes the guest's pending debug exceptions"


def trap38():
    """Both sides of the handshake have a full fence between their store and their load."""
    text = listing(BUILD / "hv/handshake.o")
    for function, wanted in (("handshake_enter", 1), ("handshake_publish", 2)):
        body = re.search(rf"<{function}>:\n(.*?)(?:\n\n|\Z)", text, re.DOTALL)
        fences = re.findall(r"\t(mfence|lock \w+)", body[1] if body else "")
        if len(fences) < wanted:
            yield f"{function}: the fence is missing: {fences}"


CHECKS = {int(name[4:]): check for name, check in list(globals().items()) if re.fullmatch(r"trap\d+", name)}


def main(arguments):
    found = False
    for number in map(int, arguments or CHECKS):
        try:
            faults = list(CHECKS[number]())
        except (KeyError, AttributeError, TypeError, OSError, subprocess.CalledProcessError) as missing:
            faults = [f"nothing to check: {missing!r}"]
        for fault in faults:
            found = True
            print(f"trap {number}: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
