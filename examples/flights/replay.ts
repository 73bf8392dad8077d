import { setTimeout as sleep } from 'node:timers/promises'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'

interface Flight {
  readonly departs: number
  readonly lands: number
  readonly delay: number
  readonly entity: { readonly origin: string; readonly destination: string; readonly distance: number }
}

/** What the server answered about a flight that has not landed yet. */
interface Asked {
  readonly flight: Flight
  readonly predictionId: string
  readonly probability: number
}

/** What answers were given by. */
export interface Tally {
  flights: number
  /** Answers by version and role, such as `2 canary`. */
  readonly by: Map<string, number>
  /** Rows that the champion answered in place of a candidate that failed. */
  bypassed: number
}

/** The flights of the past, asked about and landing as the clock of the data moves on. */
export interface Replay {
  /**
   * Moves the clock on by an hour. Reports the flights that have landed, and asks about those that depart within the
   * next.
   */
  hour(options?: HourOptions): Promise<Tally>
  /** Epoch milliseconds. */
  now(): number
  /** Flights whose landing was reported. */
  landed(): number
  /** Flights that were asked about and have not landed. */
  inTheAir(): number
}

export interface HourOptions {
  /** Default: true. */
  readonly ask?: boolean
  /** Leaves the server as much time as it works: a busy server drops the rows of shadows. */
  readonly calmly?: boolean
  /** Whether another client asks about each flight as well, and sends metres where miles belong. Default: false. */
  readonly wrongUnit?: boolean
}

export interface ReplayDeps {
  readonly db: Database
  readonly url: string
  /** Brings the online views to a moment, RFC 3339. */
  readonly materialize: (to: string) => Promise<void>
  /** Where the clock begins, epoch milliseconds. */
  readonly from: number
  /** What came of a flight, as the outcome `lost_minutes` has it. */
  readonly judge: (probability: number, delay: number) => number
  /** One flight in so many is asked about. Default: each. */
  readonly every?: number
}

const hourMs = 3_600_000
const metresPerMile = 1609
/** A server counts as busy for half a second after it was. */
const calmMs = 600

export function createReplay({ db, url, materialize, from, judge, every = 1 }: ReplayDeps): Replay {
  let [clock, landed] = [from, 0]
  let inTheAir: Asked[] = []

  async function flightsFrom(ms: number): Promise<Flight[]> {
    const rows = await db.query<{ departs: number; lands: number; delay: number; origin: string; destination: string; distance: number }>(
      `select extract(epoch from date)::float8 * 1000 as departs, extract(epoch from landed_at)::float8 * 1000 as lands,
         coalesce(delay, 0)::float8 as delay, origin, destination, distance
       from flights where date >= timestamp 'epoch' + interval '1 second' * ${ms / 1000} and date < timestamp 'epoch' + interval '1 second' * ${(ms + hourMs) / 1000}
         and _row % ${every} = 0
       order by date, _row`,
    )
    return rows.map(({ departs, lands, delay, ...entity }) => ({ departs, lands, delay, entity }))
  }

  async function post(path: string, body: object): Promise<unknown> {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`The server answered ${response.status}: ${await response.text()}`)
    return await response.json()
  }

  async function reportLandings(): Promise<void> {
    const down = inTheAir.filter(({ flight }) => flight.lands <= clock)
    inTheAir = inTheAir.filter(({ flight }) => flight.lands > clock)
    if (down.length === 0) return
    const outcomes = down.map(({ flight, predictionId, probability }) => ({
      predictionId,
      value: judge(probability, flight.delay),
      id: predictionId,
    }))
    await post('/v1/outcomes', { outcome: 'lost_minutes', outcomes })
    const late = down.map(({ flight, predictionId }) => ({
      predictionId,
      value: flight.delay > 15,
      at: formatTimestamp(flight.lands * 1000),
      id: predictionId,
    }))
    await post('/v1/outcomes', { outcome: 'was_late', outcomes: late })
    landed += down.length
  }

  return {
    async hour({ ask = true, calmly = false, wrongUnit = false } = {}) {
      clock += hourMs
      const asOf = formatTimestamp(clock * 1000)
      await materialize(asOf)
      await reportLandings()
      const tally: Tally = { flights: 0, by: new Map(), bypassed: 0 }
      if (!ask) return tally
      const flights = await flightsFrom(clock)
      if (calmly) await sleep(calmMs)
      for (const flight of flights) {
        const started = performance.now()
        if (wrongUnit) {
          const entity = { ...flight.entity, distance: flight.entity.distance * metresPerMile }
          await post('/v1/predict', { model: 'delay', asOf, entities: [entity] })
        }
        const answer = (await post('/v1/predict', { model: 'delay', asOf, entities: [flight.entity] })) as Answer
        const { version, role, predictions, predictionIds, bypassed } = answer
        tally.flights++
        const by = `${version} ${role}`
        tally.by.set(by, (tally.by.get(by) ?? 0) + 1)
        if (bypassed !== undefined) tally.bypassed++
        const [predictionId, probability] = [predictionIds[0], predictions[0]?.probability]
        if (predictionId !== undefined && probability !== undefined) inTheAir.push({ flight, predictionId, probability })
        if (calmly) await sleep(Math.max(5, performance.now() - started))
      }
      return tally
    },
    now: () => clock,
    landed: () => landed,
    inTheAir: () => inTheAir.length,
  }
}

/** The fields of an answer of `POST /v1/predict` that the replay needs. */
interface Answer {
  readonly version: number
  readonly role: string
  readonly predictionIds: readonly string[]
  readonly predictions: readonly { readonly probability: number }[]
  readonly bypassed?: unknown
}
