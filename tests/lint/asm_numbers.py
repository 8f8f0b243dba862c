"""No number but 0, 1 and 8 may stand in the hypervisor's .asm and .inc files: the others come from C by name. Exits 1
with those that do. (Guests are built without the list of offsets; they name their numbers themselves.)

Not counted: comments, strings, names (r8, .1), macro parameters (%1), the count of a macro's parameters, `bits 64`."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALLOWED = {"0", "1", "8"}

STRING = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
COMMENT = re.compile(r";.*")
DIRECTIVE = re.compile(r"^\s*(\[?bits\s+\d+\]?|%i?macro\s+\w+\s+[\d\-*+]+)", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.$%@?{])\d\w*")


def numbers(text):
    """(line number, number) for each that is not allowed."""
    for at, line in enumerate(text.splitlines(), 1):
        line = DIRECTIVE.sub("", COMMENT.sub("", STRING.sub("", line)))
        yield from ((at, number) for number in NUMBER.findall(line) if number not in ALLOWED)


def main(paths):
    bad = [f"{path.relative_to(ROOT)}:{at}: {number}" for path in paths for at, number in numbers(path.read_text())]
    print("\n".join(bad))
    sys.exit(1 if bad or not paths else 0)


if __name__ == "__main__":
    main([path for top in ("boot", "arch", "hv") for path in sorted((ROOT / top).rglob("*.*"))
          if path.suffix in (".asm", ".inc")])
