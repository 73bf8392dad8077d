import { z } from 'zod'
import type { Alert } from '../../../monitoring/alerts/read-alerts.ts'
import { readAlerts } from '../../../monitoring/alerts/read-alerts.ts'
import { submitJob } from '../../../runtime/jobs/submit-job.ts'
import { workOnJobs } from '../../../runtime/jobs/work-on-jobs.ts'
import { brokenDefinitions } from './shop.ts'
import type { Conditions, Shop } from './virtual-shop.ts'

/** Something that goes wrong, and the alert that must notice it. */
export interface Fault {
  readonly name: string
  readonly monitor: string
  readonly check: string
  /** The subject of the alert, if there are several. */
  readonly subject?: string
  readonly cause: RegExp
  /** Virtual minutes from the fault until the alert fires, at most. */
  readonly within: number
  /** Checks that may also fire, because the fault has that consequence. */
  readonly also?: readonly string[]
  /** Virtual minutes of healthy traffic before it. */
  readonly healthy: number
  /** The conditions that are not the usual ones. */
  readonly conditions?: Partial<Conditions>
  /** The history of the shop. */
  before?(shop: Shop): Promise<void>
  /** Some time before the fault, for what only then has to be dense. */
  prepare?(shop: Shop): Promise<void>
  /** @returns how to end it, where it goes on otherwise */
  strike(shop: Shop): Promise<void | (() => Promise<void>)>
}

const dayMinutes = 1440
const sparse = { busyEvery: 5, evaluateEvery: 5 }

export const faults: readonly Fault[] = [
  {
    name: 'a feed stops',
    monitor: 'system:sources',
    check: 'arrivals',
    subject: 'payments',
    cause: /^The source "payments" has had no new event for \d+ (min|h)\b.* What writes to it has stopped or is late\.$/,
    within: 30,
    healthy: dayMinutes + 30,
    conditions: sparse,
    strike: async ({ conditions }) => void (conditions.feed = false),
  },
  {
    name: 'a unit changes by 100',
    monitor: 'model:fraud',
    check: 'drift',
    subject: 'payments (model version 1)',
    cause: /the source "payments" has other values: the mean went from 50\.\d to \d+/,
    also: ['predictions', 'quality'],
    within: 30,
    healthy: 90,
    strike: async ({ conditions }) => void (conditions.unit = 100),
  },
  {
    name: 'a materializer is stopped',
    monitor: 'view:spending@1',
    check: 'freshness',
    cause:
      /^The view "spending@1" is late: it may be 15 min behind its source, and \d+ rows have waited for up to [\w ]+\. To fix this, .* start a "lockstep worker"/,
    within: 25,
    healthy: 60,
    strike: async ({ conditions }) => void (conditions.materializer = false),
  },
  {
    name: 'a source sends nulls',
    monitor: 'model:fraud',
    check: 'nulls',
    subject: 'payments (model version 1)',
    cause: /Most moved is NULL_VALUE: rows have the value null: check what the source sends\.$/,
    also: ['drift', 'predictions'],
    within: 30,
    healthy: 90,
    strike: async ({ conditions }) => void (conditions.nulls = 0.5),
  },
  {
    name: 'a new category',
    monitor: 'model:fraud',
    check: 'drift',
    subject: 'payments (model version 1)',
    cause: /categories that the baseline does not name .*"LI"/,
    within: 30,
    healthy: 90,
    strike: async ({ conditions }) => void (conditions.newCountry = 0.4),
  },
  {
    name: 'labels flip',
    monitor: 'daily:fraud',
    check: 'quality',
    cause: /^The \w+ of "fraud" by "reported" is worse: .* Scores do not mean what they meant\. Check the source of the outcome/,
    within: 480,
    healthy: 2 * dayMinutes + 60,
    conditions: { busyEvery: 5, evaluateEvery: 60, requests: 10 },
    strike: async ({ conditions }) => void (conditions.flipped = true),
  },
  {
    name: 'a version with a broken feature',
    monitor: 'model:fraud',
    check: 'drift',
    subject: 'payments (model version 2)',
    cause: /the view "spending@2" has another definition than in the training set/,
    also: ['predictions', 'quality'],
    within: 30,
    healthy: 90,
    async strike(shop) {
      await shop.apply(brokenDefinitions)
      await shop.promote(await shop.push('with spending@2'))
    },
  },
  {
    name: 'traffic halves',
    monitor: 'model:fraud',
    check: 'traffic',
    cause: /^"fraud" was asked \d+ times in the last complete hour; \d+ are usual at that time\./,
    within: 130,
    healthy: 130,
    conditions: { ...sparse, requests: 20 },
    before: async (shop) => await shop.hadWeeks(4, 240),
    strike: async ({ conditions }) => void (conditions.requests /= 2),
  },
  {
    name: 'latency doubles',
    monitor: 'model:fraud',
    check: 'latency',
    cause:
      /^95 % of the requests for "fraud" took up to \d+\.\d ms; \d+\.\d ms is usual at this time of day\. The longest part is "features"\.$/,
    within: 25,
    healthy: 160,
    // so slow that what else goes on in the machine is little beside it
    conditions: { ...sparse, requests: 24, redisMs: 400, atOnce: 16 },
    async prepare({ conditions, hadSuchHours }) {
      // its second hour, measured, stands for the day before; in the first one the server becomes warm
      await hadSuchHours(25)
      conditions.requests = 90
    },
    strike: async ({ conditions }) => void (conditions.redisMs *= 2),
  },
  {
    name: 'the clock of a worker is off',
    monitor: 'system:jobs',
    check: 'clock',
    subject: 'workers',
    cause: /^The clock of ".+" is 5\.\d s ahead of that of the database\. Check its time synchronization \(NTP\)\.$/,
    within: 4,
    healthy: 30,
    strike: async ({ conditions }) => void (conditions.clockOffset = 5_000_000),
  },
  {
    name: 'the clock of a server is off',
    monitor: 'system:jobs',
    check: 'clock',
    subject: 'servers',
    cause: /^The clock of the server ".+" is 5\.\d s behind that of the database\. Check its time synchronization \(NTP\)\.$/,
    within: 5,
    healthy: 30,
    strike: async ({ conditions }) => void (conditions.serverClockOffset = -5_000_000),
  },
  {
    name: 'a job is stuck',
    monitor: 'system:jobs',
    check: 'jobs',
    cause: /^The stuck \d+ of "nothing" has made no progress for \d+ (min|h)\b.* on the worker "shop:stuck"\./,
    within: 35,
    healthy: 30,
    strike: getStuck,
  },
]

