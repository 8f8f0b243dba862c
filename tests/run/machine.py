"""The machines of tests/machines/: what each is, and the command that starts it. Run as a program: lists them."""

import configparser
import fcntl
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
MACHINES = ROOT / "tests/machines"

# linux/kvm.h: KVM_GET_SUPPORTED_CPUID takes struct kvm_cpuid2, a header of 8 bytes and entries of 40.
KVM_GET_SUPPORTED_CPUID = 0xC008AE05
KVM_CPUID_ENTRIES = 256
CPUID_1_ECX_VMX = 1 << 5

# Debian's Bochs panics with many ("too many registered timers"); QEMU's PC takes no more.
MOST_CPUS = {"bochs": 8, "qemu": 255}

BOCHSRC = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model={cpu}, count={cpus}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=0, msrs="msrs.def"
ata0-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom
com1: enabled=1, mode=term, dev={tty}
log: bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
clock: sync=none, time0=946681200
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
"""


class Unusable(Exception):
    """This machine, or what was asked of it, cannot be had here; the text says why."""


def kvm_offers_vmx():
    """Whether a guest of KVM gets VMX. That /dev/kvm can be opened does not say so."""
    try:
        with open("/dev/kvm", "rb", buffering=0) as kvm:
            table = bytearray(struct.pack("II", KVM_CPUID_ENTRIES, 0) + bytes(40 * KVM_CPUID_ENTRIES))
            fcntl.ioctl(kvm, KVM_GET_SUPPORTED_CPUID, table)
    except OSError:
        return False
    count = struct.unpack_from("I", table)[0]
    entries = [struct.unpack_from("7I", table, 8 + 40 * i) for i in range(count)]
    return any(function == 1 and ecx & CPUID_1_ECX_VMX for function, _, _, _, _, ecx, _ in entries)


def default_name():
    return "kvm" if kvm_offers_vmx() else "bochs-skylake"


def names():
    return sorted(path.stem for path in MACHINES.glob("*.ini"))


class Machine:
    def __init__(self, name):
        if name not in names():
            raise Unusable(f"no machine {name!r}: there are {' '.join(names())}")
        ini = configparser.ConfigParser(interpolation=None)
        ini.read(MACHINES / f"{name}.ini")
        self.name = name
        self.shows = ini["machine"]["shows"]
        self.options = ini["machine"]["options"].split()
        self.memory = ini["machine"].getint("memory")
        self.emulator = ini["machine"]["emulator"]
        self.needs_vmx_from_kvm = ini["machine"].get("needs") == "kvm-vmx"
        self.settings = ini[self.emulator]

    def why_not(self):
        """Why this machine cannot be had here, or None."""
        if self.needs_vmx_from_kvm and not kvm_offers_vmx():
            return "/dev/kvm does not offer VMX to guests"
        return None

    def check_cpus(self, cpus):
        """Raises Unusable if the machine cannot have so many."""
        most = MOST_CPUS[self.emulator]
        if cpus > most:
            raise Unusable(f"CPUS={cpus}: {self.name} has {most} at most")

    def command(self, iso, tty, cpus, folder):
        """The command that runs the ISO with COM1 on a terminal device; writes the files it needs to the folder."""
        if self.emulator == "qemu":
            return ["qemu-system-x86_64", *self.settings["arguments"].split(), "-m", str(self.memory), "-smp", str(cpus),
                    "-no-user-config", "-display", "none", "-monitor", "none", "-net", "none", "-cdrom", str(iso),
                    "-boot", "d", "-chardev", f"serial,id=com1,path={tty}", "-serial", "chardev:com1"]
        bochsrc = BOCHSRC.format(memory=self.memory, cpu=self.settings["cpu"], cpus=cpus, ips=self.settings["ips"],
                                 iso=iso, tty=tty)
        (folder / "bochsrc").write_text(bochsrc)
        (folder / "msrs.def").write_text(self.settings.get("msrs", "").strip() + "\n")
        # Debian's Bochs stops in its debugger at the start: "c" lets it go on.
        (folder / "rc.txt").write_text("c\n")
        return ["bochs", "-q", "-f", "bochsrc", "-rc", "rc.txt"]


def main():
    best = default_name()
    for name in names():
        machine = Machine(name)
        note = f" [not here: {machine.why_not()}]" if machine.why_not() else " [default]" if name == best else ""
        print(f"{name:16}{machine.shows}{note}")


if __name__ == "__main__":
    main()
