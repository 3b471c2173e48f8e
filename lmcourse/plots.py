"""One visual language for all pictures and tables of the course.

A picture is SVG inside an `<img>`, so that it needs no script, shows in JupyterLab, on GitHub and
in the built book, and carries its alternative text and its caption in the same output. It has its
own background and two sets of colours: a dark page (the reader's system, or the book's own switch
through the CSS property `color-scheme`) gets the dark one. The bytes depend on the drawn numbers
only, so a stored picture is compared like text.

Draw only from stored or exact numbers. No Hangul and no `$maths$` inside a picture.
"""

import html
import math
import pickle
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# The colours of Okabe and Ito (2008), chosen to be told apart by colour-blind readers, darkened
# to stand out on white. Each name has a light and a dark form; the drawing uses the light one.
PALETTE = {
    "background": ("#fffffe", "#16191d"),
    "ink": ("#1f2429", "#e8eaed"),
    "muted": ("#5b646e", "#a9b1ba"),
    "grid": ("#dde1e6", "#383f47"),
    "blue": ("#0b6cad", "#56b4e9"),
    "orange": ("#b85c00", "#f0a33a"),
    "green": ("#00795a", "#2fc79b"),
    "pink": ("#a83c79", "#e79ac6"),
    "purple": ("#5f4bb6", "#a79bf0"),
}
BACKGROUND, INK, MUTED, GRID, BLUE, ORANGE, GREEN, PINK, PURPLE = (
    light for light, _ in PALETTE.values()
)
COLOURS = (BLUE, ORANGE, GREEN, PINK, PURPLE)
MARKERS = ("o", "s", "^", "D", "v")  # colour is never the only difference
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
DASHED = {"linestyle": (0, (5, 3)), "linewidth": 1.4}  # a floor to compare with
SHADE = 0.5  # opacity of a heat map's darkest cell: ink stays readable on it
SMALLEST = (
    0.61  # of its size, on a narrow screen: smaller, its letters could not be read
)

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "axes.unicode_minus": False,
    "figure.facecolor": BACKGROUND,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same layout everywhere
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "lmcourse",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}
matplotlib.rcParams.update(STYLE)  # what is drawn after `figure()` has the style, too


class Picture:
    """A figure that shows itself with its alternative text and its caption.

    Attributes:
        figure: the matplotlib figure.
        axes: its axes, row by row.
        ax: the first of them.
    """

    def __init__(self, figure: Figure, axes: list, alt: str, caption: str):
        self.figure = figure
        self.axes = axes
        self.ax = axes[0]
        self.alt = alt
        self.caption = caption

    def __repr__(self) -> str:
        return f"Figure: {self.caption} [{self.alt}]"

    def legend(self) -> None:
        """Draw one legend for all axes, above them."""
        names = {}
        for ax in self.axes:
            names |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        self.figure.legend(
            names.values(), names.keys(), loc="outside upper left", ncols=3
        )

    def svg(self) -> str:
        """Return the picture as SVG text: rounded coordinates, colours for light and dark."""
        raw = StringIO()
        with matplotlib.rc_context(STYLE):
            # A copy, because saving moves the axes a little: a second time would differ.
            pickle.loads(pickle.dumps(self.figure)).savefig(
                raw, format="svg", metadata={"Date": None, "Creator": None}
            )
        return _restyled(raw.getvalue())

    def _repr_html_(self) -> str:
        width, height = (round(96 * inches) for inches in self.figure.get_size_inches())
        source = "data:image/svg+xml," + _percent_encoded(self.svg())
        size = f"min-width:{round(SMALLEST * width)}px;max-width:100%;height:auto"
        return (
            '<figure class="lmcourse-figure"><div class="lmcourse-scroll">'
            f'<img class="dark-light" alt="{html.escape(self.alt)}" width="{width}" '
            f'height="{height}" style="{size};padding:0;background:none" src="{source}"></div>'
            f"<figcaption>{html.escape(self.caption, quote=False)}</figcaption></figure>"
        )


