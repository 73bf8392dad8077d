import { mkdir, readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import type { Outcome } from '../../cli/command.ts'
import type { Context } from '../../cli/context.ts'
import { createContext } from '../../cli/context.ts'
import { count, duration } from '../../cli/text/human.ts'
import { createInterrupt } from '../../cli/interrupt.ts'
import { reportError } from '../../cli/report-error.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { uiLink } from '../../cli/ui-link.ts'
import { withContext } from '../../cli/with-context.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Config } from '../../runtime/config.ts'
import { loadConfig } from '../../runtime/config.ts'
import { tryPort } from '../../runtime/listen.ts'
import { makeLackingBaselines } from '../../monitoring/baselines/baseline-job.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { codeSeconds } from '../../registry/keys/dashboard-sessions.ts'
import { changeModels, changeSteps } from './change-models.ts'
import type { AskedFlight } from './ask.ts'
import { askServer, flightsBetween, requestBody } from './ask.ts'
import { evaluate, juneSpine } from './evaluate.ts'
import { firstRows } from './first-rows.ts'
import { writeHistory } from './history.ts'
import { keepReplaying } from './keep-replaying.ts'
import { goLive } from './live.ts'
import { createSteps } from './steps.ts'

// Runs the complete path on real flights: `npm run demo`, or `npm run demo -- --once` to stop when everything is shown.
// `npm run demo -- --rollout` goes on with shadow, rollouts and an experiment.
// See README.md in this folder.

/** The end of the data. */
const endOfData = '2001-07-01T00:00:00Z'
/** The flights from then on are asked about while the server is up; those of June before are the history. */
const startOfLive = '2001-06-27T00:00:00Z'
const startOfHistory = '2001-06-01T00:00:00Z'
/** With `--rollout`, the flights from then on are replayed. */
const startOfReplay = '2001-06-20T06:00:00Z'
/** With `--rollout`, one flight in so many is loaded: the candidates were trained on them. */
const rolloutEvery = 20
/** An event that a reader can push; it lies before the moment that is served. */
const newAirport = {
  iata: 'ZZZ',
  listed_at: '2001-06-26T00:00:00Z',
  name: 'Example Field',
  city: 'Example',
  state: 'EX',
  latitude: 40.5,
  longitude: -74.25,
}
const trainingFlights = 100_000
const pairs = [
  ["Chicago O'Hare International", 'LaGuardia'],
  ['William B Hartsfield-Atlanta Intl', 'Gen Edw L Logan Intl'],
  ['San Francisco International', 'Seattle-Tacoma Intl'],
  ['Newark Intl', 'Miami International'],
] as const

const data = join(import.meta.dirname, '../../node_modules/vega-datasets/data')
const here = (name: string): string => relative(process.cwd(), join(import.meta.dirname, name))
const labelled = 'date, origin, destination, distance, delay > 15 as late'

const help = `Runs the complete path on 3,000,000 flights, then serves predictions and a dashboard. Ctrl+C ends it.

  npm run demo                  real-time serving, with a month of history
  npm run demo -- --rollout     goes on with a shadow, rollouts and an experiment
  npm run demo -- --once        ends when everything is shown
  npm run demo -- --every N     loads one flight in N, for a quick look

LOCKSTEP_PORT sets the port (default 8080), LOCKSTEP_DIR the folder.
`

const terminal = createTerminal(false)
const interrupt = createInterrupt()
try {
  const values = readOptions()
  if (values.help) {
    process.stdout.write(help)
    process.exit()
  }
  const loaded = loadConfig()
  // the demo prints what the log would say about success
  const logLevel = loaded.logLevel === 'info' ? 'warn' : loaded.logLevel
  // all predictions are logged, so that each can be judged by its outcome
  const logShares = { share: 1, models: new Map<string, number>() }
  // 60 histories of all 3,000,000 flights keep an embedded database busy for long: the plain demo compares a few itself
  const quiet: Config = { ...loaded, logLevel, logShares, parityPerMinute: values.rollout ? 60 : 0 }
  const trainers = loaded.trainers ?? join(import.meta.dirname, '../../templates/fraud/trainers')
  // in the plain demo hours pass in seconds: an hour of the day alone, or a weekday, would make the default monitors
  // fire
  const config = values.rollout ? ofRollout(quiet) : { ...quiet, trainers, defaultMonitors: false }
  const shown = new AbortController()
  const context = createContext(config, terminal, AbortSignal.any([interrupt.signal, shown.signal]))
  await withContext(context, async () => {
    const every = Number(values.every ?? (values.rollout ? rolloutEvery : 1))
    if (!Number.isInteger(every) || every < 1) {
      throw new LockstepError('USAGE', `The option "--every" is "${values.every}"; it must be a whole number from 1 on.`)
    }
    await tryPort(config.host, config.port) // checks the port now, because serving starts only after most of a minute
    if (values.rollout) await rm(config.directory, { recursive: true, force: true })
    await demo(context, every, values.rollout, values.once ? shown : null)
  })
} catch (error) {
  process.exitCode = interrupt.exitCode() ?? reportError(error, terminal, false)
}

function readOptions(): { readonly once: boolean; readonly rollout: boolean; readonly help: boolean; readonly every?: string } {
  const flag = { type: 'boolean', default: false } as const
  try {
    return parseArgs({ options: { once: flag, rollout: flag, help: flag, every: { type: 'string' } } }).values
  } catch (cause) {
    throw new LockstepError('USAGE', `${messageOf(cause)}. See "npm run demo -- --help".`, { cause })
  }
}

/** Versions, rollouts and experiments of an earlier run would be in the way, so each run has a new database. */
function ofRollout(config: Config): Config {
  return { ...config, postgresUrl: null, redisUrl: null, directory: join(config.directory, 'rollout-demo') }
}

/** @param end ends the work beside the demo when everything is shown; null: the server stays up */
async function demo(context: Context, every: number, rollout: boolean, end: AbortController | null): Promise<void> {
  const steps = createSteps(context, rollout ? 6 + changeSteps : 6)
  const { step, lockstep, say, elapsedMs } = steps
  const asOf = rollout ? startOfReplay : startOfLive
  const { config } = context
  const embedded = config.postgresUrl === null
  say(
    `Database: ${embedded ? `embedded, in ${config.directory}` : 'PostgreSQL'}. Online store: ${config.redisUrl === null ? `embedded, in ${config.directory}` : 'Redis'}.`,
  )

  await step('Create the tables, and declare the features', async () => {
    await lockstep('migrate')
    say(`Running ${here('schema.sql')}, which creates the tables "flights" and "airports".`)
    await (await context.database()).script(await readFile(join(import.meta.dirname, 'schema.sql'), 'utf8'))
    await lockstep('plan', here('features.ts'))
    await lockstep('apply', here('features.ts'))
  })

  const db = await context.database()
  const rowsOf = async (from: string): Promise<number> =>
    Number((await db.query<{ rows: string }>(`select count(*) as rows from ${from}`))[0]?.rows)

  await step('Load the flights and the airports', async () => {
    const loaded = (await rowsOf('flights')) > 0
    if (loaded) say('The flights are loaded already.')
    else {
      if (every > 1) {
        say(`Loading one flight in ${every}; without --every, all 3,000,000 are loaded.`)
      }
      await lockstep('ingest', 'departures', join(data, 'flights-3m.parquet'), ...(every > 1 ? ['--every', String(every)] : []))
    }
    say('Indexing "_xid", by which runs find new rows, and "date".')
    await db.script(
      'create index if not exists flights_xid on flights (_xid); create index if not exists flights_date on flights (date); analyze flights',
    )
    if ((await rowsOf('airports')) === 0) await lockstep('ingest', 'airports', join(data, 'airports.csv'))
    say(`There are ${count(await rowsOf('flights'))} flights and ${count(await rowsOf('airports'))} airports.`)
  })

  let dataset = ''
  await step('Export a training set', async () => {
    const folder = join(config.directory, 'flights')
    await mkdir(folder, { recursive: true })
    const out = relative(process.cwd(), join(folder, 'training.parquet'))
    const spine = `select ${labelled} from flights where _row % ${Math.max(1, Math.round((await rowsOf('flights')) / trainingFlights))} = 0`
    say('A spine row is a flight at its departure. It must not count itself, nor the flights of the same minute, so the rule is "before".')
    const { json } = await lockstep(
      'dataset',
      'create',
      'flight_features',
      '--as-of',
      'before',
      '--spine',
      spine,
      '--out',
      out,
      '--overwrite',
    )
    say(`\n${await firstRows(out, 4)}\n`)
    dataset = (json as { id: string }).id
    await lockstep('dataset', 'show', dataset)
  })

  await step('Materialize the views online', async () => {
    say('The last days of June are replayed, so the views begin before them: what lands later waits in the states.')
    await lockstep('materialize', '--to', asOf)
  })

  if (rollout) {
    await step('Register the model, and measure it on June', async () => {
      const pushed = await lockstep('model', 'push', 'delay', here('delay.onnx'))
      const { version } = pushed.json as { version: number }
      const { flights, late, auc, seconds } = await evaluate(context, await juneSpine(db), version)
      say(
        `Predicted ${count(flights)} flights of June, of which ${count(late)} were late, in ${duration(seconds * 1000)}. The model was trained on January to May.`,
      )
      say(`AUC on June: ${auc.toFixed(4)}`)
    })
  } else {
    await step('Register the model, and predict June', async () => {
      await lockstep('apply', here('live-experiment.ts'))
      await lockstep('apply', here('training.ts'))
      const champion = ['--alias', 'champion', '--reason', 'the first version']
      await lockstep('model', 'push', 'delay', here('delay.onnx'), '--dataset', dataset, ...champion)
      // a worker makes it within ten minutes
      const onFailure = (what: string, error: string) => say(`${what}: ${error}`)
      await makeLackingBaselines({ db, catalog: () => loadCatalog(db), log: context.log, onFailure })
      await writeHistory(context, steps, { from: Date.parse(startOfHistory), to: Date.parse(startOfLive) })
    })
  }

  let url = ''
  let stay: Outcome['stay']
  const flights = await flightsBetween(db, pairs)
  await step('Serve', async () => {
    const serving = await lockstep('serve', '--as-of', asOf)
    url = (serving.json as { url: string }).url
    stay = serving.stay
    await ready(url)
    say(`\n${await askServer(url, flights)}\n`)
    say(`Ready after ${duration(elapsedMs())}.`)
  })
  if (end !== null && !rollout) return
  const staying = stay?.()
  if (rollout) {
    const replay = await changeModels(context, steps, { url, from: Date.parse(asOf), here })
    if (end === null) await keepReplaying(context, steps, { replay, here, endMs: Date.parse(endOfData) })
    say(`\nReady after ${duration(elapsedMs())}.`)
  } else {
    await goLive(context, steps, { url, from: Date.parse(asOf), endMs: Date.parse(endOfData), here })
  }
  if (end === null) {
    say(invitation(url, asOf, flights, embedded && !rollout))
    say(`The dashboard, for one log-in within ${codeSeconds} s (press Enter for another link):\n  ${await uiLink(context, `${url}/ui/`)}`)
  }
  end?.abort()
  await staying
}

/** @param hasTraining whether the process of the demo runs trainings: on PostgreSQL, workers do */
function invitation(url: string, asOf: string, [first]: readonly AskedFlight[], hasTraining: boolean): string {
  return [
    `\nThe server stays up on ${url} until you press Ctrl-C. It answers as of ${asOf}, where a request names no "asOf". Try`,
    `  ${url}/docs`,
    `  ${url}/v1/models`,
    `  ${url}/readyz`,
    `  ${url}/metrics`,
    `  curl -s ${url}/v1/predict -H 'content-type: application/json' -d '${first === undefined ? '' : requestBody(first)}'`,
    `  curl -s ${url}/v1/features -H 'content-type: application/json' -d '{"service":"flight_features","entities":[{"origin":"DEN","destination":"LAX","distance":862}]}'`,
    ...(hasTraining
      ? [
          'Train the model again, as of another Monday:',
          `  npm run lockstep -- training run weekly_delays --at 2001-06-18T04:00:00Z --server ${url}`,
        ]
      : []),
    'Push an airport, and read it:',
    `  curl -s ${url}/v1/sources/airports/events -H 'content-type: application/json' -d '${JSON.stringify({ events: [newAirport] })}'`,
    `  curl -s ${url}/v1/features -H 'content-type: application/json' -d '{"service":"flight_features","entities":[{"origin":"ZZZ","destination":"LAX","distance":862}]}'`,
  ].join('\n')
}

async function ready(url: string): Promise<void> {
  for (const deadline = Date.now() + 15_000; ;) {
    const response = await fetch(`${url}/readyz`)
    if (response.ok) return
    if (Date.now() > deadline) throw new Error(`The server is not ready: ${await response.text()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
