"""The emulator's rows: each section of tests/emu/*.ini is one run of a machine with a script, and what it must show.

    [name]              the row is emu/FILE-NAME
    machine =           of tests/machines/
    cpus = vms = cmdline =   as for `make run`; defaults: 2, none, none
    script =            lines typed at the prompt; `@name arguments` stands for those that generators.py makes,
                        and `^]` for the character Ctrl-]; after a line that ends with `^C` Ctrl-C is typed, until
                        the command ends
    expect =            regular expressions, one a line; each must match a later line of the output than the one before.
                        `! regex` must match none of the lines between its neighbours
    anywhere =          regular expressions that must match some line
    forbid =            regular expressions that must match no line
    check =             names of functions of checks.py that look at the whole output
    measure =           names of functions of measures.py, which say what was measured, also when the row passes
    end = ok|failed     the last line on standard error; default: ok
    seconds =           time limit; default: 120

Expressions are searched for in the line (re.search). A row without `expect` or `anywhere` is an error."""

import configparser
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import checks
import generators
import measures
from machine import ROOT, Machine
from rows import Result, Row

KEYS = {"machine", "cpus", "vms", "cmdline", "script", "expect", "anywhere", "forbid", "check", "measure", "end", "seconds"}


def lines_of(section, key):
    return [line for line in section.get(key, "").splitlines() if line.strip()]


def unmet(patterns, lines):
    """The first of the patterns, in order, that the lines do not bear out, in words; or None."""
    at = 0
    unwanted = []
    for pattern in [*patterns, ""]:  # the last one stands for the end of the output
        if pattern.startswith("! "):
            unwanted.append(pattern[2:])
            continue
        found = next((i for i in range(at, len(lines)) if re.search(pattern, lines[i])), None) if pattern else len(lines)
        if found is None:
            return f"expected after line {at}: {pattern}"
        for line in lines[at:found]:
            for bad in unwanted:
                if re.search(bad, line):
                    return f"forbidden before {pattern or 'the end'}: {bad}: {line}"
        at, unwanted = found + 1, []
    return None


def problems(section, lines, end):
    """What in the output is not as the row wants it, one text each."""
    in_order = unmet(lines_of(section, "expect"), lines)
    found = [in_order] if in_order else []
    found += [f"expected anywhere: {pattern}" for pattern in lines_of(section, "anywhere")
              if not any(re.search(pattern, line) for line in lines)]
    found += [f"forbidden: {pattern}: {line}" for pattern in lines_of(section, "forbid")
              for line in lines if re.search(pattern, line)]
    for name in section.get("check", "").split():
        found += [f"{name}: {text}" for text in getattr(checks, name)(lines)]
    wanted_end = f"run: {section.get('end', 'ok')}"
    if end != wanted_end:
        found.append(f"ended with {end!r}, not {wanted_end!r}")
    return found


def expanded(line):
    """A line of a script, or the many that a generator of generators.py makes of `@name arguments`."""
    if line == "^]":
        return ["\x1d"]
    if line.endswith("^C"):
        return [line.removesuffix("^C") + "\x03"]
    if not line.startswith("@"):
        return [line]
    name, *arguments = line[1:].split()
    return getattr(generators, name)(*arguments)


class Run:
    """A run of run.py: the lines of the console as they come, with the time of each."""

    def __init__(self, name, environment, script):
        self.lines, self.times = [], []
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen([sys.executable, str(ROOT / "tests/run/run.py"), name.replace("/", "-")],
                                        cwd=ROOT, env=os.environ | environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.stderr)
        self.threads = [threading.Thread(target=work) for work in (self.listen, lambda: self.tell(script))]
        for thread in self.threads:
            thread.start()

    def listen(self):
        for line in self.process.stdout:
            self.times.append(time.monotonic())
            self.lines.append(line.decode(errors="replace").rstrip("\r\n"))

    def tell(self, script):
        try:
            with self.process.stdin as pipe:
                pipe.write("".join(f"{line}\n" for line in script).encode())
        except BrokenPipeError:
            pass  # it says itself why it ended

    def finish(self, seconds):
        """Waits for the end, or brings it about; returns the lines on standard error."""
        late = []
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)  # it ends its emulator
            self.process.wait()
            late = [f"not done within {seconds} s"]
        for thread in self.threads:
            thread.join()
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace").splitlines() + late


def run_timed(name, section, script):
    """Plays the lines on the section's machine; returns the console's lines, when each came, and the lines on standard
    error."""
    environment = {"MACHINE": section["machine"], "CPUS": section.get("cpus", "2"),
                   "VMS": " ".join(section.get("vms", "").split()), "CMDLINE": section.get("cmdline", "")}
    run = Run(name, environment, script)
    errors = run.finish(section.getint("seconds", 120))
    return run.lines, run.times, errors


def run_script(name, section, script):
    """The same without the times."""
    lines, _, errors = run_timed(name, section, script)
    return lines, errors


def outcome(found, lines, errors, notes=()):
    """A row's result: what was found wrong, if anything, and then all that was said; else what was measured."""
    if not found:
        return Result(passed=1, detail="\n".join(notes))
    return Result(failed=1, detail="\n".join([*found, *notes, "---- console ----", *lines, "---- runner ----", *errors]))


def play(name, section):
    why_not = Machine(section["machine"]).why_not()
    if why_not:
        return Result(skipped=1, detail=why_not)
    script = [line for written in lines_of(section, "script") for line in expanded(written)]
    lines, times, errors = run_timed(name, section, script)
    found, notes = problems(section, lines, errors[-1] if errors else ""), []
    if not found:
        said = [text for measure in section.get("measure", "").split() for text in getattr(measures, measure)(lines, times)]
        notes = [text for text in said if not text.startswith("! ")]
        found = [text.removeprefix("! ") for text in said if text.startswith("! ")]
    return outcome(found, lines, errors, notes)


def emu_row(name, section):
    unknown = set(section) - KEYS
    if unknown or not (lines_of(section, "expect") or lines_of(section, "anywhere")):
        why = f"unknown keys: {unknown}" if unknown else "expects nothing"
        return Row(name, lambda: Result(failed=1, detail=why))
    return Row(name, lambda: play(name, section))


def emu_rows():
    rows = []
    for path in sorted(pathlib.Path(ROOT, "tests/emu").glob("*.ini")):
        ini = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
        ini.optionxform = str
        ini.read(path)
        rows += [emu_row(f"emu/{path.stem}-{name}", ini[name]) for name in ini.sections()]
    return rows