def figure(
    *,
    alt: str,
    caption: str,
    width: float | int = 7.0,
    height: float | int = 3.5,
    columns: int = 1,
) -> Picture:
    """Return an empty picture with one or more axes side by side.

    Args:
        alt: what is seen, for those who cannot see it: the message, not the colours.
        caption: one sentence below the picture.
        width: inches; 7 fills a page of the book, up to 5.6 fits a telephone without scrolling.
        height: inches.
        columns: number of axes.

    Raises:
        ValueError: if `alt` or `caption` is empty.

    >>> picture = figure(alt="A falling line.", caption="Loss.")
    >>> _ = picture.ax.plot([0, 1], [2, 1])
    >>> picture
    Figure: Loss. [A falling line.]
    """
    for name, text in (("alt", alt), ("caption", caption)):
        if not text.strip():
            raise ValueError(
                f"{name}={text!r}: every picture has alternative text and a caption"
            )
    drawing = Figure(figsize=(width, height), layout="constrained")
    axes = [drawing.add_subplot(1, columns, i + 1) for i in range(columns)]
    return Picture(drawing, axes, alt, caption)


def _restyled(svg: str) -> str:
    """Make matplotlib's SVG small, and its colours a choice of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", _rounded_numbers, svg)
    svg = re.sub(r"(font[^:;\"]*: [^;\"']*)'DejaVu Sans'[^;\"]*", r"\1var(--font)", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    for name, (light, _) in PALETTE.items():
        svg = svg.replace(light, f"var(--{name})")
    colours = [
        f"--font:{FONT};" * (side == 0)
        + "".join(f"--{name}:{pair[side]};" for name, pair in PALETTE.items())
        for side in (0, 1)
    ]
    style = (
        f"<style>:root{{{colours[0]}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{colours[1]}}}}}"
        "text{fill:var(--ink)}</style>"
    )
    end_of_tag = svg.index(">") + 1
    return svg[:end_of_tag] + style + svg[end_of_tag:]


def _rounded_numbers(tag: re.Match) -> str:
    """A tag with its coordinates rounded to hundredths of a point. Text outside tags stays."""
    return re.sub(
        r"\d+\.\d{2,}",
        lambda number: f"{float(number.group()):.2f}".rstrip("0").rstrip("."),
        tag.group(),
    )


def _percent_encoded(svg: str) -> str:
    """SVG text as part of an address: only what must be is encoded, so the text stays small."""
    svg = svg.replace("'", "&apos;").replace('"', "'").replace("%", "%25")
    svg = (
        svg.replace("&", "%26")
        .replace("#", "%23")
        .replace("<", "%3C")
        .replace(">", "%3E")
    )
    return re.sub(r"[^\x20-\x7e]", _percent_bytes, svg)


def _percent_bytes(match: re.Match) -> str:
    if match.group() == "\n":
        return " "
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8"))


# ------------------------------------------------------------------------------ ready-made kinds

PAPER = {"boxstyle": "square,pad=0.05", "facecolor": BACKGROUND, "edgecolor": "none"}


def _spread_of(values) -> tuple[float, float]:
    """Mean and sample standard deviation of a number, or of the values of several seeds."""
    numbers = (
        [float(value) for value in values]
        if isinstance(values, Iterable)
        else [float(values)]
    )
    spread = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
    return statistics.fmean(numbers), spread


def spread(values, digits: int = 3) -> str:
    """Return mean and sample standard deviation over the seeds as text.

    >>> spread([2.0, 2.1, 2.2])
    '2.100 ± 0.100'
    """
    mean, deviation = _spread_of(values)
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def lines(
    x: Sequence,
    series: Mapping[str, Sequence],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    caption: str,
    floor: float | None = None,
    floor_label: str = "",
    width: float | int = 5.6,
    height: float | int = 3.5,
) -> Picture:
    """Draw lines with a band of one standard deviation over the seeds.

    Args:
        x: positions, numbers.
        series: label -> for each position a number, or the values of all seeds
            (`Results.series`).
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        alt: see `figure`.
        caption: see `figure`.
        floor: a level to compare with, such as an entropy or chance; drawn dashed.
        floor_label: what it is.
        width: inches.
        height: inches.

    Raises:
        ValueError: if a line has another number of points than `x`.

    >>> lines([1, 2], {"bigram": [[3.0, 3.2], [2.0, 2.2]]}, x_label="order", y_label="bits",
    ...       floor=1.5, floor_label="entropy", alt="It falls.", caption="Bits by order.")
    Figure: Bits by order. [It falls.]
    """
    picture = figure(alt=alt, caption=caption, width=width, height=height)
    ax = picture.ax
    for number, (label, points) in enumerate(series.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        if len(points) != len(x):
            raise ValueError(
                f"the line {label!r} has {len(points)} points, x has {len(x)}"
            )
        means, spreads = (
            np.array(part) for part in zip(*map(_spread_of, points), strict=True)
        )
        ax.plot(x, means, color=colour, marker=marker, label=label)
        if spreads.any():
            band = {"color": colour, "alpha": 0.22, "linewidth": 0}
            ax.fill_between(x, means - spreads, means + spreads, **band)
    if floor is not None:
        ax.axhline(floor, color=INK, label=floor_label or "floor", **DASHED)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    if all(isinstance(position, int) for position in x) and len(x) <= 16:
        ax.set_xticks(list(x))
    if len(series) > 1 or floor is not None:
        picture.legend()
    return picture


def bars(
    values: Mapping[str, object],
    *,
    value_label: str,
    alt: str,
    caption: str,
    floor: float | None = None,
    floor_label: str = "",
    digits: int = 2,
    width: float | int = 5.6,
) -> Picture:
    """Draw horizontal bars with their numbers, and a floor to compare with.

    Args:
        values: label -> a number, or the values of all seeds; drawn from the top.
        value_label: what is measured, with its unit.
        alt: see `figure`.
        caption: see `figure`.
        floor: a level to compare with, such as an entropy or chance; drawn dashed.
        floor_label: what it is.
        digits: digits after the point of the numbers.
        width: inches.

    Raises:
        ValueError: if there is no bar.

    >>> bars({"uniform": 6.6, "unigram": [5.1, 5.2]}, value_label="bits per token", floor=2.0,
    ...      floor_label="entropy", alt="Unigram is nearer.", caption="Two baselines.")
    Figure: Two baselines. [Unigram is nearer.]
    """
    if not values:
        raise ValueError("values={}: give at least one bar")
    extra = 0.35 if floor is not None else 0.0
    picture = figure(
        alt=alt, caption=caption, width=width, height=0.9 + extra + 0.42 * len(values)
    )
    ax = picture.ax
    pairs = [_spread_of(item) for item in values.values()]
    for place, (mean, deviation) in enumerate(pairs):
        ax.barh(place, mean, height=0.62, color=BLUE, alpha=0.85, linewidth=0)
        if deviation:
            ax.errorbar(
                mean, place, xerr=deviation, color=INK, capsize=3, linewidth=1.2
            )
        text = f"{mean:.{digits}f}"
        if round(deviation, digits):  # "± 0.00" would say that there is no spread
            text += f" ± {deviation:.{digits}f}"
        end = max(mean, 0.0) + deviation
        ax.annotate(
            text, (end, place), (5, 0), textcoords="offset points", va="center", size=9
        )
    ax.set_yticks(range(len(values)), list(values))
    ax.set_ylim(len(values) - 0.45, -0.55)
    ax.set_xlim(right=1.22 * max(mean + deviation for mean, deviation in pairs))
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(value_label)
    if floor is not None:
        ax.axvline(floor, color=INK, label=floor_label or "floor", **DASHED)
        picture.legend()
    return picture


def points(
    places: Mapping[str, tuple],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    caption: str,
    squares: Sequence[str] = (),
    logarithmic: str = "",
    floor: float | None = None,
    floor_label: str = "",
    width: float | int = 5.6,
    height: float | int = 3.8,
) -> Picture:
    """Draw named points at their means, with lines from the lowest to the highest value.

    Args:
        places: name -> x and y, each a number or the values of all seeds.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        alt: see `figure`.
        caption: see `figure`.
        squares: the names that are drawn as squares in another colour.
        logarithmic: the axes that grow by factors: "", "x", "y" or "xy".
        floor: a level of y to compare with; drawn dashed.
        floor_label: what it is.
        width: inches.
        height: inches.

    Raises:
        ValueError: if there is no point, a square is not among them, a number is not finite, or
            one on a logarithmic axis is not above 0.

    >>> points({"n-gram": (2.0, 0.6), "RNN": ([90.0, 95.0], [0.3, 0.31])}, squares=["n-gram"],
    ...        logarithmic="x", x_label="seconds", y_label="bits", alt="RNN is lower.",
    ...        caption="Bits by seconds.")
    Figure: Bits by seconds. [RNN is lower.]
    """
    if not places or not set(squares) <= set(places):
        raise ValueError(
            f"squares={list(squares)}, points={list(places)}; give at least one point, and squares "
            "among them"
        )
    values = {name: [np.atleast_1d(part) for part in xy] for name, xy in places.items()}
    for axis, label in enumerate("xy"):
        numbers = np.concatenate([xy[axis] for xy in values.values()])
        lowest = 0 if label in logarithmic else -math.inf
        if not (np.isfinite(numbers).all() and numbers.min() > lowest):
            raise ValueError(
                f"{label} runs from {numbers.min()} to {numbers.max()}; numbers are finite, on a "
                "logarithmic axis above 0"
            )
    picture = figure(alt=alt, caption=caption, width=width, height=height)
    ax = picture.ax
    for name, (x, y) in values.items():
        colour, marker = (ORANGE, "s") if name in squares else (BLUE, "o")
        mean = x.mean(), y.mean()
        ax.plot([x.min(), x.max()], [mean[1]] * 2, color=colour, linewidth=1.4)
        ax.plot([mean[0]] * 2, [y.min(), y.max()], color=colour, linewidth=1.4)
        ax.plot(*mean, color=colour, marker=marker, markersize=6)
    if floor is not None:
        ax.axhline(floor, color=INK, label=floor_label or "floor", **DASHED)
        picture.legend()
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    means = {name: (x.mean(), y.mean()) for name, (x, y) in values.items()}
    _name_points(ax, means, logarithmic, (width - 0.9, height - 0.9))
    return picture


def _name_points(ax, means: Mapping[str, tuple], logarithmic: str, size: tuple) -> None:
    """Write each point's name beside it, where it covers least; sets the axes' limits."""
    spots = np.array(list(means.values()), dtype=float)
    for axis, label in enumerate("xy"):
        scale, unscaled = (
            (np.log10, lambda z: 10.0**z)
            if label in logarithmic
            else (np.asarray, lambda z: z)
        )
        low, high = scale(getattr(ax.dataLim, f"interval{label}"))
        margin = 0.09 * (high - low or 1.0)
        low, high = low - margin, high + margin * (1 if label == "y" else 2)
        if label in logarithmic:
            getattr(ax, f"set_{label}scale")("log")
            ruler = getattr(ax, f"{label}axis")
            steps = (1.0,) if high - low > 2.5 else (1.0, 2.0, 5.0)
            ruler.set_major_locator(LogLocator(subs=steps, numticks=12))
            ruler.set_major_formatter(FuncFormatter(_plain_number))
            ruler.set_minor_formatter(NullFormatter())
        getattr(ax, f"set_{label}lim")(unscaled(low), unscaled(high))
        spots[:, axis] = (scale(spots[:, axis]) - low) / (high - low) * size[axis]
    boxes: dict[str, tuple] = {}
    for name in [*means, *means]:  # a second time, when the others have their places
        boxes[name] = _best_box(name, list(means).index(name), spots, boxes, size)
    for (name, mean), spot in zip(means.items(), spots, strict=True):
        left, bottom, right, top = boxes[name]
        moved = 72 * (np.array([left + right, bottom + top]) / 2 - spot)
        ax.annotate(
            name,
            mean,
            moved.tolist(),
            textcoords="offset points",
            ha="center",
            va="center",
            size=9,
            bbox={**PAPER, "alpha": 0.85},
        )
        ax.annotate(
            "",
            mean,
            moved.tolist(),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.6},
            zorder=1,
        )


def _best_box(name: str, place: int, spots, boxes: Mapping, size: tuple) -> tuple:
    """Where a point's name goes, in inches: near it, on free ground, no nearer to another."""
    half = 0.039 * len(name) + 0.02
    aside = half + 0.1
    choices = [(aside, 0.0), (-aside, 0.0), (0.0, 0.18), (0.0, -0.18)]
    choices += [(dx, dy) for dy in (0.15, -0.15) for dx in (aside, -aside)]
    choices += [(dx, dy) for dy in (0.34, -0.34) for dx in (0.0, aside, -aside)]
    dots = [(x - 0.07, y - 0.07, x + 0.07, y + 0.07) for x, y in spots]
    names = [box for other, box in boxes.items() if other != name]

    def cost(rank: int, middle) -> float:
        box = (*(middle - (half, 0.09)), *(middle + (half, 0.09)))
        gaps = [_gap(box, spot) for spot in spots]
        return (
            sum(_shared_area(box, other) for other in names)
            + 10 * sum(_shared_area(box, other) for other in dots)
            + 5 * (4 * half * 0.09 - _shared_area(box, (0.0, 0.0, *size)))
            + 0.002 * rank
            + 0.02 * (gaps[place] > min(gaps))
        )

    _, best = min(
        (cost(rank, spots[place] + xy), xy) for rank, xy in enumerate(choices)
    )
    middle = spots[place] + best
    return (*(middle - (half, 0.09)), *(middle + (half, 0.09)))


