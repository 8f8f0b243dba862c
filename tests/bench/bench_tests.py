"""Rows of `make test` for `make bench`: the parser, the page, the program in user mode, the counting in Bochs."""

import dataclasses
import math
import os
import pathlib
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from html import escape

import bench_rows
import charts
import exit_trace
from bench import tick_of
from machine import ROOT, Machine, names
from page import TICK, Run, make_page
from rows import Result, Row, command

MADE_UP = ROOT / "tests/bench/made-up.txt"
DEBIAN_PYTHON = "/usr/bin/python3"

# What an element may not be, and what no attribute may be called, on a page that fetches and runs nothing.
FETCHING_TAGS = {"script", "link", "img", "image", "iframe", "object", "embed", "base", "audio", "video", "form"}
FETCHING_ATTRIBUTES = {"src", "srcset", "data", "action", "poster", "background"}
NAMESPACE = "{http://www.w3.org/2000/svg}"

# The shape of what matplotlib writes, with all that must not come on the page.
DRAWN = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></metadata>
 <defs><style type="text/css">*{stroke-linecap: butt}</style><path id="m1" style="stroke: #010203"/></defs>
 <g id="figure_1" clip-path="url(#p1)"><use xlink:href="#m1" style="fill: #0a0b01"/></g>
 <defs><clipPath id="p1"><path d="M 0 0" style="stroke: #010204"/></clipPath></defs>
</svg>
"""


def made_up(transform=lambda row: row):
    return [transform(row) for row in bench_rows.parse_rows(MADE_UP.read_text().splitlines())]


def checked(name, find_faults):
    """A row that passes when the function yields no complaint."""
    def run():
        faults = list(find_faults())
        return Result(failed=1, detail="\n".join(faults)) if faults else Result(passed=1)
    return Row(f"bench/{name}", run)


# ---- rows ----


def parser_faults():
    rows = made_up()
    lines = [line for line in MADE_UP.read_text().splitlines() if re.match(r"(fast\| )?bench ", line)]
    if len(rows) != len(lines) - 1:  # `bench list` is a command
        yield f"{len(rows)} rows from {len(lines)} lines that begin with `bench`"
    by_name = {row.name: row for row in rows}
    if by_name["l1d-msr"].unsupported != "this CPU has no IA32_FLUSH_CMD":
        yield f"unsupported: {by_name['l1d-msr']}"
    if by_name["verw"].unsupported is not None or by_name["verw"].number("median") != 1:
        yield f"measured: {by_name['verw']}"
    if by_name["of-the-future"].keys.get("colour") != "blue & <green>" or "sealed" not in by_name["of-the-future"].keys:
        yield f"unknown keys are lost: {by_name['of-the-future']}"
    if by_name["user-verw"].label != "vm=fast user":
        yield f"printed by a guest: {by_name['user-verw']}"
    if by_name["rate"].label != "l1d:always:soft,verw:on,dis:off k=0":
        yield f"label: {by_name['rate'].label!r}"
    for line in ("ok", "bench", "bench list", "benchmark a=1", "[ bench verw n=1", "error: bench x=1",
                 "vm| bench list"):
        if bench_rows.parse_row(line) is not None:
            yield f"taken for a row: {line!r}"


def kept_faults():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "rows.tsv")
        bench_rows.write_tsv(path, made_up())
        if bench_rows.read_tsv(path) != made_up():
            yield "rows that were kept and read again differ"
        text = path.read_text()
        broken = {"no header": text.partition("\n")[2], "a short line": text + "verw\t1\n", "nothing": ""}
        for what, bad in broken.items():
            path.write_text(bad)
            try:
                bench_rows.read_tsv(path)
                yield f"a file with {what} is taken"
            except bench_rows.BadRows as why:
                if str(path) not in str(why):
                    yield f"the complaint does not name the file: {why}"


# ---- pages ----


def page_faults(html, rows):
    """What keeps this from being a page that stands alone and holds each number of the rows."""
    try:
        tree = ElementTree.fromstring(html.partition("\n")[2])
    except ElementTree.ParseError as problem:
        yield f"not well-formed: {problem}"
        return
    identities = []
    for element in tree.iter():
        name = element.tag.replace(NAMESPACE, "")
        if name in FETCHING_TAGS:
            yield f"<{name}> on the page"
        for key, value in element.attrib.items():
            if key in FETCHING_ATTRIBUTES or key.startswith("on") or (key == "href" and not value.startswith("#")):
                yield f"<{name} {key}={value!r}>"
        identities += [element.attrib["id"]] if "id" in element.attrib else []
    doubles = {identity for identity in identities if identities.count(identity) > 1}
    if doubles:
        yield f"id used twice: {sorted(doubles)[:5]}"
    for link in set(re.findall(r"[a-z]+://[^\"'<\s)]*", html)) - {NAMESPACE[1:-1]}:
        yield f"an address outside: {link}"
    if re.search(r"@import|url\((?!#)", html):
        yield "the style sheet fetches something"
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        for colour in set(re.findall(r"(?:fill|stroke): (#\w+)", svg)):
            yield f"a chart has a colour of its own, that does not follow dark or light: {colour}"
        if not re.search(r"var\(--s\d\)", svg):
            yield "a chart has none of the page's colours"
    if "prefers-color-scheme: dark" not in html:
        yield "no style for dark"
    shown = [cell.text or "" for cell in tree.iter("td")]
    for row in rows:
        for key, value in row.keys.items():
            if value not in shown:
                yield f"not in a table: {row.name} {key}={value}"


class DrawnCharts:
    """Stands in for the plotting library: each chart is DRAWN."""

    KINDS = ("bars", "stacked", "lines")

    def __enter__(self):
        self.real = {kind: getattr(charts, kind) for kind in self.KINDS}
        for kind in self.KINDS:
            setattr(charts, kind, lambda identity, *_: charts.clean(DRAWN, identity))

    def __exit__(self, *_):
        for kind, function in self.real.items():
            setattr(charts, kind, function)


PHASE = bench_rows.BenchRow("exit-phase", {"kind": "cpuid", "strategy": "l1d:never", "phase": "loop",
                                           "instructions": "23"})


def tick_faults():
    """Each machine's page says what a tick is there."""
    said = {name: tick_of(Machine(name)) for name in names()}
    wanted = {name: "instruction" if name.startswith("bochs-") else "outer" if name == "kvm" else "translated"
              for name in said}
    if said != wanted:
        yield f"ticks: {said}"
    for tick in set(said.values()):
        if escape(TICK[tick]) not in make_page([Run([bench_rows.BenchRow("run", {"tick": tick})])]):
            yield f"a page does not say what {tick} means"


