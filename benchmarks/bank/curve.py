"""A receiver operating curve as an SVG file; the same data give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_SIDE, _LEFT, _TOP = 360, 60, 40
_COLOURS = ("#1f5fa8", "#2f8f5b", "#b3701a", "#a8201a")


def draw_curve(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """The curves, (FPR, TPR) points each, in one square with the bars of the issue as dashed lines."""
    box = f'viewBox="0 0 {_SIDE + 320} {_SIDE + 90}" font-family="system-ui, sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} fill="#333">',
        f'<rect width="{_SIDE + 320}" height="{_SIDE + 90}" fill="#fff"/>',
        '<text x="60" y="24" font-size="15">Reporting half of the image bank</text>',
    ]
    for step in range(6):
        share = step / 5
        x, y = _place(share, 0)[0], _place(0, share)[1]
        parts.append(f'<path d="M{_LEFT} {y}H{_LEFT + _SIDE}M{x} {_TOP}V{_TOP + _SIDE}" stroke="#e4e4e0"/>')
        parts.append(f'<text x="{x}" y="{_TOP + _SIDE + 18}" text-anchor="middle">{share:g}</text>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{share:g}</text>')
    bar_x, bar_y = _place(0.1, 0.85)
    parts.append(
        f'<path d="M{bar_x} {_TOP}V{_TOP + _SIDE}M{_LEFT} {bar_y}H{_LEFT + _SIDE}" stroke="#999" '
        'stroke-dasharray="4 4"/>'
    )
    for number, (title, points) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = "L".join("{} {}".format(*_place(*point)) for point in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = _TOP + 24 + 24 * number
        parts.append(f'<path d="M{_LEFT + _SIDE + 20} {y - 4}h24" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{_LEFT + _SIDE + 52}" y="{y}">{title}</text>')
    middle, foot = _LEFT + _SIDE / 2, _TOP + _SIDE + 40
    parts.append(f'<text x="{middle:g}" y="{foot}" text-anchor="middle">false alarms (FPR)</text>')
    turned = f'transform="translate(18 {_TOP + _SIDE / 2:g}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">found (TPR)</text></svg>')
    return "\n".join(parts) + "\n"


def _place(fpr: float, tpr: float) -> tuple[float, float]:
    return round(_LEFT + fpr * _SIDE, 1), round(_TOP + (1 - tpr) * _SIDE, 1)
