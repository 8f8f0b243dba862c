"""`make test`: builds, then runs host tests, fuzzers, the model, lint and the emulator's rows. ROWS=pattern picks rows by name."""

import fnmatch
import os
import pathlib
import re
import sys

from machine import ROOT
from rows import Result, Row, command, command_row, run_rows
from run_tests import run_rows_of_tests

sys.path += [str(ROOT / "tests" / folder) for folder in ("audit", "bench", "compare", "emu", "lint", "model")]
from bench_tests import bench_rows_of_tests, bench_user_rows
from check import audit_rows
from compare import compare_rows
from emu import emu_rows
from lint import lint_rows
from model import model_rows

# The sums that cmocka prints at the end of each group.
CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.MULTILINE)
CMOCKA_FAILED = re.compile(r"^ *(\d+) FAILED TEST", re.MULTILINE)
FUZZ_COMMENT = re.compile(r"/\* fuzz: max_len=(\d+) runs=(\d+) \*/")


def build_row(*targets):
    jobs = f"--jobs={os.cpu_count()}"
    return command_row(f"build/{targets[0]}", "make", "--silent", "--no-print-directory", jobs, *targets, seconds=600)


def host_row(source):
    """One cmocka program; each of its functions counts, a crash as one that failed."""
    def run():
        status, output = command(f"build/tests/host/{source.stem}")
        passed, failed = (sum(map(int, words.findall(output))) for words in (CMOCKA_PASSED, CMOCKA_FAILED))
        if status == 0 and not failed:
            return Result(passed=passed)
        return Result(passed=passed, failed=max(failed, 1), detail=output)
    return Row(f"host/{source.stem}", run)


def fuzz_row(source):
    limits = FUZZ_COMMENT.match(source.read_text())
    if not limits:
        return Row(f"fuzz/{source.stem}", lambda: Result(failed=1, detail="line 1 is not /* fuzz: max_len=N runs=N */"))
    artifacts = f"-artifact_prefix=build/tests/fuzz/{source.stem}-"
    return command_row(f"fuzz/{source.stem}", f"build/tests/fuzz/{source.stem}", "-seed=1", "-verbosity=0", artifacts,
                       f"-max_len={limits[1]}", f"-runs={limits[2]}")


def stress_row(name, expected, *arguments, status=0, **environment):
    """Passes when the program prints what is expected, ends as it should, and ThreadSanitizer is silent."""
    def run():
        ended, output = command("build/tests/host/stress_handshake", "20000", *arguments, **environment)
        if ended == status and re.search(expected, output, re.MULTILINE) and "WARNING" not in output:
            return Result(passed=1)
        return Result(failed=1, detail=output or f"exit status {ended}")
    return Row(f"stress/{name}", run)


def stress_rows():
    # The mistakes are to be found by what is asserted.
    mistakes = [stress_row(f"handshake-{name}", "^stress: violated: G[15]", name, status=1, TSAN_OPTIONS="report_bugs=0")
                for name in ("bit-late", "bit-first", "early-ok")]
    return [stress_row("handshake", r"^stress: sets=20000 entries=\d+ .* violations=0$")] + mistakes


def trap_rows():
    """`make traps` springs those too that only an emulator shows."""
    return [command_row("traps/structure", "python3", "tests/traps/structure.py"),
            command_row("traps/fast", "python3", "tests/traps/traps.py", "--fast", seconds=600)]


def main():
    pattern = os.environ.get("ROWS") or "*"
    host = sorted(pathlib.Path(ROOT, "tests/host").glob("test_*.c"))
    fuzz = sorted(pathlib.Path(ROOT, "tests/fuzz").glob("fuzz_*.c"))
    linux, emu = [], []
    for row in emu_rows():
        (linux if row.name.startswith("emu/linux-") else emu).append(row)
    groups = {  # what is built: the rows that want it
        "linux all": linux,  # they take the longest
        "all": lint_rows() + audit_rows() + emu + compare_rows() + trap_rows() + bench_rows_of_tests() +
               run_rows_of_tests(),
        "host-tests": [host_row(source) for source in host],
        "bench-user": bench_user_rows(),
        "fuzzers": [fuzz_row(source) for source in fuzz],
        "stress-tests": stress_rows() + model_rows(),
    }
    wanted = {target: [row for row in rows if fnmatch.fnmatch(row.name, pattern)] for target, rows in groups.items()}
    total = Result()
    rows = []
    for target, group in wanted.items():
        if not group:
            continue
        built = run_rows([build_row(*target.split())])
        total.passed += built.passed
        total.failed += built.failed
        if built.failed:
            total.skipped += len(group)
        else:
            rows += group
    ran = run_rows(rows, workers=max(2, (os.cpu_count() or 2) // 2))
    passed, failed, skipped = (getattr(total, key) + getattr(ran, key) for key in ("passed", "failed", "skipped"))
    if not any(wanted.values()):
        print(f"no row matches {pattern!r}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    sys.exit(1 if failed or not ran.passed else 0)


if __name__ == "__main__":
    main()