def page_alone_faults():
    yield from tick_faults()
    rows = [*made_up(), PHASE]
    with DrawnCharts():
        html = make_page([Run(rows, source="made-up")])
    yield from page_faults(html, rows)
    if not re.search(r"<tr><th>name</th><th>kind</th><th>strategy</th><th>phase</th><th>instructions</th></tr>", html):
        yield "the phases have no table of their own"
    for text in ("Exits", "Single steps", "Strategies", "Taking turns, and alone", "Other rows"):
        if f"<h2>{text}</h2>" not in html:
            yield f"no section {text}"


def undrawable(thing):
    """What no chart can draw, in the arguments of one."""
    if isinstance(thing, dict):
        thing = [*thing.keys(), *thing.values()]
    if isinstance(thing, (list, tuple)):
        return [fault for part in thing for fault in undrawable(part)]
    return [] if isinstance(thing, str) or thing is not None and math.isfinite(thing) else [thing]


def damaged_faults():
    """Rows of which a cell is empty or nonsense: a page all the same, of what is left."""
    rows = [*made_up(), PHASE]
    with DrawnCharts():
        for kind in DrawnCharts.KINDS:
            setattr(charts, kind, lambda *parts: found.extend(undrawable(parts)) or "")
        for at, row in enumerate(rows):
            for key, value in ((key, value) for key in row.keys for value in (None, "x", "nan", "1e999")):
                left = {name: text for name, text in row.keys.items() if name != key}
                bad = dataclasses.replace(row, keys=left if value is None else left | {key: value})
                found = []
                try:
                    make_page([Run([*rows[:at], bad, *rows[at + 1:]], source="damaged")])
                except (KeyError, ValueError, TypeError, ZeroDivisionError) as problem:
                    found.append(repr(problem))
                if found:
                    yield f"{row.name} {key}={value}: {found}"


