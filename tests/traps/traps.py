"""`make traps`: springs each trap of tests/traps/table.py in a copy of the tree, and looks whether its test fails.

    traps.py [--fast] [N ...]   all traps, or those; --fast: without what only an emulator shows

Tests are named host/PROGRAM:FUNCTION, shape (tests/lint/entry_shape.py), structure:N (tests/traps/structure.py), and
emu/ROW (tests/emu). Each must pass in the tree as it is. A mutation that no longer applies, does not build, or is not
noticed is a failure; so is a trap without a mutation that does not say why. JOBS=N in the environment: how many are
tried at a time (default: 2). The last line is `38 traps: N caught, M cannot be shown here`."""

import concurrent.futures
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time

from table import IN_PART, MUTATIONS, NOT_HERE, TITLES

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEFT_OUT = {ROOT / ".git", ROOT / "build/run", ROOT / "build/fuzz", ROOT / "build/tests/fuzz", ROOT / "build/tsan",
            ROOT / "build/model", ROOT / "build/lint"}
WORKERS = int(os.environ.get("JOBS") or min(2, os.cpu_count() or 1))
SECONDS = 300


class Unusable(Exception):
    """The trap could not be tried; the text says why."""


def copy_of(source, target, left_out=()):
    def ignored(folder, names):
        return [name for name in names if name == "__pycache__" or pathlib.Path(folder, name) in left_out]
    return shutil.copytree(source, target, symlinks=True, ignore=ignored)


