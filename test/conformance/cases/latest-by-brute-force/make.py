import sys
from pathlib import Path
from random import Random

here = Path(__file__).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(here.parent.parent))
from brute_force import HOUR, MINUTE, latest, moment, source_line, visible, write_lines, written

random = Random(7)
start = moment("2026-03-01T00:00:00Z")


def made(seq):
    # coarse times, so that many are equal
    at = start + random.randrange(0, 24 * 6) * 10 * MINUTE
    late = random.choice([None, None, 0, 0, 30 * MINUTE, 2 * HOUR, 9 * HOUR, -HOUR])
    x = random.choice([None, *[random.randrange(-50, 50) / 8] * 5])
    return {"driver": random.randrange(1, 9), "at": at, "known": None if late is None else at + late, "x": x, "seq": seq}


rows = [made(seq) for seq in range(360)]
for part, name in enumerate(["first", "second", "third"]):
    write_lines(here / f"{name}.jsonl", [source_line(row) for row in rows[part * 120 : (part + 1) * 120]])

spine = [{"driver": random.randrange(1, 11), "t": start + random.randrange(0, 30 * 6) * 10 * MINUTE + random.choice([-1, 0, 0, 1])} for _ in range(300)]
write_lines(here / "spine.jsonl", [{**row, "t": written(row["t"])} for row in spine])


def expected(driver, t):
    seen = visible([row for row in rows if row["driver"] == driver], t)
    within = latest(seen, t, "x", 20 * MINUTE)
    features = {"x": latest(seen, t, "x"), "recent": latest(seen, t, "x", 3 * HOUR), "or": -1 if within is None else within}
    return {"driver": driver, "t": written(t), **features}


write_lines(here / "trained.jsonl", [expected(**row) for row in spine])
