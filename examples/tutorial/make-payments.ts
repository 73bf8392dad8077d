import { writeFileSync } from 'node:fs'

// Writes payments.csv and labels.csv, the rows of docs/tutorial.md, into the current folder: 40 cards in January and
// February 2026. Now and then a card is stolen; the thief then pays several times within two hours.

const [begin, end] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 2, 1)]
const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]
const random = mulberry32(20_260_101)

interface Payment {
  readonly card: string
  readonly at: number
  readonly amount: number
  readonly country: string
  readonly fraud: boolean
}

const payments = Array.from({ length: 40 }, (_, i) => paymentsOf(`c${i + 1}`))
  .flat()
  .toSorted((a, b) => a.at - b.at || (a.card < b.card ? -1 : 1))

writeCsv('payments.csv', [
  ['card', 'paid_at', 'booked_at', 'amount', 'country'],
  // a payment is booked three minutes after it was made
  ...payments.map(({ card, at, amount, country }) => [card, time(at), time(at + 3 * minute), String(amount), country]),
])
writeCsv('labels.csv', [
  ['card', 'paid_at', 'amount', 'fraud'],
  ...payments.map(({ card, at, amount, fraud }) => [card, time(at), String(amount), fraud ? '1' : '0']),
])

/** Each card has its usual amount, between 5 and 150. */
function paymentsOf(card: string): Payment[] {
  const usual = 5 * 30 ** random()
  const amount = (factor: number): number => Math.round(usual * factor * Math.exp(normal() * 0.5) * 100) / 100
  const made: Payment[] = []
  for (let at = begin + exponential(day); at < end; at += exponential(day)) {
    made.push({ card, at, amount: amount(1), country: random() < 0.9 ? 'CH' : 'DE', fraud: false })
  }
  for (let at = begin + exponential(30 * day); at < end; at += exponential(30 * day)) {
    for (let next = at; next < Math.min(end, at + 2 * hour); next += 2 * minute + exponential(40 * minute)) {
      made.push({ card, at: next, amount: amount(4), country: random() < 0.5 ? 'CH' : 'FR', fraud: true })
    }
  }
  return made
}

function exponential(mean: number): number {
  return -mean * Math.log(1 - random())
}

/** A normal random number by the Box-Muller method. */
function normal(): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** Random numbers from 0 to 1, the same ones on every machine. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function time(millis: number): string {
  return `${new Date(millis).toISOString().slice(0, 19)}Z`
}

function writeCsv(path: string, lines: readonly (readonly string[])[]): void {
  writeFileSync(path, lines.map((line) => `${line.join(',')}\n`).join(''))
  console.log(`Wrote ${path}: ${lines.length - 1} rows.`)
}
