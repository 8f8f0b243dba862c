"""`make run`: makes the ISO, starts the machine, and attaches the terminal, or plays the script on standard input.

The environment says what to run: MACHINE, CPUS, VMS, CMDLINE, as in the Makefile. The first argument names the run."""

import itertools
import os
import pathlib
import re
import select
import shutil
import signal
import sys
import tempfile
import termios
import time
import tty

from console import Console
from emulator import Emulator
from iso import make_iso, merge_options
from machine import ROOT, Machine, Unusable, default_name

SILENCE_SECONDS = 60     # interface.md 1: no output for so long is a hang
BOOT_SECONDS = 180       # a machine that resets itself over and over is never silent
BENCH_SECONDS = 900      # silence that `bench` may keep
WAIT_FACTOR = 10         # an emulated second may take so many real ones
CHUNK_BYTES = 8          # a UART holds 16
ECHO_SECONDS = 2         # what is not echoed (surplus characters, control characters) is not waited for longer
QUIET_SECONDS = 1        # a guest that has the terminal is typed to when it has said nothing for so long,
CHATTY_SECONDS = 5       # or goes on for longer than this
INTERRUPT_SECONDS = 0.1  # between two Ctrl-C
CTRL_A = b"\x01"
CTRL_C = "\x03"
CTRL_BRACKET = b"\x1d"   # returns from a guest to the prompt


class Died(Exception):
    """The machine hung, faulted or panicked; the text says which."""


def say(text):
    print(f"run: {text}", file=sys.stderr, flush=True)


def silence_allowed(command):
    words = command.split()
    if words[0] == "wait" and len(words) > 1 and re.fullmatch("0x[0-9a-fA-F]+|[0-9]+", words[1]):
        return SILENCE_SECONDS + WAIT_FACTOR * int(words[1], 16 if words[1].startswith("0x") else 10)
    if words[0] == "bench":
        return BENCH_SECONDS
    return SILENCE_SECONDS


class Session:
    """Types commands at the prompt, shows what is answered."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.console = Console()
        self.status = None
        self.attached = False  # `vm console`: what is typed goes to a guest
        self.off = False

    def pump(self, seconds):
        """Shows what came within this time; returns whether anything did."""
        data = self.emulator.read(seconds)
        if data is None:
            self.off = True
            return False
        for line in self.console.feed(data):
            sys.stdout.buffer.write(line + b"\n")
            self.take(line)
            if line.startswith(b"[panic"):
                self.drain()
                raise Died("panic")
        sys.stdout.buffer.flush()
        return bool(data)

    def take(self, line):
        """Status lines; while a guest has the terminal, what looks like one is the guest's."""
        if line.startswith(b"console "):
            self.attached = line.endswith(b' attached=yes return="Ctrl-]"')
        elif not self.attached and (line == b"ok" or line.startswith(b"error: ")):
            self.status = line

    def drain(self):
        """What the machine says in its last second."""
        end = time.monotonic() + 1
        while not self.off and time.monotonic() < end:
            data = self.emulator.read(0.1)
            if data is None:
                break
            for line in self.console.feed(data):
                sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def wait_until(self, condition, silence=SILENCE_SECONDS, limit=None):
        """Shows what comes until the condition holds or the machine is off."""
        start = heard = time.monotonic()
        while not condition():
            if self.pump(0.2):
                heard = time.monotonic()
            if self.off:
                return
            now = time.monotonic()
            if now - heard > silence:
                raise Died(f"no output for {silence} s")
            if limit and now - start > limit:
                raise Died(f"no prompt within {limit} s")

    def wait_for_prompt(self):
        self.wait_until(self.console.at_prompt, limit=BOOT_SECONDS)
        if self.off:
            raise Died("the emulator ended before the prompt came")

    def type(self, command):
        """Types one command, and Ctrl-C while it runs if that stands at its end; returns its status line, or None if a
        guest has the terminal now."""
        typed, text = b"", command.removesuffix(CTRL_C).encode()
        while typed != text:
            chunk = text[len(typed):len(typed) + CHUNK_BYTES]
            self.emulator.write(chunk)
            typed += chunk
            deadline = time.monotonic() + ECHO_SECONDS
            self.wait_until(lambda: self.console.at_prompt(typed) or time.monotonic() > deadline)
        self.status = None
        self.emulator.write(b"\r")
        if command.endswith(CTRL_C):
            self.interrupt(command)
        # An empty prompt in place of an answer, and nothing after it: the machine has been reset under the command. (One
        # that is being drawn again after another line is empty for a moment only.)
        self.wait_until(lambda: self.status or self.attached or self.stays_at_prompt(), silence_allowed(command))
        if self.attached:
            return None
        if not self.status:
            raise Died(f"the emulator ended in {command!r}" if self.off else f"the machine was reset in {command!r}")
        return self.status

    def interrupt(self, command):
        """Types Ctrl-C until the command has answered: an early one may come before it has begun."""
        deadline = time.monotonic() + silence_allowed(command)
        while not self.status and not self.off and time.monotonic() < deadline:
            again = time.monotonic() + INTERRUPT_SECONDS
            self.wait_until(lambda: self.status or time.monotonic() > again)
            self.emulator.write(CTRL_C.encode() if not self.status else b"")

    def wait_for_quiet(self):
        end = time.monotonic() + CHATTY_SECONDS
        while self.attached and not self.off and time.monotonic() < end and self.pump(QUIET_SECONDS):
            pass

    def type_to_guest(self, line):
        """Types one line at the guest that has the terminal; returns the status line of `vm console` if that ends it."""
        text = CTRL_BRACKET if line.encode() == CTRL_BRACKET else line.encode() + b"\r"
        self.wait_for_quiet()
        for at in range(0, len(text), CHUNK_BYTES):
            self.emulator.write(text[at:at + CHUNK_BYTES])
            self.pump(QUIET_SECONDS / 10)
        if text != CTRL_BRACKET:
            self.wait_for_quiet()
            if self.attached:
                return None
        self.wait_until(lambda: self.status)
        if not self.status:
            raise Died("the emulator ended in `vm console`")
        return self.status

    def stays_at_prompt(self):
        return self.console.at_prompt() and not self.pump(1) and not self.status and self.console.at_prompt()

    def wait_for_off(self):
        self.wait_until(lambda: False)


