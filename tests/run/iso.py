"""Writes the GRUB ISO: the hypervisor, its options, the VMs' files. Run as a program: `make iso`."""

import filecmp
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from machine import ROOT, Machine, Unusable, default_name

KERNEL = ROOT / "build/sluice.elf"
GUESTS = ROOT / "build/guest"
GRUB_MODULES = "multiboot2 linux normal iso9660 part_msdos part_gpt all_video gfxterm"


def merge_options(machine_options, cmdline):
    """The machine's options first, less those that the command line gives itself."""
    given = cmdline.split()
    replaced = {word.split("=")[0] for word in given}
    return [word for word in machine_options if word.split("=")[0] not in replaced] + given


def vm_files(cfgs):
    """{plain name: path} of the cfgs and of the kernels and ramdisks that they name."""
    files = {}

    def add(path):
        other = files.setdefault(path.name, path)
        if other != path and not filecmp.cmp(other, path, shallow=False):
            raise Unusable(f"two files of one name: {other} and {path}")

    for cfg in map(pathlib.Path, cfgs):
        if cfg.suffix != ".cfg":
            raise Unusable(f"{cfg}: not a .cfg")
        if cfg.name in files:
            raise Unusable(f"two VM configurations of one name: {files[cfg.name]} and {cfg}")
        if not cfg.is_file():
            raise Unusable(f"no such VM configuration: {cfg}")
        add(cfg)
        text = cfg.read_text(errors="replace")
        for key, value in re.findall(r'^[ \t]*(kernel|ramdisk)[ \t]*=[ \t]*"([^"\n]+)"', text, re.MULTILINE):
            found = [path for path in (cfg.parent / value, GUESTS / value) if path.is_file()]
            if found:
                add(found[0])
            else:
                print(f"iso: warning: {cfg}: {key} {value}: no such file", file=sys.stderr)
    return files


def grub_quote(word):
    return "'" + word.replace("'", "'\\''") + "'"


def grub_cfg(options, file_names):
    lines = [f"multiboot2 /boot/sluice.elf {' '.join(map(grub_quote, options))}"]
    lines += [f"module2 {grub_quote('/vm/' + name)} {grub_quote(name)}" for name in file_names]
    body = "\n".join("\t" + line for line in lines)
    return f"set timeout=0\nset default=0\nmenuentry Sluice {{\n{body}\n}}\n"


def write_iso(out, tree):
    """An ISO with GRUB in front of the files of the tree, which has a boot/grub/grub.cfg."""
    # Fonts, themes and translations would only make it larger and slower to write.
    command = ["grub-mkrescue", f"--install-modules={GRUB_MODULES}", "--fonts=", "--themes=", "--locales=",
               "-o", str(out), str(tree)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unusable(f"grub-mkrescue failed:\n{done.stderr}")


def make_iso(out, options, cfgs):
    files = vm_files(cfgs)
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        (tree / "boot/grub").mkdir(parents=True)
        (tree / "vm").mkdir()
        shutil.copy(KERNEL, tree / "boot/sluice.elf")
        for name, path in files.items():
            shutil.copy(path, tree / "vm" / name)
        (tree / "boot/grub/grub.cfg").write_text(grub_cfg(options, files))
        write_iso(out, tree)


def main():
    out = pathlib.Path(os.environ.get("OUT") or ROOT / "build/sluice.iso")
    try:
        machine = Machine(os.environ.get("MACHINE") or default_name())
        options = merge_options(machine.options, os.environ.get("CMDLINE", ""))
        make_iso(out, options, os.environ.get("VMS", "").split())
    except Unusable as why:
        sys.exit(f"iso: {why}")
    print(f"iso: {out}: options: {' '.join(options) or 'none'}")


if __name__ == "__main__":
    main()