def command(tree, *words, **environment):
    try:
        done = subprocess.run(words, cwd=tree, env=os.environ | environment, stdin=subprocess.DEVNULL, text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return 124, f"not done within {SECONDS} s"
    return done.returncode, done.stdout


def build(tree, *targets):
    status, output = command(tree, "make", "--silent", "--no-print-directory", "--jobs=2", *targets, MAKEFLAGS="")
    if status:
        raise Unusable(f"does not build:\n{output}")


def host(tree, test):
    """One function of a cmocka program."""
    program, function = test.split("/")[1].split(":")
    build(tree, f"build/tests/host/{program}")
    status, output = command(tree, f"build/tests/host/{program}", ONLY_TEST=function,
                             LD_PRELOAD=str(tree / "build/traps/only.so"),
                             ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
    if not re.search(rf"^\[ RUN      \] {function}$", output, re.MULTILINE):
        raise Unusable(f"no such function ran:\n{output}")
    return status == 0, output


def shape(tree, test):
    build(tree, "all")
    status, output = command(tree, "python3", "tests/lint/entry_shape.py", "build/arch/vmx_enter.o")
    return status == 0, output


def structure(tree, test):
    build(tree, "all")
    status, output = command(tree, "python3", "tests/traps/structure.py", test.split(":")[1])
    return status == 0, output


def emu(tree, test):
    build(tree, "all")
    status, output = command(tree, "python3", "tests/run/test.py", ROWS=test)
    if not re.search(rf"^\[1/1\] {re.escape(test)} \.\.\. (ok|FAILED) ", output, re.MULTILINE):
        raise Unusable(f"the row did not run:\n{output}")
    return status == 0, output


KINDS = {"host": host, "shape": shape, "structure": structure, "emu": emu}


def run_test(tree, test):
    """Whether it passed, and what it said."""
    return KINDS[re.match(r"\w+", test)[0]](tree, test)


def unmutated(tree, test):
    passed, output = run_test(tree, test)
    if not passed:
        raise Unusable(f"fails without the mutation:\n{output}")


def sprung(tree, mutation):
    path = tree / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise Unusable(f"does not apply: {mutation.file} has {text.count(mutation.old)} times {mutation.old!r}")
    path.write_text(text.replace(mutation.old, mutation.new))
    try:
        passed, output = run_test(tree, mutation.test)
    finally:
        path.write_text(text)
    if passed:
        raise Unusable("NOT CAUGHT: the test passes")
    if not re.search(mutation.says, output):
        raise Unusable(f"fails, but does not say {mutation.says!r}:\n{output}")


class Runner:
    """Jobs in as many trees as there are workers. A job is a name and a function of a tree."""

    def __init__(self, trees):
        self.trees = queue.Queue()
        for tree in trees:
            self.trees.put(tree)
        self.count = len(trees)

    def run(self, jobs):
        """{key: None, or why it went wrong}; shows each as it ends."""
        def one(name, function):
            tree, start = self.trees.get(), time.monotonic()
            try:
                function(tree)
                why = None
            except Unusable as unusable:
                why = str(unusable)
            except Exception as problem:  # must not take the others with it
                why = f"{type(problem).__name__}: {problem}"
            finally:
                self.trees.put(tree)
            return name, why, time.monotonic() - start

        results = {}
        with concurrent.futures.ThreadPoolExecutor(self.count) as pool:
            pending = {pool.submit(one, name, function): key for key, name, function in jobs}
            for done in concurrent.futures.as_completed(pending):
                name, why, seconds = done.result()
                results[pending[done]] = why
                print(f"[{len(results)}/{len(jobs)}] {name} ... {'FAILED' if why else 'ok'} {seconds:.1f}s", flush=True)
                if why:
                    print("\n".join("    " + line[:300] for line in why.splitlines()[:60]), flush=True)
        return results


def is_slow(test):
    return test.startswith("emu/")


def prepare(folder, tests):
    """The first tree, built."""
    tree = copy_of(ROOT, folder / "1", LEFT_OUT)
    programs = {f"build/tests/host/{test.split('/')[1].split(':')[0]}" for test in tests if test.startswith("host/")}
    build(tree, "all", *sorted(programs))
    (tree / "build/traps").mkdir(exist_ok=True)
    status, output = command(tree, "gcc", "-shared", "-fPIC", "-o", "build/traps/only.so", "tests/traps/only.c",
                             "-lcmocka")
    if status:
        raise Unusable(output)
    return tree


def spring(folder, mutations):
    """{index of the mutation: None or why}"""
    tests = sorted({m.test for m in mutations}, key=is_slow, reverse=True)  # the longest first
    first = prepare(folder, tests)
    trees = [first] + [copy_of(first, folder / str(n)) for n in range(2, WORKERS + 1)]
    runner = Runner(trees)
    print(f"{len(tests)} tests without a mutation", flush=True)
    broken = runner.run([(test, test, lambda tree, test=test: unmutated(tree, test)) for test in tests])
    print(f"{len(mutations)} mutations", flush=True)
    usable = sorted((i for i, m in enumerate(mutations) if broken[m.test] is None),
                    key=lambda i: is_slow(mutations[i].test), reverse=True)
    results = runner.run([(i, f"trap {mutations[i].trap}: {TITLES[mutations[i].trap]}: {mutations[i].test}",
                           lambda tree, i=i: sprung(tree, mutations[i])) for i in usable])
    return {i: results.get(i, f"{m.test} fails without the mutation") for i, m in enumerate(mutations)}


def main(arguments):
    fast = "--fast" in arguments
    wanted = sorted({int(word) for word in arguments if word != "--fast"} or TITLES)
    mutations = [m for m in MUTATIONS if m.trap in wanted and not (fast and is_slow(m.test))]
    if fast:
        wanted = [n for n in wanted if n in NOT_HERE or any(m.trap == n for m in mutations)]
    with tempfile.TemporaryDirectory(prefix="sluice-traps-") as folder:
        results = spring(pathlib.Path(folder), mutations) if mutations else {}
    caught = failed = 0
    for number in wanted:
        whys = [results[i] for i, m in enumerate(mutations) if m.trap == number]
        if whys and not any(whys):
            caught += 1
        elif whys or number not in NOT_HERE:
            failed += 1
            print(f"trap {number}: {TITLES[number]}: "
                  f"{'; '.join(why.splitlines()[0] for why in whys if why) or 'no mutation, and no reason why not'}")
        else:
            print(f"trap {number}: {TITLES[number]}: cannot be shown here: {NOT_HERE[number]}")
        if number in IN_PART:
            print(f"trap {number}: in part it cannot be shown here: {IN_PART[number]}")
    print(f"{len(wanted)} traps: {caught} caught, {len(wanted) - caught - failed} cannot be shown here", flush=True)
    return 1 if failed or not wanted else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Unusable as why:
        sys.exit(f"traps: {why}")
