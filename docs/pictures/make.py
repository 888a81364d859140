#!/usr/bin/env python3
"""Draws the pictures of docs/choosing-a-lattice.md: one SVG a kind of lattice.

    python3 docs/pictures/make.py            # writes them beside this file

Arcs are drawn by the rule of the library: an arc leaves every cell (t, u), t < T, u <= U, and is there where it ends in
a cell, or, if it may, in the end (T, U). Strong arcs leave one cell; all others are faint. No colour is a background.
"""

import math
import pathlib

GREY = "#7a828c"
BLANK = "#3a86d8"
LABEL = "#e0762a"
BIG = "#9b6bd6"
FREE = "#2fa36b"
COLOURS = {"grey": GREY, "blank": BLANK, "label": LABEL, "big": BIG, "free": FREE}

DX, DY = 84, 62
LEFT, TOP, BOTTOM = 92, 44, 46
RADIUS = 5.5


class Arc:
    """An arc of a kind: frames and labels that it takes, and how it is drawn."""

    def __init__(self, colour, frames, labels, may_end=False, bend=0.0, dashed=False, second=None, word="", off=(0, 0), where=None):
        self.colour, self.frames, self.labels, self.may_end = colour, frames, labels, may_end
        self.bend, self.dashed = bend, dashed
        # Colour of its second half, if it reads a second symbol.
        self.second = second
        # Written beside the strong one, so far from its middle.
        self.word, self.off = word, off
        self.where = where or (lambda t, u: True)


def stay(frames=1, colour="blank", bend=0.0, **more):
    return Arc(colour, frames, 0, may_end=more.pop("may_end", True), bend=bend, **more)


def label(frames=0, colour="label", bend=0.0, **more):
    return Arc(colour, frames, 1, may_end=more.pop("may_end", False), bend=bend, **more)


class Picture:
    def __init__(self, width, height, title, about):
        self.width, self.height = width, height
        self.parts = [f"<title>{escape(title)}</title>", f"<desc>{escape(about)}</desc>", markers()]

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, words, colour=GREY, anchor="middle", size=13, weight="normal", style="normal"):
        more = "".join(
            f' {name}="{value}"'
            for name, value, usual in (("font-weight", weight, "normal"), ("font-style", style, "normal"))
            if value != usual
        )
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"{more}>{escape(words)}</text>')

    def path(self, points, colour, strong, dashed=False, head=True):
        """A line or a quadratic curve, with an arrow at its end."""
        (x0, y0), middle, (x1, y1) = points
        bend = "L" if middle is None else f"Q{middle[0]:.1f} {middle[1]:.1f} "
        d = f"M{x0:.1f} {y0:.1f}{bend}{x1:.1f} {y1:.1f}"
        width = 2.4 if strong else 1.2
        opacity = "" if strong else ' opacity=".6"'
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        key = next(name for name, value in COLOURS.items() if value == colour)
        size = "strong" if strong else "faint"
        arrow = f' marker-end="url(#{key}-{size})"' if head else ""
        self.add(f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}"{opacity}{dash}{arrow}/>')

    def legend(self, rows, x, y):
        """Lines of the legend: (colour name, dashed, words)."""
        for colour, dashed, words in rows:
            dash = ' stroke-dasharray="6 4"' if dashed else ""
            self.add(f'<path d="M{x} {y - 4}h26" stroke="{COLOURS[colour]}" stroke-width="2.4"{dash}/>')
            self.text(x + 34, y, words, anchor="start")
            y += 20

    def write(self, name):
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="system-ui, sans-serif">'
        )
        text = "\n".join([head, *self.parts, "</svg>"]) + "\n"
        (pathlib.Path(__file__).parent / f"{name}.svg").write_text(text, encoding="utf-8")


def escape(words):
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markers():
    """Arrow heads, of one colour each: not every viewer knows `context-stroke`."""
    heads = []
    for name, colour in COLOURS.items():
        for size, length in (("strong", 10), ("faint", 8)):
            heads.append(
                f'<marker id="{name}-{size}" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="{length}" markerHeight="{length}" '
                f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 1L9 5L0 9z" fill="{colour}"/></marker>'
            )
    return "<defs>" + "".join(heads) + "</defs>"


def shorten(start, end, middle=None, gap=RADIUS + 2.5):
    """Ends of a line or curve, moved off the nodes."""

    def towards(a, b):
        length = math.hypot(b[0] - a[0], b[1] - a[1])
        return a[0] + (b[0] - a[0]) * gap / length, a[1] + (b[1] - a[1]) * gap / length

    return towards(start, middle or end), towards(end, middle or start)


