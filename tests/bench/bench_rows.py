"""The rows of `bench`, as the console prints them and as they are kept.

A row is `bench NAME key=value ...` (docs/measuring.md); a value with blanks stands in double quotes; a word without an
`=` is a flag (`unsupported`). One that a guest has printed (`fast| bench user-verw ...`) gets the key `vm`. Keys that
nobody here knows are kept as they are. In a file of rows each key has a column; an empty cell is a key that the row
does not have. What else a page shows is kept in rows, too: `run` says where the numbers come from, `console` holds a
line of the transcript."""

import dataclasses
import math
import re

MAGIC = "name"
WORD = re.compile(r'(?P<key>[^\s="]+)(?:=(?:"(?P<quoted>[^"]*)"|(?P<plain>\S*)))?(?=\s|$)')


class BadRows(Exception):
    """A file that holds no rows; the text says where and why."""


@dataclasses.dataclass
class BenchRow:
    name: str
    keys: dict[str, str]

    def number(self, key):
        """The value as a number, or None if there is none that can be drawn."""
        try:
            value = float(self.keys[key])
        except (KeyError, ValueError):
            return None
        return value if math.isfinite(value) else None

    @property
    def unsupported(self):
        """Why the machine lacks it, or None if it was measured."""
        return self.keys.get("reason", "no reason was given") if "unsupported" in self.keys else None

    @property
    def label(self):
        """What tells this row from the others of its name."""
        words = [self.keys[key] if key == "strategy" else f"{key}={self.keys[key]}"
                 for key in ("vm", "strategy", "kind", "phase", "k", "turn", "fb_clear_dis") if self.keys.get(key, "-") != "-"]
        return " ".join(words)


def parse_row(line):
    """The row of a line of the console, or None."""
    match = re.match(r"(?:(?P<vm>[\w-]+)\| )?bench (?P<name>\S+)(?P<words>.*)", line)
    if not match or "=" in match["name"]:
        return None
    keys = {"vm": match["vm"]} if match["vm"] else {}
    for word in WORD.finditer(match["words"]):
        value = word["quoted"] if word["quoted"] is not None else word["plain"]
        keys[word["key"]] = "yes" if value is None else value
    return BenchRow(match["name"], keys) if keys.keys() - {"vm"} else None


def parse_rows(lines):
    return [row for row in map(parse_row, lines) if row]


def cell(text):
    return re.sub(r"[\t\r\n]", " ", text)


def write_tsv(path, rows):
    columns = list(dict.fromkeys(key for row in rows for key in row.keys))
    lines = [[MAGIC, *columns], *[[row.name, *[row.keys.get(key, "") for key in columns]] for row in rows]]
    path.write_text("".join("\t".join(map(cell, line)) + "\n" for line in lines))


def is_tsv(path):
    with open(path, errors="replace") as file:
        return file.readline().split("\t")[0].rstrip("\n") == MAGIC


def read_tsv(path):
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise BadRows(f"{path}: {problem}: give a file that `make bench` has written") from problem
    if not lines or lines[0].split("\t")[0] != MAGIC:
        raise BadRows(f"{path}: line 1 does not begin with the column {MAGIC!r}: this is no file of `make bench`")
    columns = lines[0].split("\t")
    rows = []
    for at, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise BadRows(f"{path}: line {at}: {len(cells)} cells under {len(columns)} columns")
        rows.append(BenchRow(cells[0], {key: value for key, value in zip(columns[1:], cells[1:]) if value}))
    return rows
