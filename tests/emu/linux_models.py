"""The table of docs/guests.md with what Linux says of its CPU under each model: made of a run's output, compared with the
docs. guest/linux/cpu prints the lines."""

import re

from machine import ROOT

DOCS = ROOT / "docs/guests.md"
BLOCK = re.compile(r"<!-- linux: models -->\n(.*?)<!-- end of linux -->\n", re.DOTALL)
LINE = re.compile(r"^([\w-]+)\| (?:vulnerability (\w+): (.*)|(kernel|model|stepping|bugs|flags)\s*: (.*))$")
# The VM of each model in the row, in the columns' order.
MODELS = {"linux": "host", "skylake": "skylake-server", "cascadelake": "cascadelake-server"}
# Of the flags those that the hypervisor has to do with; the others are the machine's.
FLAGS = ("hypervisor x2apic tsc_deadline_timer constant_tsc nonstop_tsc tsc_known_freq xsave xsaveopt xsavec xgetbv1 xsaves "
         "pcid invpcid rdtscp vmx monitor md_clear flush_l1d spec_ctrl ibrs ibpb stibp ssbd arch_capabilities").split()


def said(lines):
    """{what: [its text on each VM, in order]}, in the order of the lines."""
    found = {}
    for match in filter(None, map(LINE.match, lines)):
        vm, bug, state, key, value = match.groups()
        if key == "flags":
            value = " ".join(flag for flag in FLAGS if flag in value.split())
        found.setdefault(bug or key, {})[vm] = state if bug else value
    return {what: [texts.get(vm, "-") for vm in MODELS] for what, texts in found.items()}


def render(facts):
    rows = [["", *(f"`{model}`" for model in MODELS.values())], ["---"] * (1 + len(MODELS))]
    rows += [[what, *texts] for what, texts in facts.items()]
    return "".join(f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in row)}|\n" for row in rows)


def parse(table):
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
    return {what: texts for what, *texts in rows[2:]}


def affected(text):
    return text != "Not affected"


def problems(lines):
    facts, block = said(lines), BLOCK.search(DOCS.read_text())
    documented = parse(block[1]) if block else {}
    if facts.get("kernel") == documented.get("kernel") or "kernel" not in facts:
        if not block or block[1] != render(facts):
            yield f"docs/guests.md: between `<!-- linux: models -->` and `<!-- end of linux -->` there should be:\n{render(facts)}"
        return
    # Another kernel than the table's may find other words, and other bugs, but no other CPU.
    for what in facts.keys() & documented.keys() - {"kernel", "bugs"}:
        same_cpu = facts[what] == documented[what] if what in ("model", "stepping", "flags") else (
            list(map(affected, facts[what])) == list(map(affected, documented[what])))
        if not same_cpu:
            yield f"{what}: docs/guests.md has {documented[what]}, this kernel says {facts[what]}"
