"""`make lint`: what a machine can say about the sources without running them. Needs a finished build."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/run"))
from rows import Result, Row, command, command_row, run_rows

FREESTANDING = ["-std=c11", "-ffreestanding", "-fsyntax-only", "-mgeneral-regs-only", "-mno-red-zone", "-Wall", "-Wextra",
                "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror", "-I.", "-Ibuild/gen"]
HOSTED = [flag for flag in FREESTANDING if flag not in ("-std=c11", "-ffreestanding", "-mgeneral-regs-only",
                                                        "-Wmissing-prototypes")] + ["-std=gnu11"]
# missingIncludeSystem: the compiler's own headers are not given to it. staticFunction, unusedFunction: it sees one
# file at a time. unmatchedSuppression: not every version knows every name.
CPPCHECK = ["cppcheck", "--quiet", "--std=c11", "--platform=unix64", "--enable=warning,performance,portability",
            "--error-exitcode=1", "--inline-suppr", "--suppress=missingIncludeSystem",
            "--suppress=unmatchedSuppression", "-I."]
# The entry path as it must not be: entry_shape.py has to refuse each.
BROKEN_ENTRIES = "tests/lint/**/*.asm"


def files(*patterns):
    return sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern))


def each(name, items, check):
    """A row that passes when check(item) gives no complaint for any of the items, and there is one."""
    def run():
        complaints = [text for text in map(check, items) if text]
        return Result(failed=1, detail="\n".join(complaints)) if complaints else Result(passed=1 if items else 0)
    return Row(f"lint/{name}", run)


def compiles(compiler, flags):
    def check(path):
        # A header is included by nothing else: it has to bring all that it needs.
        source = ["-include", path, "-x", "c", "/dev/null"] if path.endswith(".h") else [path]
        status, output = command(compiler, *flags, *source)
        return output or f"{path}: exit status {status}" if status else None
    return check


def guest_flags(flags):
    return [flag for flag in flags if flag != "-mno-red-zone"] + ["-m32"]


def entry_shape(path):
    status, output = command("python3", "tests/lint/entry_shape.py", path)
    return output or f"{path}: exit status {status}" if status else None


def broken_entry_passes(path):
    built = f"build/lint/{pathlib.Path(path).stem}.o"
    (ROOT / "build/lint").mkdir(parents=True, exist_ok=True)
    status, output = command("nasm", "-f", "elf64", "-I", "./", "-I", "build/gen/", "-o", built, path)
    if status:
        return output
    return f"{path}: passes, though it is broken" if entry_shape(built) is None else None


def lint_rows():
    host_c = files("boot/**/*.c", "arch/**/*.c", "hv/**/*.c")
    headers = files("boot/**/*.h", "arch/**/*.h", "hv/**/*.h")
    guest_headers, guest_c = files("guest/**/*.h"), files("guest/**/*.c")
    tests_c = files("tests/**/*.c", "tests/**/*.h")
    everything = host_c + headers + guest_c + guest_headers + tests_c
    rows = [
        command_row("lint/layers", "python3", "tests/lint/layers.py"),
        command_row("lint/asm-numbers", "python3", "tests/lint/asm_numbers.py"),
        command_row("lint/golden-docs", "python3", "tests/host/golden.py", "check"),
        command_row("lint/format", "clang-format", "--dry-run", "-Werror", *everything),
        command_row("lint/cppcheck", *CPPCHECK, *host_c, *guest_c),
        command_row("lint/python", "python3", "-m", "py_compile", *files("tests/**/*.py")),
        each("headers-alone-gcc", headers, compiles("gcc", FREESTANDING)),
        each("headers-alone-clang", headers, compiles("clang", FREESTANDING)),
        each("clang", host_c, compiles("clang", FREESTANDING)),
        each("clang-tests", files("tests/**/*.c"), compiles("clang", HOSTED)),
        each("entry-shape", ["build/arch/vmx_enter.o"], entry_shape),
        each("entry-shape-refuses", files(BROKEN_ENTRIES), broken_entry_passes),
        each("guest-clang", guest_headers + guest_c, compiles("clang", guest_flags(FREESTANDING))),
    ]
    return rows


if __name__ == "__main__":
    ran = run_rows(lint_rows())
    sys.exit(1 if ran.failed or not ran.passed else 0)
