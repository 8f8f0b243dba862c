"""One self-contained HTML page of one saved run of `bench`, or of two side by side: charts, and the raw numbers under
them. The page fetches nothing, needs no script, and is well-formed XML, so that a test can take it apart."""

import pathlib
from html import escape

import charts

STYLE = pathlib.Path(__file__).with_name("page.css").read_text()

TICK = {
    "instruction": "This machine is Bochs: a tick is an instruction. A VM transition, an MSR write, a cache miss and a "
                   "VERW take one tick each. The figures say how much is executed. They are not times, and nothing "
                   "follows from them about cycles.",
    "tsc": "Ticks are those of the time-stamp counter, whose pace is not that of the core's clock.",
    "unknown": "Nothing here tells the machine: on a CPU ticks are those of the time-stamp counter, whose pace is not that "
               "of the core's clock; in Bochs a tick is an instruction, and nothing follows from it about cycles.",
    "outer": "Sluice ran in a virtual machine: each of its VM transitions costs several of the hypervisor beneath, and "
             "its MSR accesses may exit to that one. All of this is in the figures.",
    "translated": "This machine is QEMU's own emulation: ticks are those of the computer's time-stamp counter while QEMU "
                  "translates and calls its helpers. They are the emulator's times, no CPU's.",
}

UNIT = {"instruction": "ticks (instructions)", "unknown": "ticks"}

EXITS = tuple(f"exit-{kind}" for kind in ("cpuid", "rdmsr", "wrmsr", "vmcall", "io", "mmio"))
STEPS = ("l1d-msr", "l1d-soft", "verw", "rdmsr-mcu", "wrmsr-mcu")
ABOUT_RUN = ("run", "console", "developer", "vulnerability")
COUNTS = {"mcu_reads": "RDMSR MCU_OPT_CTRL", "mcu_writes": "WRMSR MCU_OPT_CTRL", "verw": "VERW",
          "l1d_msr": "L1D flush by MSR", "l1d_soft": "L1D flush by software"}


class Run:
    """One saved run, and what the page calls it."""

    def __init__(self, rows, mark="", source=""):
        self.rows = rows
        self.mark = mark
        self.source = source
        self.about = next((row.keys for row in rows if row.name == "run"), {})
        self.tick = self.about.get("tick") if self.about.get("tick") in TICK else "unknown"
        self.unit = UNIT.get(self.tick, "ticks of the TSC")

    def named(self, *names):
        return [row for row in self.rows if row.name in names]

    def measured(self, *names):
        return [row for row in self.named(*names) if row.unsupported is None and row.number("median") is not None]

    @property
    def title(self):
        name = " ".join(filter(None, (self.about.get("machine"), self.about.get("date")))) or self.source
        return " ".join(filter(None, (self.mark, name)))

    def identity(self, name):
        return f"{name}{self.mark.strip(':').lower()}"


def tag(name, content="", **attributes):
    text = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items() if value)
    return f"<{name}{text}>{content}</{name}>"


def is_number(text):
    return text.replace(".", "", 1).replace("-", "", 1).isdigit()


def table(head, rows):
    lines = [tag("tr", "".join(tag("th", escape(cell)) for cell in head))]
    lines += [tag("tr", "".join(tag("td", escape(cell), class_="number" if is_number(cell) else "") for cell in row))
              for row in rows]
    return tag("div", tag("table", "\n".join(lines)), class_="scroll")


def raw_tables(rows):
    """All rows: what was measured in one table, others in one for each name, so that each has its own columns."""
    named = {}
    for row in rows:
        named.setdefault("" if "median" in row.keys or row.unsupported else row.name, []).append(row)
    return "\n".join(map(raw_table, named.values()))


def raw_table(rows):
    """Every key of the rows, as it was printed."""
    keys = list(dict.fromkeys(key for row in rows for key in row.keys))
    cells = [[row.name, *[row.keys.get(key, "") for key in keys]] for row in rows]
    return table(["name", *keys], cells) if rows else ""


# ---- charts: each gives the SVG for one run, or nothing ----