def _gap(box: tuple, spot) -> float:
    """How far a spot is from a rectangle."""
    left, bottom, right, top = box
    return math.hypot(
        max(left - spot[0], spot[0] - right, 0.0),
        max(bottom - spot[1], spot[1] - top, 0.0),
    )


def _plain_number(value: float, place: int | None = None) -> str:
    """A number at an axis, without a power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


def _shared_area(box: tuple, other: tuple) -> float:
    """The area that two rectangles (left, bottom, right, top) share."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    high = min(box[3], other[3]) - max(box[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)


def heat_map(
    matrix,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    alt: str,
    caption: str,
    row_title: str = "",
    column_title: str = "",
    digits: int = 2,
    width: float | int | None = None,
) -> Picture:
    """Draw a matrix of numbers from zero upwards, each number in its cell.

    Args:
        matrix: Float, "n_rows n_columns"; a cell of zero is left empty.
        row_labels: a label a row.
        column_labels: a label a column.
        alt: see `figure`.
        caption: see `figure`.
        row_title: what the rows are.
        column_title: what the columns are.
        digits: digits after the point.
        width: inches; by default as the number of columns needs.

    Raises:
        ValueError: if the labels do not fit the matrix, or a number is negative.

    >>> heat_map([[0.5, 0.5], [1, 0]], ["I", "like"], ["a", "b"], alt="Rows.", caption="P.")
    Figure: P. [Rows.]
    """
    values = np.asarray(matrix, dtype=float)
    if values.shape != (len(row_labels), len(column_labels)):
        raise ValueError(
            f"matrix has shape {values.shape}, but there are {len(row_labels)} row labels and "
            f"{len(column_labels)} column labels"
        )
    if not (values >= 0).all():
        raise ValueError(
            f"the smallest number is {values.min()}; a heat map starts at zero"
        )
    n_rows, n_columns = values.shape
    longest = max(map(len, row_labels))
    needed = 0.66 * n_columns + 0.085 * longest + 0.6
    size = {"width": width or max(3.5, min(7.0, needed)), "height": 0.38 * n_rows + 1.0}
    picture = figure(alt=alt, caption=caption, **size)
    ax = picture.ax
    highest = values.max() or 1.0
    for (row, column), value in np.ndenumerate(values):
        shade = SHADE * value / highest
        cell = Rectangle((column, row), 1, 1, facecolor=BLUE, alpha=shade, linewidth=0)
        ax.add_patch(cell)
        if value:
            place = (column + 0.5, row + 0.5)
            ax.text(*place, f"{value:.{digits}f}", ha="center", va="center", size=8.5)
    ax.set_xlim(0, n_columns)
    ax.set_ylim(n_rows, 0)
    ax.set_xticks(np.arange(n_columns) + 0.5, column_labels)
    ax.set_yticks(np.arange(n_rows) + 0.5, row_labels)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0)
    if max(map(len, column_labels)) > 6:
        ax.tick_params(axis="x", rotation=35)
        for label in ax.get_xticklabels():
            label.set(ha="left", rotation_mode="anchor")
    ax.set_xlabel(column_title)
    ax.set_ylabel(row_title)
    ax.grid(visible=False)
    for edge in range(n_rows + 1):
        ax.axhline(edge, color=GRID, linewidth=0.8)
    for edge in range(n_columns + 1):
        ax.axvline(edge, color=GRID, linewidth=0.8)
    ax.spines[:].set_visible(False)
    return picture


