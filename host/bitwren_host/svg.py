"""What drawn figures share: colours for light and dark, text and lines of an SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

STYLE = """
  .paper { fill: #ffffff; } .text { fill: #1f2328; } .quiet { fill: #59636e; } .grid { stroke: #d1d9e0; }
  .blue { fill: #0969da; stroke: #0969da; } .orange { fill: #bc4c00; stroke: #bc4c00; }
  .grey { fill: #818b98; stroke: #818b98; } .green { fill: #1a7f37; stroke: #1a7f37; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } .text { fill: #e6edf3; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; }
    .blue { fill: #58a6ff; stroke: #58a6ff; } .orange { fill: #f0883e; stroke: #f0883e; }
    .grey { fill: #7d8590; stroke: #7d8590; } .green { fill: #3fb950; stroke: #3fb950; }
  }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
  .name { stroke: none; } .title { font-size: 15px; font-weight: 600; } .strong { font-weight: 600; }
  .grid { stroke-width: 1; } .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; } .out { stroke-dasharray: 6 4; }
"""
"""A class for each part that has a colour."""


def picture(width: float, height: float, label: str, parts: Sequence[str], style: str = "") -> str:
    """An ``svg`` element.

    :param label: what it shows, for those who cannot see it. :param style: for a file of its own; a page has one for all.
    """
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
    sheet = f"<style>{style}</style>\n" if style else ""
    paper = f'<rect class="paper" width="{width}" height="{height}" rx="8"/>\n'
    return f"{head} aria-label={quoteattr(label)}>\n{sheet}{paper}" + "\n".join(parts) + "\n</svg>\n"


def text(x: float, y: float, content: str, kind: str, anchor: str = "start") -> str:
    """Text with its anchor at (x, y)."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """A thin line of a grid."""
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def bar(kind: str, x1: float, y1: float, x2: float, y2: float, width: float = 2.5) -> str:
    """A thick line of data."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke-width="{width}"/>'


def dot(kind: str, x: float, y: float, radius: float = 3) -> str:
    """A point of data."""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def polyline(kind: str, spots: Sequence[tuple[float, float]]) -> str:
    """A line through points of data."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    return f'<polyline class="{kind} line" style="fill: none" points="{path}"/>'
