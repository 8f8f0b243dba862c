"""One run of an emulator, with COM1 on a pseudo terminal of ours."""

import ctypes
import os
import pty
import select
import signal
import subprocess
import tty

PR_SET_PDEATHSIG = 1

# Two Bochs that start at the same moment can take the same port for their screens: bind() lets both have it, listen()
# only one. The other has not begun to run, and is started again.
LOST_PORT = "RFB could not bind any port"
STARTS_MAX = 5


def die_with_parent():
    """So that no emulator is left over, however this program ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Emulator:
    def __init__(self, machine, iso, cpus, folder):
        self.folder = folder
        # The other end stays open here too: otherwise reading fails as long as the emulator has not opened it.
        self.com1, self.other_end = pty.openpty()
        tty.setraw(self.other_end)
        self.command = machine.command(iso, os.ttyname(self.other_end), cpus, folder)
        self.starts = 0
        self.start()

    def start(self):
        self.starts += 1
        with open(self.folder / "emulator.out", "wb") as output:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            preexec_fn=die_with_parent)

    def panics(self):
        log = self.folder / "bochs.log"
        return [line for line in log.read_text(errors="replace").splitlines() if ">>PANIC<<" in line] if log.exists() else []

    def started_in_vain(self):
        return self.starts < STARTS_MAX and any(LOST_PORT in line for line in self.panics())

    def read(self, seconds):
        """What came within this time, at most one portion; None once the machine is off and all is read."""
        off = self.process.poll() is not None
        if off and self.started_in_vain():
            self.start()
            off = False
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
        return any("hutdown" not in line and "power off" not in line for line in self.panics())

    def last_words(self, count=15):
        """The end of the emulator's own log."""
        lines = []
        for name in ("emulator.out", "bochs.log"):
            path = self.folder / name
            if path.exists():
                lines += [f"{name}: {line}" for line in path.read_text(errors="replace").splitlines()[-count:]]
        return lines
