import sys
from pathlib import Path
from random import Random

here = Path(__file__).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(here.parent.parent))
from brute_force import HOUR, MINUTE, SECOND, latest, mean, moment, source_line, total, visible, window, write_lines, written

random = Random(10)
start = moment("2026-03-01T00:00:00Z")
places = ["Oslo", "Łódź", "東京", "nowhere"]


def order(seq):
    at = start - 3 * HOUR + random.randrange(0, 27 * HOUR)
    at = at // (10 * MINUTE) * (10 * MINUTE) if random.random() < 0.2 else at
    late = random.choice([None, None, 1, 7 * MINUTE, 3 * HOUR])
    return {
        "c": random.choice([None, *range(1, 6), 2**53 + 1]),
        "d": random.choice([None, *range(1, 5)]),
        "at": at,
        "known": None if late is None else at + late,
        "amount": random.choice([None, random.randrange(1, 1000) / 10, random.randrange(1, 1000) / 10]),
        "ok": random.choice([None, True, True, False]),
        "seq": seq,
    }


orders = [order(seq) for seq in range(400)]
more = [order(400 + seq) for seq in range(60)]
weather = [{"place": random.choice(places[:3]), "at": start + random.randrange(0, 24 * 12) * 5 * MINUTE, "known": None, "degrees": random.randrange(-20, 40), "seq": seq} for seq in range(60)]
write_lines(here / "orders.jsonl", map(source_line, orders))
write_lines(here / "more-orders.jsonl", map(source_line, more))
write_lines(here / "weather.jsonl", [{name: value for name, value in source_line(row).items() if name != "known"} for row in weather])


def asked(_):
    t = start + random.randrange(0, 24 * HOUR)
    t = t // (10 * MINUTE) * (10 * MINUTE) + random.choice([-1, 0, 1, 30 * SECOND, 30 * SECOND - 1]) if random.random() < 0.5 else t
    return {
        "customer": random.choice([None, *range(1, 7), 2**53 + 1, 2**53]),
        "driver": random.choice([None, *range(1, 6)]),
        "from": random.choice(places),
        "to": random.choice(places),
        "when": max(t, start),
        "amount": random.randrange(1, 1000) / 10,
    }


spine = [asked(i) for i in range(160)]
zones = [None, 0, 1, -8]
write_lines(here / "spine.jsonl", [{**row, "when": written(row["when"], zones[i % 4])} for i, row in enumerate(spine)])


def expected(rows, row):
    t, customer, driver = row["when"], row["customer"], row["driver"]
    # a source row without a part of a key belongs to none of its entities, and a question without one finds nothing
    of_customer = visible([r for r in rows if customer is not None and r["c"] == customer], t)
    of_driver = visible([r for r in rows if driver is not None and r["d"] == driver], t, every=10 * MINUTE, delay=30 * SECOND)
    of_pair = visible([r for r in rows if None not in (customer, driver) and (r["c"], r["d"]) == (customer, driver)], t)
    of_all = visible(rows, t)
    kept = [{**r, "large": None if r["amount"] is None else int(r["amount"] > 50)} for r in of_customer if r["ok"] is True]
    weather_at = lambda place: latest(visible([r for r in weather if r["place"] == place], t), t, "degrees")
    spent = total(window(of_customer, t, 6 * HOUR), "amount") or 0
    orders1h, all1h = len(window(of_customer, t, HOUR)), len(window(of_all, t, HOUR))
    return {
        **row,
        "when": written(t),
        "orders1h": orders1h,
        "spent6h": spent,
        "lastAmount": latest(of_customer, t, "amount", 2 * HOUR),
        "drives1h": len(window(of_driver, t, HOUR)),
        "meanAmount6h": mean(window(of_driver, t, 6 * HOUR), "amount"),
        "lastOk": latest(of_driver, t, "ok"),
        "together": len(window(of_pair, t, 12 * HOUR)),
        "lastTogether": latest(of_pair, t, "amount"),
        "kept1h": len(window(kept, t, HOUR)),
        "large6h": total(window(kept, t, 6 * HOUR), "large"),
        "origin__degrees": weather_at(row["from"]),
        "destination__degrees": weather_at(row["to"]),
        "all1h": all1h,
        "newest": latest(of_all, t, "amount"),
        "share": None if all1h == 0 else orders1h / all1h,
        "ofSpent": -1 if spent == 0 else row["amount"] / spent,
        "second": t // SECOND % 60,
    }


write_lines(here / "trained.jsonl", [expected(orders, row) for row in spine])
write_lines(here / "trained-later.jsonl", [expected(orders + more, row) for row in spine])
