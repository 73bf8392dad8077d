import sys
from pathlib import Path
from random import Random

here = Path(__file__).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(here.parent.parent))
from brute_force import DAY, HOUR, MINUTE, SECOND, latest, least, mean, moment, most, total, values, visible, window, write_lines, written

random = Random(2)
start = moment("2026-01-01T00:00:00Z")
end = start + 59 * DAY


def at():
    # some on the edges of hops, half of them in the last two days
    when = start + random.randrange(0, 59 * DAY) if random.random() < 0.5 else end - random.randrange(0, 2 * DAY)
    return when // (5 * MINUTE) * (5 * MINUTE) if random.random() < 0.2 else when // SECOND * SECOND


rows = [
    {"thing": random.choice("abc"), "at": at(), "known": None, "x": random.choice([None, random.randrange(-4000, 4000) / 10, 1e15, -1e15, 0.1]), "i": random.choice([None, random.randrange(-9, 10)]), "seq": seq}
    for seq in range(10_000)
]
shown = lambda value: "" if value is None else repr(value)
for name, half in [("first", rows[::2]), ("second", rows[1::2])]:
    lines = [f"{row['thing']},{written(row['at'])},{shown(row['x'])},{shown(row['i'])}\n" for row in half]
    (here / f"{name}.csv").write_text("thing,at,x,i\n" + "".join(lines))
# the second half arrives after the first
rows = [{**row, "seq": seq} for seq, row in enumerate(rows[::2] + rows[1::2])]

moments = [start + random.randrange(0, 95 * DAY) for _ in range(60)] + [end - random.randrange(0, 2 * DAY) // (5 * MINUTE) * (5 * MINUTE) + random.choice([-1, 0, 1]) for _ in range(60)]
spine = [{"thing": random.choice("abcd"), "t": when} for when in moments]
write_lines(here / "spine.jsonl", [{**row, "t": written(row["t"])} for row in spine])


def expected(thing, t):
    seen = visible([row for row in rows if row["thing"] == thing], t)
    hour, day, month = (window(seen, t, length) for length in (HOUR, DAY, 30 * DAY))
    return {
        "thing": thing,
        "t": written(t),
        "n1h": len(hour),
        "n1d": len(day),
        "n30d": len(month),
        "values1d": len(values(day, "x")),
        "total1h": total(hour, "x"),
        "total1d": total(day, "x"),
        "total30d": total(month, "x"),
        "mean1h": mean(hour, "i"),
        "mean30d": mean(month, "x"),
        "least1d": least(day, "x"),
        "most30d": most(month, "i"),
        "newest1h": latest(hour, t, "i"),
        "newest1d": latest(day, t, "x"),
    }


write_lines(here / "trained.jsonl", [expected(**row) for row in spine])