def script_lines(session):
    """The lines of standard input as they come; the console is shown meanwhile."""
    pending, ended = b"", False
    while not ended:
        while not select.select([0], [], [], 0)[0]:
            session.pump(0.1)
            if session.off:
                raise Died("the emulator ended between two commands")
        data = os.read(0, 4096)
        ended = not data
        *lines, pending = (pending + data).split(b"\n")
        if ended:
            lines.append(pending)
        for line in lines:
            command = line.decode(errors="replace").strip(" \t\r")
            if command:
                yield command


def play_script(session):
    """Returns whether every command answered `ok` and the machine is off."""
    session.wait_for_prompt()
    all_ok = True
    commands = script_lines(session)
    for command in itertools.chain(commands, [CTRL_BRACKET.decode()]):
        if session.attached:
            status = session.type_to_guest(command)
        elif command == CTRL_BRACKET.decode():
            continue
        else:
            status = session.type(command)
        if session.attached:
            continue
        all_ok &= status == b"ok"
        if command == "poweroff" and session.status == b"ok":
            session.wait_for_off()
            left = list(commands)
            if left:
                say(f"not typed, the machine is off: {'; '.join(left)}")
            return all_ok and not left
        session.wait_for_prompt()
    if session.type("poweroff") != b"ok":
        return False
    session.wait_for_off()
    return all_ok


def attach_terminal(emulator):
    """Passes the terminal through until the machine is off or Ctrl-A x is typed (Ctrl-A Ctrl-A sends one)."""
    say("Ctrl-A x ends the run")
    saved = termios.tcgetattr(0)
    escaped = False
    try:
        tty.setraw(0)
        while True:
            data = emulator.read(0.02)
            if data is None:
                return
            os.write(1, data)
            if not select.select([0], [], [], 0)[0]:
                continue
            for key in os.read(0, CHUNK_BYTES):  # what was pasted comes in pieces that the UART can hold
                key = bytes([key])
                if escaped and key in b"xX":
                    return
                if not escaped and key == CTRL_A:
                    escaped = True
                    continue
                escaped = False
                emulator.write(key)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)
        print()


def prepare(folder):
    """The machine that the environment asks for, its ISO in the folder."""
    machine = Machine(os.environ.get("MACHINE") or default_name())
    if machine.why_not():
        raise Unusable(f"{machine.name}: {machine.why_not()}")
    cpus = os.environ.get("CPUS") or "2"
    if not cpus.isdigit() or int(cpus) == 0:
        raise Unusable(f"CPUS={cpus}: not a number of CPUs")
    machine.check_cpus(int(cpus))
    options = merge_options(machine.options, os.environ.get("CMDLINE", ""))
    iso = folder / "sluice.iso"
    make_iso(iso, options, os.environ.get("VMS", "").split())
    say(f"machine={machine.name} cpus={cpus} options=\"{' '.join(options)}\"")
    return Emulator(machine, iso, int(cpus), folder)


def run(folder):
    """Returns how it went: ok, failed or died."""
    try:
        emulator = prepare(folder)
    except Unusable as why:
        say(why)
        return "died"
    try:
        if os.isatty(0):
            attach_terminal(emulator)
            if emulator.died():
                raise Died("the emulator gave up")
            return "ok"
        return "ok" if play_script(Session(emulator)) else "failed"
    except Died as why:
        say(why)
        emulator.end()
        for line in emulator.last_words():
            say(line)
        return "died"
    finally:
        emulator.end()


def open_standard_input():
    """One that is closed is an empty script: else its number would go to the first file that is opened."""
    try:
        os.fstat(0)
    except OSError:
        os.open(os.devnull, os.O_RDONLY)


def main():
    open_standard_input()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    name = sys.argv[1] if len(sys.argv) > 1 else "run"
    runs = ROOT / "build/run"
    runs.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=runs))
    try:
        how = run(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if how == "died" and (folder / "emulator.out").exists():
        say(f"left for inspection: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    say(how)
    sys.exit(how != "ok")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
