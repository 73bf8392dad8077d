import sys
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from random import Random

here = Path(__file__).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(here.parent.parent))
from brute_force import DAY, HOUR, MINUTE, latest, least, mean, moment, most, order, source_line, total, values, visible, window, write_lines, written

random = Random(3)
batch_end, later_end = moment("2026-03-01T00:00:00Z"), moment("2026-03-03T00:00:00Z")
words = ["", "a", "B", "é", "東京", "a b", "z"]


def made(seq, start, end):
    at = start + random.randrange(0, end - start)
    at = at // HOUR * HOUR if random.random() < 0.3 else at
    late = random.choice([None, None, 0, 20 * MINUTE, 5 * HOUR])
    return {
        "thing": random.choice("abc"),
        "at": at,
        "known": None if late is None else at + late,
        "x": random.choice([None, random.randrange(-900, 900) / 10, random.randrange(1, 9) * 1e9, 0.1]),
        "l": random.choice([None, random.randrange(-(2**55), 2**55)]),
        "word": random.choice([None, *words]),
        "ok": random.choice([None, True, True, False]),
        "seq": seq,
    }


batch = [made(seq, batch_end - 20 * DAY, batch_end) for seq in range(400)]
# most of the later events are new, and some are old ones that arrive late
later = [made(400 + seq, batch_end - (3 * DAY if seq % 5 == 0 else 0), later_end) for seq in range(150)]
rows = batch + later
write_lines(here / "batch.jsonl", map(source_line, batch))
write_lines(here / "later.jsonl", map(source_line, later))

moments = [later_end + DAY // 2, *[later_end + 6 * HOUR + random.randrange(0, 16 * DAY) // MINUTE * MINUTE for _ in range(25)], *[later_end - random.randrange(0, 6 * DAY) for _ in range(15)]]
spine = [{"thing": random.choice("abcd"), "t": when // HOUR * HOUR if random.random() < 0.3 else when} for when in moments]
write_lines(here / "spine.jsonl", [{**row, "t": written(row["t"])} for row in spine])


def variance(found, less=0):
    """Exact, as a fraction; None where there are too few."""
    if len(found) <= less:
        return None
    exact = [Fraction(value) for value in found]
    middle = sum(exact) / len(exact)
    return sum((value - middle) ** 2 for value in exact) / (len(exact) - less)


def rounded(fraction):
    return None if fraction is None else float(fraction)


def root(fraction):
    if fraction is None:
        return None
    with localcontext() as context:
        context.prec = 80
        return float((Decimal(fraction.numerator) / Decimal(fraction.denominator)).sqrt())


def int64(number):
    return number if number is None or -(2**63) <= number < 2**63 else None


def text(value):
    return str(value).lower() if isinstance(value, bool) else value


def counts(found):
    if not found:
        return None
    kinds = {text(value): found.count(value) for value in found}
    return {kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: kind.encode())}


def top(found, k):
    if not found:
        return None
    return sorted(set(found), key=lambda value: (-found.count(value), value.encode()))[:k]


def several(found, column):
    return [row[column] for row in found] or None


def expected(thing, t):
    seen = visible([row for row in rows if row["thing"] == thing], t)
    features = {}
    for name, length in [("20h", 20 * HOUR), ("6d", 6 * DAY), ("7d", 7 * DAY), ("14d", 14 * DAY)]:
        found = window(seen, t, length)
        chosen = [row for row in found if row["ok"] is True]
        xs, ls = values(found, "x"), values(found, "l")
        found.sort(key=order)
        chosen.sort(key=order)
        oldest = found[0] if found else None
        features |= {
            f"n{name}": len(found),
            f"values{name}": len(xs),
            f"chosen{name}": len(chosen),
            f"total{name}": total(found, "x"),
            f"whole{name}": int64(sum(ls)) if ls else None,
            f"mean{name}": mean(chosen, "x"),
            f"least{name}": least(found, "x"),
            f"most{name}": most(found, "l"),
            f"first{name}": None if oldest is None else oldest["word"],
            f"last{name}": latest(found, t, "x"),
            f"spread{name}": rounded(variance(xs)),
            f"deviation{name}": root(variance(xs, less=1)),
            f"words{name}": len(set(values(found, "word"))),
            f"firsts{name}": several(found[:3], "x"),
            f"lasts{name}": several(chosen[-4:], "word"),
            f"top{name}": top(values(found, "word"), 3),
            f"often{name}": counts(values(found, "ok")),
        }
    seen.sort(key=order)
    ever = {"nEver": len(seen), "totalEver": total(seen, "x"), "leastEver": least(seen, "l"), "wordsEver": len(set(values(seen, "word"))), "oftenEver": counts(values([row for row in seen if row["ok"] is True], "word")), "latestEver": several(seen[-2:], "l"), "spreadEver": rounded(variance(values(seen, "x")))}
    return {"thing": thing, "t": written(t), **features, **ever}


write_lines(here / "trained.jsonl", [expected(**row) for row in spine])
