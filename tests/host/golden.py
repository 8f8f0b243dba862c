"""The golden table in the docs. `golden.py check` compares docs/mitigations.md with tests/host/golden_plan.txt, `golden.py
write` renders the one into the other. test_golden_plan.c makes the text; `make golden` does both."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/host/golden_plan.txt"
DOCS = ROOT / "docs/mitigations.md"
BLOCK = re.compile(r"(<!-- golden: (?P<title>[^>]+) -->\n).*?(<!-- end of golden -->\n)", re.DOTALL)


def markdown_row(cells):
    return f"| {' | '.join(cells)} |\n"


def tables(text):
    """Title to Markdown, for each of the blank-line-separated tables: a title, the columns, rows of words."""
    rendered = {}
    for block in text.strip().split("\n\n"):
        title, columns, *rows = block.split("\n")
        head = columns.split()
        if not title.startswith("# ") or not rows or any(len(row.split()) != len(head) for row in rows):
            sys.exit(f"{GOLDEN.name}: {title}: not a title, columns and rows of as many words")
        lines = [[column.replace("_", "\\_") for column in head], ["---"] * len(head)]
        lines += [[cell.replace("_", "\\_") for cell in row.split()] for row in rows]
        rendered[title[2:]] = "".join(map(markdown_row, lines))
    return rendered


def main():
    if sys.argv[1:] not in (["check"], ["write"]):
        sys.exit("usage: golden.py check|write")
    golden = tables(GOLDEN.read_text())
    docs = DOCS.read_text()
    shown = [block["title"] for block in BLOCK.finditer(docs)]
    if sorted(shown) != sorted(golden):
        sys.exit(f"{DOCS.name}: shows {sorted(shown)}, the golden table has {sorted(golden)}")
    wanted = BLOCK.sub(lambda block: block[1] + golden[block["title"]] + block[3], docs)
    if sys.argv[1] == "write":
        DOCS.write_text(wanted)
    elif wanted != docs:
        sys.exit(f"{DOCS.name} is not in step with {GOLDEN.name}: make golden")


if __name__ == "__main__":
    main()
