"""Rows `audit/...`: tests/audit/audit.py passes the clean traces and finds each planted fault under its rule. That the
hypervisor's own rules do, and count alike, is a host test (tests/host/test_audit.c)."""

import pathlib
import subprocess
import sys

from rows import Result, Row, command

HERE = pathlib.Path(__file__).resolve().parent
AUDIT, PLANT = HERE / "audit.py", HERE / "plant.py"


def final_row(lines):
    """What audit.py makes of a saved trace: its last line."""
    done = subprocess.run([sys.executable, str(AUDIT)], input="\n".join(lines), capture_output=True, text=True)
    return done.stdout.splitlines()[-1] if done.stdout else done.stderr


def check(name, rule):
    status, trace = command(sys.executable, str(PLANT), name)
    if status:
        return Result(failed=1, detail=trace)
    done = subprocess.run([sys.executable, str(AUDIT), "--rules"], input=trace, capture_output=True, text=True)
    found = done.stdout.split()
    if (not found and done.returncode == 0) if rule == "-" else (rule in found and done.returncode == 1):
        return Result(passed=1)
    return Result(failed=1, detail=f"rule {rule}, found {found}\n{done.stderr}")


def audit_rows():
    status, faults = command(sys.executable, str(PLANT), "--list")
    if status:
        return [Row("audit/list", lambda: Result(failed=1, detail=faults))]
    return [Row(f"audit/{name}", lambda name=name, rule=rule: check(name, rule))
            for name, rule in map(str.split, faults.splitlines())]