/** Minutes before the fault in which `prepare` holds. */
const preparedMinutes = 30
/** Minutes after the alert in which others may fire. */
const afterMinutes = 10

export interface Noticed {
  /** Virtual seconds from the fault to the alert; null: it was missed. */
  readonly seconds: number | null
  readonly cause: string | null
  /** The newest results of its check. */
  readonly newest: readonly string[]
  /** Alerts that nothing explains. */
  readonly wrong: readonly Alert[]
}

/** Lets a fault strike a healthy shop, and waits for its alert. */
export async function inject(shop: Shop, fault: Fault): Promise<Noticed> {
  const isRight = ({ monitor, check, subject }: Alert) =>
    monitor === fault.monitor && check === fault.check && (fault.subject ?? subject) === subject
  await fault.before?.(shop)
  if (fault.prepare === undefined) await shop.pass(fault.healthy)
  else {
    await shop.pass(fault.healthy - preparedMinutes)
    await fault.prepare(shop)
    await shop.pass(preparedMinutes)
  }
  const before = await readAlerts(shop.db)
  const struck = shop.now()
  const end = await fault.strike(shop)
  try {
    let right: Alert | undefined
    for (let passed = 0; passed < fault.within && right === undefined; passed++) {
      await shop.pass(1)
      right = (await readAlerts(shop.db)).find((alert) => isRight(alert) && !before.some(({ id }) => id === alert.id))
    }
    await shop.pass(afterMinutes)
    const all = await readAlerts(shop.db)
    const wrong = all.filter(
      (alert) => !(isRight(alert) && alert.started > struck) && (alert.started <= struck || fault.also?.includes(alert.check) !== true),
    )
    const cause = right?.startedWith.cause ?? null
    const isExplained = cause !== null && fault.cause.test(cause)
    const states = await shop.db.query<{ result: string }>(
      `SELECT result::text FROM lockstep.monitor_states WHERE monitor = $1 AND check_kind = $2`,
      [fault.monitor, fault.check],
    )
    const newest = states.map(({ result }) => result)
    return { seconds: right === undefined || !isExplained ? null : (right.started - struck) / 1e6, cause, wrong, newest }
  } finally {
    await end?.()
  }
}

/** Submits a job whose worker renews its lease and does nothing. */
async function getStuck({ db }: Shop): Promise<() => Promise<void>> {
  const stop = new AbortController()
  const kind = {
    name: 'stuck',
    spec: z.object({}),
    retries: 0,
    backoffSeconds: { from: 1, to: 1 },
    run: async (_job: unknown, _chunk: unknown, { signal }: { readonly signal: AbortSignal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      return null
    },
  }
  await submitJob(db, kind, { spec: {}, subject: 'nothing', worker: 'shop:stuck' })
  const taken = Promise.withResolvers<void>()
  const work = workOnJobs(db, {
    kinds: [kind],
    worker: 'shop:stuck',
    signal: stop.signal,
    onEvent: ({ type }) => void (type === 'taken' && taken.resolve()),
  })
  await taken.promise
  return async () => {
    stop.abort()
    await work
  }
}
