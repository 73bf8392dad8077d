"""The rule of time, spelled out row by row, for the cases whose expected rows are generated: `python3 cases/NAME/make.py` writes them again.

A row is a dict of its columns with "at" and "known" (microseconds; known may be None) and "seq", the place in which it arrived. It has nothing in common with
the code that it checks.
"""

import json
from datetime import datetime, timedelta, timezone
from fractions import Fraction

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment(text):
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def written(micros, hours=0):
    """RFC 3339; hours None: without a zone."""
    when = EPOCH + timedelta(microseconds=micros) + timedelta(hours=hours or 0)
    text = when.strftime("%Y-%m-%dT%H:%M:%S")
    if when.microsecond:
        text += f".{when.microsecond:06d}".rstrip("0")
    return text + ("" if hours is None else "Z" if hours == 0 else f"{hours:+03d}:00")


def known(row):
    return row["at"] if row["known"] is None else row["known"]


def visible_at(row, every=None, delay=0):
    """With a schedule that runs every so many microseconds: at the first run at or after, plus the delay."""
    visible = max(row["at"], known(row))
    return visible if every is None else -(-visible // every) * every + delay


def visible(rows, t, every=None, delay=0):
    return [row for row in rows if visible_at(row, every, delay) <= t]


def order(row):
    return (row["at"], known(row), row["seq"])


def latest(rows, t, column, ttl=None):
    """`rows`: the visible ones of the entity."""
    newest = max(rows, key=order, default=None)
    if newest is None or (ttl is not None and t - newest["at"] > ttl):
        return None
    return newest[column]


def default_hop(length):
    if length >= 12 * DAY:
        return DAY
    if length >= 12 * HOUR:
        return HOUR
    return 5 * MINUTE if length >= HOUR else length // 12


def window(rows, t, length):
    """`rows`: the visible ones of the entity."""
    hop = default_hop(length)
    tail = (t - length) // hop * hop
    return [row for row in rows if tail <= row["at"] <= t]


def values(rows, column):
    return [row[column] for row in rows if row[column] is not None]


def total(rows, column):
    found = values(rows, column)
    return float(sum(map(Fraction, found))) if found else None


def mean(rows, column):
    found = values(rows, column)
    return float(sum(map(Fraction, found)) / len(found)) if found else None


def least(rows, column):
    return min(values(rows, column), default=None)


def most(rows, column):
    return max(values(rows, column), default=None)


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def source_line(row):
    """A row as its file has it: times as text, without its place."""
    line = {name: value for name, value in row.items() if name != "seq"}
    for name in ("at", "known"):
        if line.get(name) is not None:
            line[name] = written(line[name])
    return line