def dearer(row):
    """The same row with thrice the median."""
    median = row.number("median")
    return dataclasses.replace(row, keys=row.keys | {"median": str(int(3 * median))}) if median else row


def side_by_side_faults():
    with DrawnCharts():
        html = make_page([Run(made_up(), "A:", "before.txt"), Run(made_up(dearer), "B:", "after.txt")])
    yield from page_faults(html, made_up() + made_up(dearer))
    cells = re.findall(r"<tr>((?:<td[^>]*>[^<]*</td>)+)</tr>", html)
    for title in ("A: before.txt", "B: after.txt"):
        if f"<h3>{title}</h3>" not in html:
            yield f"no heading {title}"
    if html.count("Nothing here tells the machine") != 2 or "ticks of the TSC" in html:
        yield "a console's text does not tell the machine, but the page does"
    compared = [re.findall(r">([^<]*)</td>", line) for line in cells]
    if ["exit-cpuid", "l1d:never,verw:on,dis:off", "220", "660", "3.00"] not in compared:
        yield "no line that compares exit-cpuid"


def made_by_make(name, find_faults):
    """A row about the page, if the plotting library is there."""
    def run():
        if subprocess.run([DEBIAN_PYTHON, "-c", "import matplotlib"], capture_output=True).returncode:
            return Result(skipped=1, detail="python3-matplotlib is not installed: `make bench` does it")
        return checked(name, find_faults).run()
    return Row(f"bench/{name}", run)


def make_bench(out, *variables):
    """Runs `make bench`; returns what went wrong, or None, and what it printed."""
    status, output = command("make", "--silent", "bench", f"OUT={out}", *variables, MAKEFLAGS="", seconds=300)
    good = status == 0 and output.splitlines()[-1].startswith(f"bench: ok: {out}.html")
    return None if good else f"exit status {status}\n{output}", output


def drawn_faults():
    """The page with real charts, from a saved run."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/page"
        fault, _ = make_bench(out, f"A={MADE_UP}")
        if fault:
            yield fault
            return
        html = pathlib.Path(f"{out}.html").read_text()
    yield from page_faults(html, made_up())
    if html.count("<svg") < 8 or ">exit-cpuid<" not in html:
        yield "charts are missing"


def whole_faults():
    """All of it on a machine: in under five minutes, every row that was printed is kept and shown."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/whole"
        fault, output = make_bench(out, "MACHINE=bochs-skylake")
        if fault:
            yield fault
            return
        html = pathlib.Path(f"{out}.html").read_text()
        kept = bench_rows.read_tsv(pathlib.Path(f"{out}.tsv"))
    yield from page_faults(html, [row for row in kept if row.name != "console"])
    for row in kept:
        if row.name == "console" and escape(row.keys.get("text", "")) not in html:
            yield f"not in the transcript: {row}"
    wanted = ("run", "console", "exit-cpuid", "strategy", "rate", "exit-count", "exit-phase")
    missing = set(wanted) - {row.name for row in kept}
    if missing:
        yield f"no rows {sorted(missing)}"
    if any(row not in kept for row in bench_rows.parse_rows(output.splitlines())):
        yield "a row that was printed is not kept"
    if '<p class="note">This machine is Bochs: a tick is an instruction.' not in html:
        yield "the page does not say what a tick is"


# ---- user mode ----


def user_faults():
    status, output = command("build/tests/bench/user")
    rows = bench_rows.parse_rows(output.splitlines())
    if status or len(rows) != 4:
        yield f"exit status {status}, {len(rows)} rows: {output}"
    for row in rows:
        if row.unsupported is not None:
            continue
        numbers = [row.number(key) for key in ("min", "median", "p99", "n", "repeats", "step")]
        if None in numbers:
            yield f"a number is missing: {row}"
        elif not (0 <= numbers[0] <= numbers[1] <= numbers[2] and min(numbers[3:]) > 0):
            yield f"not in order: {row}"
        elif row.name.startswith("user-l1d-soft") and row.number("min") == 0:
            yield f"a flush that takes no time: {row}"