class Lattice:
    """T x U grid with the arcs of a kind."""

    def __init__(self, title, about, frames, labels, arcs, legend, names=None, strong=(1, 1), allowed=None, top=0, axis=28):
        self.T, self.U, self.axis = frames, labels, axis
        self.top = TOP + top
        self.height = self.top + labels * DY + BOTTOM + axis - 28
        width = LEFT + frames * DX + 60
        # A legend line is about seven units a letter.
        width = max(width, 60 + max(7.2 * len(words) for _, _, words in legend))
        self.picture = Picture(round(width), self.height + 20 * len(legend) + 8, title, about)
        self.arcs, self.strong = arcs, strong
        self.names = names or [f"y{'₁₂₃₄₅₆'[i]}" for i in range(labels)]
        self.allowed = allowed or (lambda t, u: True)
        self.draw_arcs()
        self.draw_nodes()
        self.draw_axes()
        self.picture.legend(legend, 20, self.height + 14)

    def at(self, t, u):
        return LEFT + t * DX, self.top + (self.U - u) * DY

    def exists(self, arc, t, u):
        to = (t + arc.frames, u + arc.labels)
        cell = to[0] < self.T and to[1] <= self.U and self.allowed(*to)
        end = to == (self.T, self.U) and arc.may_end
        return self.allowed(t, u) and (cell or end) and arc.where(t, u)

    def draw_arcs(self):
        for strong in (False, True):
            for arc in self.arcs:
                for t in range(self.T):
                    for u in range(self.U + 1):
                        if self.exists(arc, t, u) and ((t, u) == self.strong) == strong:
                            self.draw_arc(arc, t, u, strong)

    def draw_arc(self, arc, t, u, strong):
        start, end = self.at(t, u), self.at(t + arc.frames, u + arc.labels)
        colour = COLOURS[arc.colour]
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy)
        middle = None
        if arc.bend:
            # To the left of its way: above, for arcs along a row.
            middle = ((start[0] + end[0]) / 2 + dy / length * arc.bend, (start[1] + end[1]) / 2 - dx / length * arc.bend)
        a, b = shorten(start, end, middle)
        if arc.second:
            # The two halves of the curve.
            half = lambda p, q: ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)
            first, last = half(a, middle), half(middle, b)
            self.picture.path((a, first, half(first, last)), colour, strong, head=False)
            self.picture.path((half(first, last), last, b), COLOURS[arc.second], strong)
        else:
            self.picture.path((a, middle, b), colour, strong, arc.dashed)
        if strong and arc.word:
            top = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
            if middle:
                top = (top[0] + middle[0]) / 2, (top[1] + middle[1]) / 2
            self.picture.text(top[0] + arc.off[0], top[1] + arc.off[1], arc.word, colour=colour, size=12, weight="bold")

    def draw_nodes(self):
        for t in range(self.T):
            for u in range(self.U + 1):
                x, y = self.at(t, u)
                if self.allowed(t, u):
                    self.picture.add(f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{GREY}"/>')
                else:
                    self.picture.add(f'<circle cx="{x}" cy="{y}" r="3" fill="none" stroke="{GREY}" opacity=".5"/>')
        x, y = self.at(self.T, self.U)
        self.picture.add(f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{GREY}"/><circle cx="{x}" cy="{y}" r="9" fill="none" stroke="{GREY}" stroke-width="1.6"/>')
        self.picture.text(x + 15, y + 4, "end", anchor="start", size=12)

    def draw_axes(self):
        picture = self.picture
        for t in range(self.T):
            picture.text(self.at(t, 0)[0], self.at(0, 0)[1] + self.axis, str(t), size=12)
        picture.text(self.at(self.T, 0)[0] + 4, self.at(0, 0)[1] + self.axis, "frame t", anchor="middle", size=12, style="italic")
        for u in range(self.U + 1):
            picture.text(LEFT - 26, self.at(0, u)[1] + 4, f"u={u}", anchor="end", size=12)
        for u, name in enumerate(self.names):
            picture.text(LEFT - 38, (self.at(0, u)[1] + self.at(0, u + 1)[1]) / 2 + 4, name, colour=LABEL, anchor="end", size=14, weight="bold")

    def write(self, name):
        self.picture.write(name)


def rnnt():
    Lattice(
        "RNN-T",
        "A blank goes one frame on, a label one position up within the frame. Paths end by a blank of the last frame.",
        4, 2, [stay(word="blank", off=(0, 17)), label(word="y₂", off=(-14, 4))],
        [("blank", False, "blank: one frame on"), ("label", False, "next label: one position on, same frame")],
    ).write("rnnt")


def monotonic():
    Lattice(
        "Monotonic transducer",
        "A blank goes one frame on; a label goes one frame and one position on, and may end the lattice.",
        4, 2, [stay(word="blank", off=(0, 17)), label(1, may_end=True, word="y₂", off=(-10, -6))],
        [("blank", False, "blank: one frame on"), ("label", False, "next label: one frame and one position on; may come last")],
    ).write("monotonic")


def constrained():
    Lattice(
        "Constrained transducer",
        "A label goes one position up and takes the blank of that position in the same frame.",
        4, 2, [stay(word="blank", off=(0, 17)), label(1, may_end=True, bend=34, second="blank", word="y₂", off=(-34, 18))],
        [("blank", False, "blank: one frame on"), ("label", False, "next label, then the blank of row (t, u + 1): one frame on in all")],
    ).write("constrained")


def multi_blank():
    Lattice(
        "Multi-blank transducer",
        "Besides RNN-T's arcs, big blanks of two and three frames, which may end the lattice if they land exactly there.",
        6, 2, [stay(word="blank", off=(0, 17)), label(word="y₂", off=(-14, 4)), stay(2, "big", bend=24, word="2", off=(22, 13)),
               stay(3, "big", bend=48, word="3", off=(0, -5))],
        [("blank", False, "blank: one frame on"), ("big", False, "big blanks, here of 2 and 3 frames; one may end the lattice if it lands there"),
         ("label", False, "next label: same frame")],
        strong=(1, 1),
    ).write("multi-blank")


def tdt():
    Lattice(
        "Token-and-duration transducer",
        "Blanks and labels take as many frames as a second softmax says, here 0, 1 or 2; a blank takes at least one.",
        5, 2, [stay(word="1", off=(0, 16)), stay(2, bend=24, word="2", off=(50, 2)), label(0, word="0", off=(-11, 4)),
               label(1, word="1", off=(-2, -10)), label(2, word="2", off=(28, -18))],
        [("blank", False, "blank with duration 1 or 2; ends the lattice if it lands there"),
         ("label", False, "next label with duration 0, 1 or 2; does not end it")],
        strong=(1, 1),
    ).write("tdt")


def star():
    Lattice(
        "Star transducer",
        "Each blank but the last has a twin of constant weight.",
        4, 2, [stay(), label(), stay(1, "free", bend=-18, dashed=True, may_end=False, word="w", off=(0, 14))],
        [("blank", False, "blank"), ("label", False, "next label"), ("free", True, "skip a frame, at a fixed price; the last frame's blank has no twin")],
    ).write("star")


def bypass():
    Lattice(
        "Bypass transducer",
        "Each label has a twin of constant weight.",
        4, 2, [stay(), label(), label(0, "free", bend=18, dashed=True, word="w", off=(-12, 4))],
        [("blank", False, "blank"), ("label", False, "next label"), ("free", True, "skip a label, at a fixed price")],
    ).write("bypass")


def wildcard():
    after = lambda t, u: u == 2
    Lattice(
        "Wildcard",
        "The second label is a wildcard: emitting it is free, and frames after it cost a fixed price until the next label.",
        5, 3,
        [stay(where=lambda t, u: not after(t, u)), label(where=lambda t, u: u != 1),
         label(0, "free", dashed=True, where=lambda t, u: u == 1), stay(1, "free", dashed=True, where=after)],
        [("blank", False, "blank"), ("label", False, "next label"),
         ("free", True, "emit the wildcard: probability 1; a frame after it: the option's probability")],
        names=["y₁", "∗", "y₃"], strong=(2, 2),
    ).write("wildcard")


def band():
    # An alignment with a label in frames 1 and 4, at most one frame away.
    emitted = [0, 1, 0, 0, 1, 0]
    before = [sum(emitted[:t]) for t in range(7)]
    inside = lambda t, u: (u == 0) if t == 0 else before[max(t - 1, 0)] <= u <= before[min(t + 1, 6)]
    Lattice(
        "Band around an alignment",
        "A monotonic lattice of six frames in which only cells near an alignment exist.",
        6, 2, [stay(), label(1, may_end=True)],
        [("grey", False, "small circles: outside of the band, no path may enter, nothing is read"),
         ("blank", False, "blank, where it stays within the band"), ("label", False, "next label, here of a monotonic transducer, likewise")],
        allowed=inside, strong=(3, 1),
    ).write("band")


def w_transducer():
    lattice = Lattice(
        "W-transducer",
        "Free arcs from the start to every frame of position 0 and from every frame of the last position to the last frame.",
        5, 2, [stay(), label()],
        [("blank", False, "blank"), ("label", False, "next label"),
         ("free", True, "enter at any frame; leave from any frame (here to the last frame, whose blank still follows)")],
        strong=None, top=34, axis=66,
    )
    picture = lattice.picture
    for t in range(1, 5):
        start, end = lattice.at(0, 0), lattice.at(t, 0)
        middle = ((start[0] + end[0]) / 2, start[1] + 12 + 11 * t)
        a, b = shorten(start, end, middle)
        picture.path((a, middle, b), FREE, True, True)
    for t in range(0, 4):
        start, end = lattice.at(t, 2), lattice.at(4, 2)
        middle = ((start[0] + end[0]) / 2, start[1] - 14 - 13 * (4 - t))
        a, b = shorten(start, end, middle)
        picture.path((a, middle, b), FREE, True, True)
    lattice.write("w-transducer")


def hat():
    width, height = 560, 176
    picture = Picture(width, height, "HAT", "How the scores of a row become probabilities: one softmax in RNN-T; a blank apart from the labels in HAT.")
    bar, left = 400, 120

    def segment(x, y, w, colour, words, opacity):
        picture.add(f'<rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="30" fill="{colour}" fill-opacity="{opacity}" stroke="{colour}"/>')
        picture.text(x + w / 2, y + 20, words, size=12)

    picture.text(left - 14, 44, "RNN-T", anchor="end", weight="bold")
    shares = [.4, .12, .3, .18]
    x = left
    for share, words in zip(shares, ["blank", "a", "b", "c"]):
        segment(x, 24, share * bar, BLANK if words == "blank" else LABEL, words, ".22")
        x += share * bar
    picture.text(left + bar / 2, 72, "softmax over all V scores", size=12, style="italic")
    picture.text(left - 14, 120, "HAT", anchor="end", weight="bold")
    segment(left, 100, .4 * bar, BLANK, "blank: σ(x₀)", ".22")
    x = left + .4 * bar
    for share, words in zip(shares[1:], ["a", "b", "c"]):
        segment(x, 100, share * bar, LABEL, words, ".22")
        x += share * bar
    picture.text(left + .7 * bar, 148, "1 − σ(x₀), by a softmax of the labels", size=12, style="italic")
    picture.text(left + bar / 2, 168, "arcs: those of RNN-T; σ: the logistic function", size=12)
    picture.write("hat")


def ctc():
    names = ["–", "a", "–", "a", "–", "b", "–"]
    symbols = [None, "a", None, "a", None, "b", None]
    frames, dx, dy, left, top = 6, 78, 34, 70, 24
    height = top + 6 * dy + 40
    picture = Picture(640, height + 68, "CTC", "Frames by the 2U + 1 states of the target a, a, b: blanks between labels, which may be skipped between different ones.")
    at = lambda t, s: (left + t * dx, top + (6 - s) * dy)
    strong = {(2, 1), (2, 3), (2, 2)}
    for phase in (False, True):
        for t in range(frames - 1):
            for s in range(7):
                for step in (0, 1, 2):
                    to = s + step
                    if to > 6 or (step == 2 and (symbols[to] is None or symbols[to] == symbols[s])):
                        continue
                    if ((t, s) in strong) != phase:
                        continue
                    colour = FREE if step == 2 else BLANK if symbols[to] is None else LABEL
                    a, b = shorten(at(t, s), at(t + 1, to))
                    picture.path((a, None, b), colour, phase)
    for s in range(7):
        picture.text(left - 26, at(0, s)[1] + 5, names[s], colour=LABEL if symbols[s] else BLANK, size=15, weight="bold")
        for t in range(frames):
            x, y = at(t, s)
            ring = (t == 0 and s < 2) or (t == frames - 1 and s > 4)
            picture.add(f'<circle cx="{x}" cy="{y}" r="{RADIUS - 1}" fill="{GREY}"/>')
            if ring:
                picture.add(f'<circle cx="{x}" cy="{y}" r="8" fill="none" stroke="{GREY}" stroke-width="1.6"/>')
    for t in range(frames):
        picture.text(at(t, 0)[0], at(0, 0)[1] + 28, str(t), size=12)
    picture.text(at(frames, 0)[0] - 20, at(0, 0)[1] + 28, "frame t", size=12, style="italic")
    picture.legend([("blank", False, "to a blank"), ("label", False, "to a label, or on with the same one"),
                    ("free", False, "over a blank, to a different label: a → b, but not a → a. Rings: where paths begin and end")], 20, height + 14)
    picture.write("ctc")


if __name__ == "__main__":
    for draw in (rnnt, hat, multi_blank, tdt, monotonic, constrained, band, wildcard, star, bypass, w_transducer, ctc):
        draw()