def bar_items(rows, with_name, common, per_entry):
    """Rows of one strategy share a colour; one that all have is not named."""
    strategies = list(dict.fromkeys(row.keys.get("strategy", "") for row in rows)) if with_name else [""]
    for row in rows:
        # A sample of switch and alone is two turns.
        entries = 2 * (row.number("turn") or 1) if per_entry else 1
        strategy = row.keys.get("strategy", "")
        label = row.label.replace(strategy, "").strip() if common else row.label
        label = " ".join(filter(None, (row.name if with_name else "", label)))
        if row.keys.get("noisy") == "yes":
            label += " (noisy)"
        median = row.number("median")
        least, p99 = (median if row.number(key) is None else row.number(key) for key in ("min", "p99"))
        yield (label, median / entries, least / entries, p99 / entries,
               strategies.index(strategy) if strategy in strategies else 0)


def bars(*names, title, with_name=True, per_entry=False):
    def draw(run):
        rows = run.measured(*names)
        if not rows:
            return ""
        strategies = {row.keys.get("strategy", "-") for row in rows}
        common = strategies.pop() if with_name and len(strategies) == 1 else ""
        unit = "ticks of the TSC" if names == USER else run.unit
        heading = title if common in ("", "-", "user") else f"{title}, {common}"
        return charts.bars(run.identity(names[0]), heading, unit,
                           list(bar_items(rows, with_name, common, per_entry)))
    return draw


def counts(*names):
    def draw(run):
        rows = [row for row in run.named(*names) if row.number("entries")]
        parts = {title: [1000 * (row.number(key) or 0) / row.number("entries") for row in rows]
                 for key, title in COUNTS.items()}
        parts = {title: values for title, values in parts.items() if any(values)}
        labels = [" ".join(filter(None, (row.name if len(names) > 1 else "", row.label))) for row in rows]
        return charts.stacked(run.identity(f"counts-{names[0]}"), "What was done for a thousand entries", "times",
                              labels, parts) if parts else ""
    return draw


def rate_of(title, value):
    """Lines over k, one for each strategy: value(row, the least median of that k)."""
    def draw(run):
        rows = [row for row in run.measured("rate") if row.number("k") is not None and row.number("median")]
        least = {}
        for row in rows:
            least[row.keys["k"]] = min(row.number("median"), least.get(row.keys["k"], row.number("median")))
        series = {}
        for row in rows:
            point = (row.number("k"), value(row, least[row.keys["k"]]))
            series.setdefault(row.keys.get("strategy", "-"), []).append(point)
        return charts.lines(run.identity("rate-" + value.__name__.replace("_", "-")), title,
                            "k: instructions of the guest between two exits", "percent", series) if series else ""
    return draw


def share(row, _):
    """The part of a turn that is not the guest's own computing."""
    return 100 * (1 - (row.number("compute") or 0) / row.number("median"))


def more_than_cheapest(row, least):
    return 100 * (row.number("median") / least - 1)


def phases(run):
    rows = [row for row in run.named("exit-phase")
            if row.keys.keys() >= {"kind", "strategy", "phase"} and row.number("instructions") is not None]
    if not rows:
        return ""
    bars_of = list(dict.fromkeys((row.keys["kind"], row.keys["strategy"]) for row in rows))
    labels = [f"{kind} {strategy}" for kind, strategy in bars_of]
    at = {(row.keys["kind"], row.keys["strategy"], row.keys["phase"]): row.number("instructions") for row in rows}
    parts = {phase: [at.get((*bar, phase), 0) for bar in bars_of]
             for phase in dict.fromkeys(row.keys["phase"] for row in rows)}
    return charts.stacked(run.identity("phases"), "One exit and re-entry, phase by phase", "instructions", labels,
                          parts)


USER = ("user-verw", "user-l1d-soft", "user-l1d-soft-cpuid", "user-cpuid")