def transition_graph(
    tokens: Sequence[str],
    matrix,
    *,
    alt: str,
    caption: str,
    positions: Mapping[str, tuple] | None = None,
    digits: int = 2,
    width: float | int = 7.0,
    height: float | int | None = None,
) -> Picture:
    """Draw a Markov chain: a node a token, an arrow for each probability above zero.

    Args:
        tokens: one label a node.
        matrix: Float, "n n", transition probabilities, rows "from", columns "to".
        alt: see `figure`.
        caption: see `figure`.
        positions: token -> (x, y) with 0 to 1 on both axes; by default in columns, from left to
            right by the number of steps from the first token.
        digits: digits after the point of the probabilities.
        width: inches.
        height: inches; by default as the tallest column needs.

    Raises:
        ValueError: if the matrix is not square with a row for every token, or a position lacks.

    >>> transition_graph(["a", "b"], [[0.5, 0.5], [0, 1]], alt="Two nodes.", caption="A chain.")
    Figure: A chain. [Two nodes.]
    """
    values = np.asarray(matrix, dtype=float)
    if values.shape != (len(tokens), len(tokens)):
        raise ValueError(
            f"matrix has shape {values.shape}, but there are {len(tokens)} tokens"
        )
    places = dict(positions) if positions is not None else layers(tokens, values)
    missing = [token for token in tokens if token not in places]
    if missing:
        raise ValueError(
            f"no position for {missing}; there are positions for {list(places)}"
        )
    if height is None:
        columns = [round(x, 3) for x, _ in places.values()]
        height = max(2.9, 1.2 + 0.75 * max(map(columns.count, columns)))
    picture = figure(alt=alt, caption=caption, width=width, height=height)
    ax = picture.ax
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    # In inches, with room for the labels at the edges.
    spots = [
        np.array(
            [0.6 + places[t][0] * (width - 1.2), 0.45 + places[t][1] * (height - 0.9)]
        )
        for t in tokens
    ]
    for i, j in zip(*np.nonzero(values), strict=True):
        _draw_arrow(
            ax, spots, tokens, int(i), int(j), f"{values[i, j]:.{digits}f}", values
        )
    for token, spot in zip(tokens, spots, strict=True):
        box = {"boxstyle": "round,pad=0.4", "facecolor": BACKGROUND, "edgecolor": BLUE}
        ax.text(
            *spot,
            token,
            ha="center",
            va="center",
            size=10.5,
            bbox={**box, "linewidth": 1.6},
        )
    return picture


