"""Rows about `make` and `make run` themselves: wrong variables are refused in one line, and `make help` tells all."""

import pathlib
import re
import tempfile

from emulator import LOST_PORT, STARTS_MAX, Emulator
from machine import ROOT
from rows import Result, Row, command
from run import SILENCE_SECONDS, silence_allowed

REFUSED = {  # what is asked for: the line that says why not
    "no-cfg": ({"VMS": "guest/probe.c"}, "guest/probe.c: not a .cfg"),
    "foreign-file": ({"VMS": "guest/probe0.cfg /etc/passwd"}, "/etc/passwd: not a .cfg"),
    "no-file": ({"VMS": "guest/nobody.cfg"}, "no such VM configuration: guest/nobody.cfg"),
    "cfg-twice": ({"VMS": "guest/spin.cfg guest/spin.cfg"},
                  "two VM configurations of one name: guest/spin.cfg and guest/spin.cfg"),
    "cpus-bochs": ({"CPUS": "9"}, "CPUS=9: bochs-skylake has 8 at most"),
    "cpus-qemu": ({"CPUS": "256", "MACHINE": "qemu"}, "CPUS=256: qemu has 255 at most"),
    "cpus-none": ({"CPUS": "0"}, "CPUS=0: not a number of CPUs"),
    "machine": ({"MACHINE": "abacus"}, "no machine 'abacus': there are "),
}


def folders_of(run_name):
    return {str(path) for path in ROOT.glob(f"build/run/{run_name}-*")}


def refused_row(name, variables, why):
    """Ends with a status of 1 after one line that says why and `run: died`, and leaves no folder."""
    def run():
        environment = {"MACHINE": "bochs-skylake", "CPUS": "2", "VMS": "", "CMDLINE": ""} | variables
        run_name = f"refused-{name}"
        before = folders_of(run_name)
        status, output = command("python3", "tests/run/run.py", run_name, **environment)
        said = output.splitlines()
        left = folders_of(run_name) - before
        if status == 1 and len(said) == 2 and said[0].startswith(f"run: {why}") and said[1] == "run: died" and not left:
            return Result(passed=1)
        return Result(failed=1, detail=f"{output}exit status {status}; left: {left}")
    return Row(f"run/refused-{name}", run)


def help_tells_all():
    """Each target that can be typed and each variable that is passed on has its line."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    told = set(re.findall(r"^##   ([a-z-]+) ", makefile, re.MULTILINE))
    for line in re.findall(r"^##   [A-Z].*", makefile, re.MULTILINE):
        told |= set(re.findall(r" ([A-Z_]+)=", line))
    wanted = {"JOBS"}  # read from the environment by tests/traps
    for names in re.findall(r"^(?:\.PHONY:|export) (.*)", makefile, re.MULTILINE):
        wanted |= set(names.split()) - {"FORCE"}
    missing = sorted(wanted - told)
    return Result(failed=1, detail=f"not told: {' '.join(missing)}") if missing else Result(passed=1)


def closed_input():
    """No standard input at all is an empty script."""
    status, output = command("sh", "-c", "exec python3 tests/run/run.py closed-input <&-", MACHINE="qemu", VMS="",
                             CMDLINE="", CPUS="1")
    good = status == 0 and "\nok\n" in output and output.endswith("run: ok\n")
    return Result(passed=1) if good else Result(failed=1, detail=f"{output}exit status {status}")


def silence_of_wait():
    """`wait` may be silent for longer than it takes, however its number is written; what is no such number may not."""
    short = [word for word in ("100", "0x64", "0X64", "-1", "1.5", "soon")
             if (silence_allowed(f"wait {word}") > SILENCE_SECONDS + 100) != (word in ("100", "0x64"))]
    return Result(failed=1, detail=f"wait {', '.join(short)}") if short else Result(passed=1)


class FakeMachine:
    """Loses its port at first, as Bochs says it; then prints a line."""

    def __init__(self, losses):
        self.losses = losses

    def command(self, iso, tty, cpus, folder):
        return ["sh", "-c", f"echo x >> starts; [ $(wc -l < starts) -gt {self.losses} ] && rm -f bochs.log && echo up > {tty} && exit; "
                            f"echo '00000000000p[RFB   ] >>PANIC<< {LOST_PORT} between 5900 and 5949' > bochs.log; exit 1"]


def output_of(machine):
    with tempfile.TemporaryDirectory() as folder:
        emulator, output = Emulator(machine, None, 1, pathlib.Path(folder)), b""
        try:
            while (data := emulator.read(0.2)) is not None:
                output += data
        finally:
            emulator.end()
    return output


def lost_port():
    """An emulator that lost its port to another one is started again, but not for ever."""
    told = [output_of(FakeMachine(losses)) for losses in (0, 1, STARTS_MAX - 1, STARTS_MAX)]
    good = told == [b"up\n", b"up\n", b"up\n", b""]
    return Result(passed=1) if good else Result(failed=1, detail=f"{told}")


def run_rows_of_tests():
    return [refused_row(name, *case) for name, case in REFUSED.items()] + [
        Row("run/help-tells-all", help_tells_all),
        Row("run/closed-input", closed_input),
        Row("run/silence-of-wait", silence_of_wait),
        Row("run/lost-port", lost_port),
    ]
