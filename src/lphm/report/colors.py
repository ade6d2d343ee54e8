"""The levels of colour of a heat map: from the page's background to what stands out, light and dark."""

import numpy as np

LEVELS = 41
#: Anchors of the diverging (d) and sequential (q) levels, in equal steps; zero is close to the background.
ANCHORS = {
    "light": {
        "d": ("#0a3d8f", "#5b94d6", "#f1f2f4", "#e07b6a", "#9c1c13"),
        "q": ("#f1f4f8", "#9cc3e6", "#4f93cf", "#1d62ab", "#0a2f66"),
    },
    "dark": {
        "d": ("#9ed0ff", "#3f86cf", "#1d242d", "#c9574a", "#ffb4a8"),
        "q": ("#1d242d", "#1f4d7d", "#2f7fc4", "#6fb7f2", "#e2f2ff"),
    },
}


def level_rules(theme: str) -> str:
    """CSS that gives each level, a class such as ``d0`` or ``q40``, its colour ``--c``."""
    rules = []
    for letter, anchors in ANCHORS[theme].items():
        points = np.array([[int(a[i : i + 2], 16) for i in (1, 3, 5)] for a in anchors])
        places = np.linspace(0, len(anchors) - 1, LEVELS)
        channels = [np.interp(places, np.arange(len(anchors)), points[:, c]).round() for c in range(3)]
        for level, color in enumerate(zip(*channels, strict=True)):
            rules.append(f".{letter}{level}{{--c:#{''.join(f'{int(part):02x}' for part in color)}}}")
    return "".join(rules)
