"""One run of an emulator, with COM1 on a pseudo terminal of ours."""

import ctypes
import os
import pty
import select
import signal
import subprocess
import tty

PR_SET_PDEATHSIG = 1


def die_with_parent():
    """So that no emulator is left over, however this program ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Emulator:
    def __init__(self, machine, iso, cpus, folder):
        self.folder = folder
        # The other end stays open here too: otherwise reading fails as long as the emulator has not opened it.
        self.com1, self.other_end = pty.openpty()
        tty.setraw(self.other_end)
        command = machine.command(iso, os.ttyname(self.other_end), cpus, folder)
        with open(folder / "emulator.out", "wb") as output:
            self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            preexec_fn=die_with_parent)

    def read(self, seconds):
        """What came within this time, at most one portion; None once the machine is off and all is read."""
        off = self.process.poll() is not None
        if select.select([self.com1], [], [], 0 if off else seconds)[0]:
            return os.read(self.com1, 65536)
        return None if off else b""

    def write(self, data):
        os.write(self.com1, data)

    def end(self):
        if self.com1 is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        os.close(self.com1)
        os.close(self.other_end)
        self.com1 = None

    def died(self):
        """The emulator gave up, rather than being switched off from inside or ended from outside."""
        log = self.folder / "bochs.log"
        panics = [line for line in log.read_text(errors="replace").splitlines() if ">>PANIC<<" in line] if log.exists() else []
        return any("hutdown" not in line and "power off" not in line for line in panics)

    def last_words(self, count=15):
        """The end of the emulator's own log."""
        lines = []
        for name in ("emulator.out", "bochs.log"):
            path = self.folder / name
            if path.exists():
                lines += [f"{name}: {line}" for line in path.read_text(errors="replace").splitlines()[-count:]]
        return lines
