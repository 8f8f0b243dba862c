"""Charts as pieces of SVG for the page, drawn by matplotlib. Their colours are variables of the page's style sheet, so
that they follow the choice of dark or light. Text stays text, in the reader's fonts; nothing points outside."""

import io
import re

# Stand-ins that matplotlib draws with, and what takes their place.
INK, FAINT = "#010203", "#010204"
SERIES = [f"#0a0b{n:02x}" for n in range(1, 9)]
VARIABLES = {INK: "currentColor", FAINT: "var(--faint)"}
VARIABLES |= {colour: f"var(--s{n})" for n, colour in enumerate(SERIES, 1)}

WIDTH_INCHES = 7.2
BAR_INCHES = 0.3
HEAD_INCHES = 0.9
LEGEND_COLUMNS = 4
LEGEND_INCHES = 0.2
TITLE_INCHES = 0.25
# A bar's whisker beyond so many times the longest bar is cut off: its end is in the table.
WHISKER_FACTOR = 1.5


def pyplot():
    """Loaded when it is needed: the other parts of a page can be made and tested without it."""
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot
    matplotlib.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "sluice", "font.size": 9, "axes.titlesize": 10, "text.color": INK,
        "axes.edgecolor": FAINT, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": FAINT,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "legend.frameon": False,
        "savefig.transparent": True, "figure.constrained_layout.use": True})
    return matplotlib.pyplot


def clean(svg, identity):
    """What an HTML page takes in: the element alone, with names of its own."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns:\w+="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{identity}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{identity}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{identity}-\1)", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.strip()


def finished(plot, figure, identity, title):
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    plot.close(figure)
    label = title.replace("&", "and").replace("<", "").replace('"', "")
    return clean(out.getvalue(), identity).replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def height(bars):
    return HEAD_INCHES + BAR_INCHES * bars


def number(value):
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def bars(identity, title, unit, items):
    """items: (label, median, min, p99, series). A bar to the median, a whisker from min to p99."""
    plot = pyplot()
    figure, axes = plot.subplots(figsize=(WIDTH_INCHES, height(len(items))))
    longest = max(median for _, median, *_ in items)
    end = max(min(p99, WHISKER_FACTOR * longest) for _, _, _, p99, _ in items)
    for at, (_, median, least, p99, series) in enumerate(items):
        axes.barh(at, median, height=0.62, color=SERIES[series % len(SERIES)])
        axes.hlines(at, least, min(p99, end), color=INK, linewidth=1)
        axes.annotate(number(median), (max(median, min(p99, end)), at), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize=8)
    axes.set_yticks(range(len(items)), [label for label, *_ in items])
    axes.set_ylim(len(items) - 0.4, -0.6)
    axes.set_xlim(0, (end or 1) * 1.12)
    axes.grid(axis="x", linewidth=0.5)
    axes.set_title(title, loc="left")
    axes.set_xlabel(unit)
    return finished(plot, figure, identity, title)


def stacked(identity, title, unit, labels, parts):
    """parts: {name: a value for each label}, drawn from left to right."""
    plot = pyplot()
    legend_rows = -(-len(parts) // LEGEND_COLUMNS)
    above = TITLE_INCHES + LEGEND_INCHES * legend_rows
    inches = height(len(labels)) + LEGEND_INCHES * legend_rows
    figure, axes = plot.subplots(figsize=(WIDTH_INCHES, inches))
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - above / inches))
    ends = [0.0] * len(labels)
    for n, (name, values) in enumerate(parts.items()):
        axes.barh(range(len(labels)), values, left=ends, height=0.62, color=SERIES[n % len(SERIES)], label=name)
        ends = [end + value for end, value in zip(ends, values)]
    for at, end in enumerate(ends):
        axes.annotate(number(end), (end, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, (max(ends) or 1) * 1.12)
    axes.grid(axis="x", linewidth=0.5)
    axes.set_xlabel(unit)
    figure.text(0.01, 1 - 0.05 / inches, title, va="top", fontsize=10)
    figure.legend(loc="upper left", bbox_to_anchor=(0, 1 - TITLE_INCHES / inches), borderaxespad=0,
                  ncol=LEGEND_COLUMNS, fontsize=8)
    return finished(plot, figure, identity, title)


def lines(identity, title, x_title, y_title, series):
    """series: {name: [(x, y)]}; the x axis is logarithmic, with room for 0."""
    plot = pyplot()
    figure, axes = plot.subplots(figsize=(WIDTH_INCHES, 3.4))
    for n, (name, points) in enumerate(series.items()):
        axes.plot(*zip(*sorted(points)), color=SERIES[n % len(SERIES)], marker="o", markersize=4, linewidth=1.5,
                  label=name)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.grid(linewidth=0.5)
    axes.set_title(title, loc="left")
    axes.set_xlabel(x_title)
    axes.set_ylabel(y_title)
    axes.legend(fontsize=8)
    return finished(plot, figure, identity, title)
