import { duration } from '../../cli/text/human.ts'
import { table } from '../../cli/text/table.ts'
import type { Database } from '../../runtime/postgres/database.ts'

interface Airport {
  readonly iata: string
  readonly name: string
  readonly city: string
  readonly latitude: number
  readonly longitude: number
}

export interface AskedFlight {
  readonly title: string
  readonly entity: { readonly origin: string; readonly destination: string; readonly distance: number }
}

/** The fields of an answer of `POST /v1/predict` that are printed. */
interface PredictAnswer {
  readonly asOf: string
  readonly version: number
  readonly predictions: readonly { readonly probability: number }[]
  readonly features: readonly Readonly<Record<string, unknown>>[]
  readonly statuses: readonly Readonly<Record<string, string>>[]
}

/** Flights between airports that are looked up by name. */
export async function flightsBetween(db: Database, pairs: readonly (readonly [string, string])[]): Promise<AskedFlight[]> {
  const airports = await db.query<Airport>('select iata, name, city, latitude, longitude from airports')
  const named = (name: string): Airport => {
    const airport = airports.find((each) => each.name === name)
    if (airport === undefined) throw new Error(`The table "airports" has no airport "${name}".`)
    return airport
  }
  return pairs.map(([from, to]) => {
    const [origin, destination] = [named(from), named(to)]
    return {
      title: `${origin.name} (${origin.city}) to ${destination.name} (${destination.city})`,
      entity: { origin: origin.iata, destination: destination.iata, distance: Math.round(miles(origin, destination)) },
    }
  })
}

export function requestBody(flight: AskedFlight): string {
  return JSON.stringify({ model: 'delay', entities: [flight.entity], include: ['features'] })
}

/**
 * Asks the server for each flight's probability, and prints request, answer and latency.
 *
 * @returns the text, flight by flight, and then all features with their statuses
 */
export async function askServer(url: string, flights: readonly AskedFlight[]): Promise<string> {
  const lines: string[] = []
  const answers: PredictAnswer[] = []
  for (const flight of flights) {
    const body = requestBody(flight)
    const started = performance.now()
    const response = await fetch(`${url}/v1/predict`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    const text = await response.text()
    const latency = performance.now() - started
    if (!response.ok) throw new Error(`The server answered ${response.status}: ${text}`)
    const answer: PredictAnswer = JSON.parse(text)
    answers.push(answer)
    const probability = answer.predictions[0]?.probability ?? Number.NaN
    lines.push(
      flight.title,
      `  POST /v1/predict ${body}`,
      `  probability of being more than 15 minutes late ${(probability * 100).toFixed(1)} %, as of ${answer.asOf}, by version ${answer.version}, answered in ${latency < 10 ? `${latency.toFixed(1)} ms` : duration(latency)}`,
    )
  }
  const isChanging = answers.some(({ version }) => version !== 1)
  const why = isChanging ? ['Other versions than 1 answer as well, by the rollout and the experiment of an earlier run.'] : []
  return [...lines, ...why, '', featureTable(flights, answers)].join('\n')
}

function featureTable(flights: readonly AskedFlight[], answers: readonly PredictAnswer[]): string {
  const names = Object.keys(answers[0]?.features[0] ?? {})
  const rows = names.map((name) => [
    name,
    ...answers.map(({ features, statuses }) => `${value(features[0]?.[name])} ${statuses[0]?.[name] ?? ''}`),
  ])
  return table(['FEATURE', ...flights.map(({ entity }) => `${entity.origin} to ${entity.destination}`)], rows)
}

function value(feature: unknown): string {
  return typeof feature === 'number' ? String(Math.round(feature * 1000) / 1000) : String(feature)
}

/** The great-circle distance. */
function miles(a: Airport, b: Airport): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180
  const [latitude, longitude] = [radians(b.latitude - a.latitude), radians(b.longitude - a.longitude)]
  const half = Math.sin(latitude / 2) ** 2 + Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * Math.sin(longitude / 2) ** 2
  return 2 * 3958.8 * Math.asin(Math.sqrt(half))
}