def layers(tokens: Sequence[str], matrix) -> dict[str, tuple]:
    """Place tokens in columns by their number of steps from the first one.

    >>> layers(["a", "b", "c"], np.array([[0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]]))
    {'a': (0.0, 0.5), 'b': (1.0, 0.75), 'c': (1.0, 0.25)}
    """
    steps = {0: 0}
    waiting = [0]
    for node in waiting:
        for other in np.nonzero(matrix[node])[0].tolist():
            if other not in steps:
                steps[other] = steps[node] + 1
                waiting.append(other)
    last = max(steps.values())
    columns: dict[int, list[int]] = {}
    for node in range(len(tokens)):
        columns.setdefault(steps.get(node, last), []).append(node)
    return {
        tokens[node]: (column / max(last, 1), 1 - (row + 0.5) / len(nodes))
        for column, nodes in sorted(columns.items())
        for row, node in enumerate(nodes)
    }


def _draw_arrow(
    ax, spots: list, tokens: Sequence[str], i: int, j: int, label: str, values
) -> None:
    """An arrow between two nodes, bent where one comes back, with its probability beside it."""
    start, end = spots[i], spots[j]
    style = {
        "arrowstyle": "-|>",
        "mutation_scale": 11,
        "color": MUTED,
        "linewidth": 1.3,
    }
    if i == j:  # a loop above the node
        left, right = start + [-0.12, 0.2], start + [0.12, 0.2]
        bend = FancyArrowPatch(left, right, connectionstyle="arc3,rad=-2.0", **style)
        middle = start + [0, 0.56]
    else:
        along = end - start
        curve = _curve(i, j, spots, values)
        margins = [_margin(tokens[node], along) for node in (i, j)]
        unit = along / np.hypot(*along)
        first, second = start + unit * margins[0], end - unit * margins[1]
        bend = FancyArrowPatch(
            first, second, connectionstyle=f"arc3,rad={curve}", **style
        )
        across = np.array([along[1], -along[0]])
        middle = (first + second) / 2 + across / np.hypot(*across) * np.hypot(
            *(second - first)
        ) * curve / 2
    ax.add_patch(bend)
    box = {"boxstyle": "round,pad=0.12", "facecolor": BACKGROUND, "edgecolor": "none"}
    ax.text(*middle, label, ha="center", va="center", size=9, bbox=box)


