"""The rows that compare: guests answer questions under QEMU's own emulation and under Sluice, and must answer alike. Each
section of tests/compare/*.ini is one run of Sluice:

    [name]              the row is compare/NAME
    machine = cpus = cmdline = seconds =   as in tests/emu/emu.py
    vms =               cfg files with autostart = 0. Those of one line are started together, the next line when they have
                        said `done`
    instead =           lines `QEMU's line => the right line`, where QEMU does not do what a CPU does

A guest prints `PROGRAM: QUESTION ANSWER` lines and then `PROGRAM: done`; one that does not get there under either fails."""

import configparser
import difflib
import pathlib
import re
import subprocess

from emu import outcome, run_script
from machine import ROOT, Machine
from rows import Result, Row

KEYS = {"machine", "cpus", "cmdline", "seconds", "vms", "instead"}
QEMU_SECONDS = 60
GUEST_SECONDS = 60  # of the emulated machine
QEMU_EXIT_OK = 1    # isa-debug-exit: (0 << 1) | 1
# Time is counted in instructions, so that the answers do not depend on what else this computer does.
QEMU = ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-cpu", "max", "-icount", "shift=6,sleep=off",
        "-rtc", "clock=vm,base=2000-01-01", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
        "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]


class Guest:
    def __init__(self, path):
        self.keys = dict(re.findall(r'^[ \t]*(\w+)[ \t]*=[ \t]*"?([^"\n]*)"?', (ROOT / path).read_text(), re.MULTILINE))
        self.name = self.keys["name"]
        self.program = pathlib.Path(self.keys["kernel"]).stem

    def done(self):
        return f"{self.program}: done"

    def under_qemu(self):
        """Its lines under QEMU, and what went wrong or None."""
        command = [*QEMU, "-m", self.keys.get("memory", "64"), "-smp", self.keys.get("vcpus", "1"),
                   "-kernel", f"build/guest/{self.keys['kernel']}", "-append", self.keys.get("extra", "")]
        try:
            ran = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, timeout=QEMU_SECONDS)
            text, status = ran.stdout.decode(errors="replace"), ran.returncode
        except subprocess.TimeoutExpired as late:
            text, status = (late.output or b"").decode(errors="replace"), "late"
        lines = [line for line in text.splitlines() if line.startswith(f"{self.program}: ")]
        if status != QEMU_EXIT_OK or lines[-1:] != [self.done()]:
            return lines, f"{self.name}: not done under qemu (status {status}): {text[-200:]!r}"
        return lines, None

    def under_sluice(self, console):
        lines = [line.removeprefix(f"{self.name}| ") for line in console if line.startswith(f"{self.name}| ")]
        return lines, None if lines[-1:] == [self.done()] else f"{self.name}: not done under sluice"


def replacements(section):
    pairs = [line.split(" => ") for line in section.get("instead", "").splitlines() if line.strip()]
    return {qemu.strip(): right.strip() for qemu, right in pairs}


def differences(guest, wanted, console, instead):
    """What of a guest's answers under Sluice is not as it should be, one text each."""
    lines, problem = guest.under_sluice(console)
    found = [problem] if problem else []
    expected = [instead.get(line, line) for line in wanted]
    diff = list(difflib.unified_diff(expected, lines, n=0, lineterm=""))[2:]
    found += [f"{guest.name}: {'qemu' if line[0] == '-' else 'sluice'}: {line[1:]}" for line in diff if line[0] != "@"]
    return found


def compare(name, section):
    why_not = Machine(section["machine"]).why_not()
    if why_not:
        return Result(skipped=1, detail=why_not)
    groups = [[Guest(path) for path in line.split()] for line in section["vms"].splitlines() if line.strip()]
    guests = [guest for group in groups for guest in group]
    instead = replacements(section)
    answers = {guest.name: guest.under_qemu() for guest in guests}
    found = [problem for _, problem in answers.values() if problem]
    said = {line for lines, _ in answers.values() for line in lines}
    found += [f"qemu no longer says: {line}" for line in instead if line not in said]
    script = []
    for group in groups:
        script += [f"vm start {guest.name}" for guest in group]
        script += [f"wait {GUEST_SECONDS} {guest.name} {guest.done()}" for guest in group]
    console, errors = run_script(name, section, script)
    for guest in guests:
        found += differences(guest, answers[guest.name][0], console, instead)
    if errors[-1:] != ["run: ok"]:
        found.append(f"ended with {errors[-1:]}")
    others = [line for line in console if not any(line.startswith(f"{guest.name}| ") for guest in guests)]
    return outcome(found if guests else ["no guests"], others, errors)


def compare_row(name, section):
    unknown = set(section) - KEYS
    if unknown:
        return Row(name, lambda: Result(failed=1, detail=f"unknown keys: {unknown}"))
    return Row(name, lambda: compare(name, section))


def compare_rows():
    rows = []
    for path in sorted(pathlib.Path(ROOT, "tests/compare").glob("*.ini")):
        ini = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
        ini.read(path)
        rows += [compare_row(f"compare/{name}", ini[name]) for name in ini.sections()]
    return rows