def instructions(path, first, last):
    """What stands in an object from the first instruction that matches to the last, without addresses."""
    text = subprocess.run(["objdump", "-d", "-M", "intel", "--no-show-raw-insn", path], check=True, capture_output=True,
                          text=True, cwd=ROOT).stdout
    found, inside = [], False
    for line in re.findall(r"^\s*[0-9a-f]+:\t(.*?)\s*$", text, re.MULTILINE):
        line = re.sub(r"\s*[#<].*|^(j\w+).*", r"\1", line)
        inside = inside or re.match(first, line) is not None
        if inside:
            found.append(line)
            if re.match(last, line):
                return found
    return []


def same_code_faults():
    """The flush that is timed is the hypervisor's."""
    flush = [instructions(path, r"lea\s+r9,", "lfence") for path in
             ("build/arch/vmx_enter.o", "build/tests/bench/user_asm.o")]
    if len(flush[0]) < 40 or flush[0] != flush[1]:
        yield f"the flush of vmx_enter.asm and of user.asm differ: {flush}"


def user_row(name, find_faults):
    row = checked(name, find_faults)

    def run():
        if os.uname().machine != "x86_64":
            return Result(skipped=1, detail=f"this is {os.uname().machine}, not x86-64")
        return row.run()
    return Row(row.name, run)


# ---- counting in Bochs ----


def table_faults():
    """docs/measuring.md says what each way to switch FB_CLEAR_DIS adds to the instructions of a CPUID exit."""
    text = (ROOT / "docs/measuring.md").read_text()
    said = {way: int(adds) for way, adds in re.findall(r"^\| `(cached|toggle|msrlist)` \|.*\| (\d+) \|$", text, re.M)}
    options = ["rsb=off", "bhb=off"]
    counts = {way: exit_trace.median_sample(exit_trace.trace("bochs-fbclear", [f"fb_clear_dis={way}", *options],
                                                               exit_trace.CFG_FAST)
                                            ["cpuid"])["instructions"] for way in ("off", "cached", "toggle", "msrlist")}
    found = {way: count - counts["off"] for way, count in counts.items() if way != "off"}
    if said != found:
        yield f"docs/measuring.md has {said}, but it is {found}"


def exit_count_faults():
    found = exit_trace.trace("bochs-skylake", exit_trace.BUDGET_OPTIONS)
    typical = {kind: exit_trace.median_sample(samples) for kind, samples in found.items()}
    for kind, sample in typical.items():
        if sum(sample["phases"].values()) != sample["instructions"]:
            yield f"{kind}: the phases come to {sum(sample['phases'].values())}, not to {sample['instructions']}"
        if sample["verw"] != 1 or sample["vmread"] < 1:
            yield f"{kind}: {sample['verw']} VERW, {sample['vmread']} VMREAD"
        # What is in no other phase is the same for all: nothing of a handler got lost.
        if sample["phases"][exit_trace.REST] != typical["cpuid"]["phases"][exit_trace.REST]:
            yield f"{kind}: {sample['phases']}"
        if len(found[kind]) < 3:
            yield f"{kind}: {len(found[kind])} samples"
    for phase, _ in exit_trace.PHASES:
        if phase != "L1D flush by software" and not all(sample["phases"][phase] for sample in typical.values()):
            yield f"nothing is in the phase {phase!r}: have its functions other names now?"
    yield from table_faults()
    if any(sample["phases"]["L1D flush by software"] for sample in typical.values()):
        yield "there is no flush, but some instructions are said to be one"
    flushed = exit_trace.median_sample(exit_trace.trace("bochs-skylake", ["vmentry_l1d_flush=always"])["cpuid"])
    lines = 65536 // 64 + 65536 // 4096
    if not lines < flushed["phases"]["L1D flush by software"] < 2 * lines:
        yield f"the flush of {lines} reads: {flushed['phases']}"


def bench_rows_of_tests():
    return [checked("parser", parser_faults), checked("kept", kept_faults), checked("page", page_alone_faults),
            checked("damaged", damaged_faults),
            checked("side-by-side", side_by_side_faults), checked("exit-count", exit_count_faults),
            made_by_make("charts", drawn_faults), made_by_make("whole", whole_faults)]


def bench_user_rows():
    return [user_row("user", user_faults), user_row("same-code", same_code_faults)]