# (heading, text, the rows that it shows, its charts)
SECTIONS = (
    ("Exits", "Round trips seen from a guest: the bar ends at the median, the line goes from the least to the 99th "
     "percentile, cut off where it is far longer than the bar.", EXITS, [bars(*EXITS, title="Round trip of an exit")]),
    ("Single steps", "In the hypervisor, one at a time.", STEPS, [bars(*STEPS, title="Single steps")]),
    ("Strategies", "A round trip under each combination of knobs that this CPU has, and what was done for a thousand "
     "entries.", ("strategy",),
     [bars("strategy", title="Round trip under each combination", with_name=False), counts("strategy")]),
    ("Exits per second as the variable", "A guest computes k instructions between two exits, and compute is what they "
     "take by themselves: the more it computes, the less a mitigation weighs.", ("rate",),
     [rate_of("Share of the time that the exits take", share),
      rate_of("How much longer it takes than under the cheapest strategy", more_than_cheapest)]),
    ("Taking turns, and alone", "switch: two vCPUs of different wishes for FB_CLEAR_DIS take turns on a pCPU, `turn` "
     "entries each. alone: one of them has it for itself.", ("switch", "alone"),
     [bars("switch", "alone", title="In turns and alone: for each entry", per_entry=True), counts("switch", "alone")]),
    ("Counted for each exit", "Every instruction from the guest's to the VMRESUME after it, counted in the debugger "
     "of Bochs (tests/bench/exit_trace.py): of the samples, the one with the median.", ("exit-count", "exit-phase"),
     [phases]),
    ("In user mode", "On the CPU that ran make; rows with a vm were timed in that guest. VERW and the flush by software "
     "need no privilege: the macros of the hypervisor's entry path (arch/clear_buffers.inc), timed by a program. CPUID, "
     "which serialises in the flush, exits if the CPU belongs to a virtual machine; user-l1d-soft has LFENCE in its "
     "place. The buffer is contiguous for the program only.",
     USER + ("developer", "vulnerability"), [bars(*USER, title="User mode")]),
)


def comparison(names, runs):
    """The medians of two runs next to each other, where both have the row."""
    first, second = ({(row.name, row.label): row for row in run.measured(*names)} for run in runs)
    rows = []
    for key in [key for key in first if key in second]:
        a, b = first[key].number("median"), second[key].number("median")
        rows.append([*key, first[key].keys["median"], second[key].keys["median"], f"{b / a:.2f}" if a else "-"])
    head = ["name", "", f"median {runs[0].mark}", f"median {runs[1].mark}", "B / A"]
    return tag("h3", "Side by side") + table(head, rows) if rows else ""


def columns(contents):
    shown = [content for content in contents if content]
    if len(contents) == 1 or not shown:
        return "".join(shown)
    return tag("div", "\n".join(tag("div", content or "") for content in contents), class_="side")


def section(heading, text, names, draws, runs):
    if not any(run.named(*names) for run in runs):
        return ""
    parts = [tag("h2", escape(heading)), tag("p", escape(text))]
    parts += [columns([draw(run) for run in runs]) for draw in draws]
    if len(runs) == 2:
        parts.append(comparison(names, runs))
    parts.append(columns([(tag("h3", escape(run.title)) if len(runs) == 2 else "") + raw_tables(run.named(*names))
                          for run in runs]))
    return "\n".join(parts)


def about(run):
    shown = [[key, value] for key, value in run.about.items()]
    return tag("h3", escape(run.title)) + (table(["run", ""], shown) if shown else "") + \
        tag("p", escape(TICK[run.tick]), class_="note")


def transcript(run):
    """What else was asked on the console, one command after the other."""
    commands = {}
    for row in run.named("console"):
        commands.setdefault(row.keys.get("command", "-"), []).append(row.keys.get("text", ""))
    return "\n".join(tag("details", tag("summary", escape(command)) + tag("pre", escape("\n".join(text))))
                     for command, text in commands.items())


def make_page(runs):
    """runs: one Run, or two."""
    known = {name for _, _, names, _ in SECTIONS for name in names} | set(ABOUT_RUN)
    other = tuple(dict.fromkeys(row.name for run in runs for row in run.rows if row.name not in known))
    sections = [*SECTIONS, ("Other rows", "", other, [bars(*other, title="Other rows")])] if other else SECTIONS
    title = "Sluice bench: " + " and ".join(run.title for run in runs)
    body = [tag("h1", escape(title)), columns([about(run) for run in runs])]
    body += [section(*parts, runs) for parts in sections]
    if any(run.named("console") for run in runs):
        body += [tag("h2", "The console"), columns([transcript(run) for run in runs])]
    head = '<meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>' + \
        tag("title", escape(title)) + tag("style", STYLE)
    classes = "two" if len(runs) == 2 else ""
    return "<!DOCTYPE html>\n" + tag("html", tag("head", head) + "\n" +
                                     tag("body", "\n".join(filter(None, body)), class_=classes), lang="en") + "\n"
