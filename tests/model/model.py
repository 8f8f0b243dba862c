"""`model/...` rows: spin searches tests/model/handshake.pml exhaustively, as it is and with each deliberate mistake."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/run"))
from rows import Result, Row, command, run_rows

MODEL = ROOT / "tests/model/handshake.pml"
ASSERTION = "assertion violated"
DEADLOCK = "invalid end state"

# Each search covers less than it says if one of these is in its output.
CUT_SHORT = re.compile(r"max search depth too small|out of memory|Search not completed", re.IGNORECASE)
SEARCHED_FOR = re.compile(r"assertion violations\s+\+\n(?:.*\n)?\s*invalid end states\s+\+")
ERRORS = re.compile(r"errors: (\d+)$", re.MULTILINE)
STORED = re.compile(r"(\d+) states, stored")
STORED_LEAST = 1000000
FOUND = re.compile(r"^pan:1: (.*?) \(at depth", re.MULTILINE)
# A process without end never comes to its "-end-"; all else is to be reached.
UNREACHED = re.compile(r'^\s+\S+:\d+, state \d+, (?!"-end-").*', re.MULTILINE)
PROCESS = re.compile(r"^unreached in (?:proctype )?(\w+)$", re.MULTILINE)
TOGETHER = {"drain", "nmi", "pcpu", "init"}
APART = TOGETHER | {"console"}


def search(folder, *macros):
    """Makes the searcher and runs it; returns its output, or raises with what went wrong."""
    (ROOT / folder).mkdir(parents=True, exist_ok=True)
    flags = [f"-D{macro}" for macro in macros]
    for words in (["spin", *flags, "-a", str(MODEL)], ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"],
                  ["./pan", "-m100000"]):
        status, output = command("env", "-C", folder, *words)
        if status:
            raise RuntimeError(f"{' '.join(words)}: exit status {status}\n{output}")
    return output


def holds(output, processes):
    """Why this is not a complete search without a fault, or None."""
    errors, stored, cut = ERRORS.search(output), STORED.search(output), CUT_SHORT.search(output)
    if not errors or errors[1] != "0":
        return "a counterexample"
    if cut:
        return f"not a complete search: {cut[0]}"
    if not SEARCHED_FOR.search(output):
        return "did not look for assertions and invalid end states"
    if not stored or int(stored[1]) < STORED_LEAST:
        return f"fewer than {STORED_LEAST} states: the model has shrunk"
    if set(PROCESS.findall(output)) != processes:
        return f"not the processes {sorted(processes)}"
    unreached = UNREACHED.search(output)
    return f"never reached: {unreached[0].strip()}" if unreached else None


def holds_row(name, *configurations):
    """Passes when each configuration (processes, macros) has been searched to its end without a fault."""
    def run():
        for number, (processes, *macros) in enumerate(configurations):
            output = search(f"build/model/{name}-{number}", *macros)
            why = holds(output, processes)
            if why:
                return Result(failed=1, detail=f"{' '.join(macros)}: {why}\n{output}")
        return Result(passed=1)
    return Row(f"model/{name}", run)


def refuted_row(name, kind, *macros):
    """Passes when spin finds exactly this kind of counterexample."""
    def run():
        output = search(f"build/model/{name}", *macros)
        errors, found = ERRORS.search(output), FOUND.search(output)
        if errors and errors[1] == "1" and found and found[1].startswith(kind):
            return Result(passed=1)
        return Result(failed=1, detail=f"the mistake was not found ({kind})\n{output}")
    return Row(f"model/{name}", run)


def model_rows():
    return [
        holds_row("handshake", (TOGETHER,), (APART, "APART")),
        holds_row("handshake-sealed", (TOGETHER, "SEALED"), (APART, "SEALED", "APART")),
        refuted_row("bit-first", ASSERTION, "BUG_BIT_FIRST", "APART"),
        refuted_row("early-ok", ASSERTION, "BUG_EARLY_OK"),
        refuted_row("first-reader", ASSERTION, "BUG_FIRST_READER"),
        refuted_row("trap38-no-fence", ASSERTION, "BUG_NO_FENCE"),
        refuted_row("lost-kick", DEADLOCK, "BUG_LOST_KICK"),
    ]


if __name__ == "__main__":
    ran = run_rows(model_rows())
    sys.exit(1 if ran.failed or not ran.passed else 0)
