"""A row is one thing to test: a name and a function that answers how it went. Rows run several at a time."""

import concurrent.futures
import dataclasses
import os
import subprocess
import time
from typing import Callable

from machine import ROOT


@dataclasses.dataclass
class Result:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    detail: str = ""  # why it failed or was skipped; of one that passed, what it measured


@dataclasses.dataclass
class Row:
    name: str
    run: Callable[[], Result]


def command(*words, seconds=300, **environment):
    """Runs a command in the root; returns its exit status and all that it printed."""
    try:
        done = subprocess.run(words, cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    except FileNotFoundError as missing:
        return 127, str(missing)
    except subprocess.TimeoutExpired as late:
        return 124, f"{(late.output or b'').decode(errors='replace')}\nnot done within {seconds} s"
    return done.returncode, done.stdout.decode(errors="replace")


def command_row(name, *words, seconds=300):
    """A row that passes when the command does."""
    def run():
        status, output = command(*words, seconds=seconds)
        return Result(passed=1) if status == 0 else Result(failed=1, detail=output or f"exit status {status}")
    return Row(name, run)


def run_rows(rows, workers=2):
    """Runs the rows, shows each as it ends; returns the sum."""
    total = Result()

    def timed(row):
        start = time.monotonic()
        try:
            result = row.run()
        except Exception as problem:  # a fault of the row's own must not take the others with it
            result = Result(failed=1, detail=f"{type(problem).__name__}: {problem}")
        if not (result.passed or result.failed or result.skipped):
            result = Result(failed=1, detail="nothing ran")
        return row, result, time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        pending = [pool.submit(timed, row) for row in rows]
        for count, done in enumerate(concurrent.futures.as_completed(pending), 1):
            row, result, seconds = done.result()
            word = "FAILED" if result.failed else "ok" if result.passed else "skipped"
            note = f" ({result.detail})" if result.skipped else ""
            print(f"[{count}/{len(rows)}] {row.name} ... {word} {seconds:.1f}s{note}", flush=True)
            if result.detail and not result.skipped:
                print("\n".join("    " + line for line in result.detail.splitlines()), flush=True)
            total.passed += result.passed
            total.failed += result.failed
            total.skipped += result.skipped
    return total
