"""Times, counts and sizes as a person says them."""

import time


def span(seconds: float) -> str:
    """A length of time.

    >>> [span(seconds) for seconds in (0.4, 74, 3000, 5400, 100_000)]
    ['0 s', '74 s', '50 min', '1 h 30 min', '1 d 4 h']
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def moment(when: float, now: float) -> str:
    """A time of day; with its date where that is another day than now."""
    there, here = time.localtime(when), time.localtime(now)
    return time.strftime("%H:%M" if there[:3] == here[:3] else "%a %d %b %H:%M", there)


def ordinal(number: int) -> str:
    """How often.

    >>> [ordinal(number) for number in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def plural(count: int, thing: str) -> str:
    """How many of a thing.

    >>> plural(1, "trial"), plural(2, "trial")
    ('1 trial', '2 trials')
    """
    return f"{count} {thing}{'' if count == 1 else 's'}"


def numbers(trials: tuple[int, ...], most: int = 6) -> str:
    """Numbers of trials, the first of them where there are many.

    >>> numbers((9, 4, 2), most=2)
    '#9, #4, …'
    """
    return ", ".join([*(f"#{trial}" for trial in trials[:most]), *(["…"] if len(trials) > most else [])])