def _curve(i: int, j: int, spots: list, values) -> float:
    """How much an arrow bends: round nodes on its way, and aside from the arrow back."""
    start, end = spots[i], spots[j]
    along = end - start
    for node, spot in enumerate(spots):
        share = (spot - start) @ along / (along @ along)
        aside = np.hypot(*(spot - start - share * along))
        if node not in (i, j) and 0.05 < share < 0.95 and aside < 0.3:
            return 0.35
    return 0.18 if values[j, i] else 0.0


def _margin(token: str, along) -> float:
    """How far an arrow stays from a node's middle, in inches: the label's box."""
    half_width, half_height = 0.11 + 0.042 * len(token), 0.17
    cosine, sine = np.abs(along) / np.hypot(*along)
    return min(half_width / max(cosine, 1e-9), half_height / max(sine, 1e-9)) + 0.04


# ----------------------------------------------------------------------------------------- tables


class Table:
    """Rows of cells that show themselves as an HTML table, and as plain text."""

    def __init__(
        self, columns: list[str], rows: list[list[str]], bold: set, caption: str
    ):
        self.columns = columns
        self.rows = rows
        self.bold = bold  # (row, column) of highlighted cells
        self.caption = caption
        self.classes = [
            ' class="lmcourse-number"' * all(_reads_as_number(row[i]) for row in rows)
            for i in range(len(columns))
        ]

    def __repr__(self) -> str:
        cells = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = []
        for row in cells:
            padded = [row[0].ljust(widths[0])]
            padded += [
                cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True)
            ]
            lines.append("  ".join(padded).rstrip())
        return "\n".join([self.caption, *lines])

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th scope="col"{name_class}>{html.escape(name)}</th>'
            if name
            else "<td></td>"
            for name, name_class in zip(self.columns, self.classes, strict=True)
        )
        body = []
        for i, row in enumerate(self.rows):
            cells = f'<th scope="row"{self.classes[0]}>{html.escape(row[0])}</th>'
            for j, cell in enumerate(row[1:], start=1):
                text = html.escape(cell)
                text = f"<strong>{text}</strong>" if (i, j) in self.bold else text
                cells += f"<td{self.classes[j]}>{text}</td>"
            body.append(f"<tr>{cells}</tr>")
        caption = html.escape(self.caption, quote=False)
        return (
            f'<figure class="lmcourse-figure"><figcaption>{caption}</figcaption>'
            '<div class="lmcourse-scroll"><table class="dataframe lmcourse-table">\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n"
            + "\n".join(body)
            + "\n</tbody>\n</table></div></figure>"
        )


