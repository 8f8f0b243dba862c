"""The table of docs/guests.md with what Linux says of its CPU under each model: made of a run's output, compared with the
docs. guest/linux/cpu prints the lines."""

import re

from machine import ROOT

DOCS = ROOT / "docs/guests.md"
BLOCK = re.compile(r"(<!-- linux: models -->\n).*?(<!-- end of linux -->\n)", re.DOTALL)
LINE = re.compile(r"^([\w-]+)\| (?:vulnerability (\w+): (.*)|(model|stepping|bugs|flags)\s*: (.*))$")
# The VM of each model in the row, in the columns' order.
MODELS = {"linux": "host", "skylake": "skylake-server", "cascadelake": "cascadelake-server"}
# Of the flags those that the hypervisor has to do with; the others are the machine's.
FLAGS = ("hypervisor x2apic tsc_deadline_timer constant_tsc nonstop_tsc tsc_known_freq xsave xsaveopt xsavec xgetbv1 xsaves "
         "pcid invpcid rdtscp vmx monitor md_clear flush_l1d spec_ctrl ibrs ibpb stibp ssbd arch_capabilities").split()


def said(lines):
    """{what: {VM: text}}, in the order of the lines."""
    found = {}
    for match in filter(None, map(LINE.match, lines)):
        vm, bug, state, key, value = match.groups()
        if key == "flags":
            value = " ".join(flag for flag in FLAGS if flag in value.split())
        found.setdefault(bug or key, {})[vm] = state if bug else value
    return found


def table(lines):
    rows = [["", *(f"`{model}`" for model in MODELS.values())], ["---"] * (1 + len(MODELS))]
    rows += [[what, *(texts.get(vm, "-") for vm in MODELS)] for what, texts in said(lines).items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def problems(lines):
    missing = [vm for vm in MODELS if not any(vm in texts for texts in said(lines).values())]
    if missing:
        yield f"these VMs have not told of their CPU: {' '.join(missing)}"
        return
    docs = DOCS.read_text()
    block = BLOCK.search(docs)
    if not block or block[0] != block[1] + table(lines) + block[2]:
        yield f"docs/guests.md: between `<!-- linux: models -->` and `<!-- end of linux -->` there should be:\n{table(lines)}"
