"""Linux without a hypervisor: how many ticks from the kernel's first instruction to the first one of /init, when GRUB boots
it on a Bochs machine. As a program: native.py MACHINE KERNEL RAMDISK KERNEL-ARGUMENT..."""

import pathlib
import re
import shutil
import struct
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "run"))

from emulator import Emulator
from iso import write_iso
from machine import Machine

INIT = re.compile(rb"linux: init at tsc=(\d+)\r?\n")
PTIME = re.compile(r"ptime: (\d+)")
# The setup header's pref_address (Linux, Documentation/arch/x86/boot.rst): there GRUB loads the kernel, and enters it.
PREF_ADDRESS = 0x258

GRUB_CFG = """\
set timeout=0
menuentry Linux {{
\tlinux /boot/kernel {arguments}
\tinitrd /boot/ramdisk
}}
"""


class NoAnswer(Exception):
    """The boot did not come as far as /init; the text says what there was."""


def make_iso(out, kernel, ramdisk, arguments):
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        (tree / "boot/grub").mkdir(parents=True)
        shutil.copy(kernel, tree / "boot/kernel")
        shutil.copy(ramdisk, tree / "boot/ramdisk")
        (tree / "boot/grub/grub.cfg").write_text(GRUB_CFG.format(arguments=arguments))
        write_iso(out, tree)


class Stopped(Machine):
    """The machine, made to tell its time when it comes to an address."""

    def __init__(self, name, address):
        super().__init__(name)
        self.address = address

    def command(self, iso, tty, cpus, folder):
        words = super().command(iso, tty, cpus, folder)
        # Linux cannot do without IA32_MISC_ENABLE, and this CPU of Bochs has none.
        bochsrc = folder / "bochsrc"
        bochsrc.write_text(bochsrc.read_text().replace("ignore_bad_msrs=0", "ignore_bad_msrs=1"))
        (folder / "rc.txt").write_text(f"pb {self.address:#x}\nc\nptime\nd 1\nc\n")
        return words


def boot(machine_name, kernel, ramdisk, arguments, seconds=400):
    """Ticks at the kernel's first instruction, and at the first one of /init."""
    address, = struct.unpack_from("<Q", pathlib.Path(kernel).read_bytes(), PREF_ADDRESS)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_iso(folder / "native.iso", kernel, ramdisk, arguments)
        emulator = Emulator(Stopped(machine_name, address), folder / "native.iso", 1, folder)
        output, end = b"", time.monotonic() + seconds
        try:
            while not INIT.search(output):
                data = emulator.read(1)
                if data is None or time.monotonic() > end:
                    raise NoAnswer("\n".join([output.decode(errors="replace"), *emulator.last_words()]))
                output += data
            entry = PTIME.search((folder / "emulator.out").read_text(errors="replace"))
            if not entry:
                raise NoAnswer("\n".join(emulator.last_words()))
            return int(entry[1]), int(INIT.search(output)[1])
        finally:
            emulator.end()


def main():
    machine, kernel, ramdisk, *arguments = sys.argv[1:]
    entry, init = boot(machine, kernel, ramdisk, " ".join(arguments))
    print(f"native entry={entry} init={init} ticks={init - entry}")


if __name__ == "__main__":
    main()
