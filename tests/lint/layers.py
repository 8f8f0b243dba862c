"""Which folder may include which: everything points one way (docs/architecture.md). Exits 1 with what does not."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A file belongs to the first folder here that it lies in.
MAY_INCLUDE = {
    "hv/policy": ["hv/policy", "arch/defs", "arch/abi"],
    "hv": ["hv", "arch"],
    "arch/defs": ["arch/defs"],
    "arch/abi": ["arch/abi", "arch/defs"],
    "arch": ["arch"],
    "boot": ["boot", "hv", "arch"],
    "guest": ["guest", "arch/defs", "hv/policy/hypercall.h"],
}
# The list of offsets holds the layout of whatever the assembly touches.
EXCEPTIONS = {"arch/abi/offsets_headers.h": ["arch"]}
GENERATED = {"version.h": ["hv", "boot"], "offsets.inc": ["boot", "arch"], "offsets.h": ["arch/abi"]}
# What C11 promises to a freestanding program (section 4, "Conformance").
FREESTANDING = {"float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h",
                "stdint.h", "stdnoreturn.h"}

INCLUDE = re.compile(r'^\s*[#%]\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)


def within(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def complaint(source, folder, bracket, target):
    """Why this file may not include that one, or None."""
    if bracket == "<":
        return None if target in FREESTANDING else "not a header of a freestanding program"
    if target in GENERATED:
        return None if within(source, GENERATED[target]) else "a generated file that is not for this folder"
    if not (ROOT / target).is_file():
        return "no such file, seen from the root"
    return None if within(target, EXCEPTIONS.get(source, MAY_INCLUDE[folder])) else "points the wrong way"


def main():
    count = bad = 0
    for top in ("boot", "arch", "hv", "guest"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".c", ".h", ".def", ".asm", ".inc"):
                continue
            source = path.relative_to(ROOT).as_posix()
            folder = next(folder for folder in MAY_INCLUDE if within(source, [folder]))
            count += 1
            for bracket, target in INCLUDE.findall(path.read_text()):
                why = complaint(source, folder, bracket, target)
                if why:
                    print(f"{source}: includes {target}: {why}")
                    bad += 1
    if not count:
        print("no file was looked at")
    sys.exit(1 if bad or not count else 0)


if __name__ == "__main__":
    main()