def table(
    rows: Sequence[Mapping],
    *,
    caption: str,
    digits: int | Mapping[str, int] = 3,
    highlight: Mapping[str, str] | None = None,
) -> Table:
    """Return a table. The first column heads its row.

    Args:
        rows: one mapping a row, column -> text, number, or None for an empty cell. The first row
            gives the columns' order.
        caption: one sentence above the table.
        digits: digits after the point of a float, for all columns or by column. Integers are
            shown with a comma every three digits.
        highlight: column -> "min" or "max": which of its numbers stands bold.

    Raises:
        ValueError: if there is no row, a row has other columns than the first, or a highlighted
            column is unknown or holds no number.

    >>> table([{"model": "bigram", "bits": 2.5}, {"model": "trigram", "bits": 2.25}],
    ...       caption="Held out.", digits=2, highlight={"bits": "min"})
    Held out.
    model    bits
    bigram   2.50
    trigram  2.25
    """
    if not rows:
        raise ValueError("rows=[]: a table has at least one row")
    if not caption.strip():
        raise ValueError(f"caption={caption!r}: every table has a caption")
    columns = list(rows[0])
    for row in rows:
        if set(row) != set(columns):
            raise ValueError(f"a row has columns {list(row)}, the first has {columns}")
    places = digits if isinstance(digits, Mapping) else dict.fromkeys(columns, digits)
    text = [[_cell(row[name], places.get(name, 3)) for name in columns] for row in rows]
    bold = set()
    for name, rule in (highlight or {}).items():
        numbers = {
            i: float(row[name])
            for i, row in enumerate(rows)
            if name in row and _is_number(row[name]) and math.isfinite(row[name])
        }
        if rule not in ("min", "max") or not numbers:
            raise ValueError(
                f'highlight {name!r}: {rule!r}; the rule is "min" or "max", on a column of '
                f"numbers; columns are {columns}"
            )
        best = {"min": min, "max": max}[rule](numbers.values())
        column = columns.index(name)
        shown = _cell(best, places.get(name, 3))
        bold |= {
            (i, column)
            for i in numbers
            if text[i][column] == shown or numbers[i] == best
        }
    return Table(columns, text, bold, caption)


def _reads_as_number(cell: str) -> bool:
    """Whether a cell is a number: `2.50`, `1,000`, `1/8`, `-0.1 ± 0.2`, `inf`, or empty."""
    return re.fullmatch(r"(-?(\d[\d,./% ]*(± [\d,.]+)?|inf))?", cell) is not None


def _is_number(value) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _cell(value, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        text = f"{value:,.{digits}f}"
        return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text
    if _is_number(value):
        return f"{value:,}"
    return str(value)
