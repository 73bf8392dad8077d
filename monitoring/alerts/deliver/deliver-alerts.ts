import { sql } from 'kysely'
import { z } from 'zod'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import type { ChannelSpec } from '../../../registry/monitor-spec.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { faultPoint } from '../../../runtime/fault-point.ts'
import { isTemporary } from '../../../runtime/is-temporary.ts'
import type { JobKind, StepContext } from '../../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../../runtime/jobs/job-kinds.ts'
import { alertMessage } from '../alert-message.ts'
import { endOfSilences } from '../silences.ts'
import type { ReadSecret } from './send-notification.ts'
import { sendNotification } from './send-notification.ts'

export interface DeliveryDeps {
  readonly db: Database
  readonly channels: () => Promise<ReadonlyMap<string, ChannelSpec>>
  readonly readSecret: ReadSecret
  readonly allowPrivate: boolean
  /** Where browsers reach the dashboard, for links; null: that is not known. */
  readonly publicUrl: URL | null
  readonly timeoutMs?: number
  /** Epoch microseconds. */
  readonly clock: () => number
  readonly onDelivery?: (channel: string, outcome: 'sent' | 'failed' | 'dropped') => void
}

const deliverySpec = z.object({ channel: z.string() })
type DeliverySpec = z.output<typeof deliverySpec>

/** After this many failures in a row the receiver counts as down until the next attempt. */
const maxFailures = 3
const maxDays = 3

/**
 * Sends the notifications that wait for one channel. If a receiver refuses one, it stays, and the job is tried again
 * later: each notification arrives at least once, with the same key. Those of one alert are sent in order. After the
 * last retry the schedule begins another job, as long as a notification waits.
 */
export function deliverAlerts(deps: DeliveryDeps): JobKind<DeliverySpec> {
  const { db, channels } = deps
  return {
    name: 'alert-delivery' satisfies JobKindName,
    spec: deliverySpec,
    retries: 20,
    backoffSeconds: { from: 1, to: 60 },
    leaseSeconds: 20,
    keepDays: 1,
    async schedules() {
      const waiting = await db.kysely
        .selectFrom('lockstep.alert_deliveries as d')
        .select('channel')
        .distinct()
        .where('state', '=', 'open')
        .where(isSilent, '=', false)
        .execute()
      return waiting.map(({ channel }) => ({ key: channel, subject: channel, cron: '* * * * *', spec: { channel } }))
    },
    async run({ spec: { channel: name } }, _chunk, step) {
      const channel = (await channels()).get(name)
      if (channel === undefined) return { dropped: await dropAll(deps, name, 'The channel is no longer declared.') }
      const dropped = await dropAll(deps, name, `It was tried for ${maxDays} days.`, maxDays)
      const { sent, error } = await sendWaiting(deps, channel, step)
      if (error !== null) throw new NotDelivered(error)
      return { sent, dropped }
    },
    isFinal: (error) => !(error instanceof NotDelivered) && !isTemporary(error),
    describe: ({ subject }) => `the delivery of alerts to "${subject}"`,
  }
}

/**
 * Whether the delivery `d` waits for the end of a silence: the alert was silenced before the receiver accepted the
 * notification that it fires. Its resolution then waits, too.
 */
const isSilent = sql<boolean>`(exists (select from lockstep.alert_deliveries f
    where f.alert = d.alert and f.channel = d.channel and f.state = 'open' and f.message->>'event' = 'firing')
  and exists (select from lockstep.alerts a where a.id = d.alert and ${endOfSilences} > clock_timestamp()))`

/** A channel whose last attempt failed, with notifications that wait. */
export interface FailingChannel {
  readonly channel: string
  /** How many notifications wait. */
  readonly waiting: number
  readonly since: Date
  /** Why the last attempt failed. */
  readonly error: string
}

/** Only channels whose oldest notification has waited for a minute. */
export async function failingChannels({ kysely }: Pick<Database, 'kysely'>): Promise<FailingChannel[]> {
  const rows = await kysely
    .selectFrom('lockstep.alert_deliveries as d')
    .select(({ fn }) => [
      'channel',
      fn.countAll<string>().as('waiting'),
      fn.min<Date>('created_at').as('since'),
      sql<string>`(array_agg(error order by id desc) filter (where error is not null))[1]`.as('error'),
    ])
    .where('state', '=', 'open')
    .where(isSilent, '=', false)
    .groupBy('channel')
    .having(sql<boolean>`count(error) > 0 and min(created_at) < clock_timestamp() - interval '1 minute'`)
    .orderBy('channel')
    .execute()
  return rows.map((row) => ({ ...row, waiting: Number(row.waiting) }))
}

class NotDelivered extends LockstepError {
  constructor(message: string) {
    super('DELIVERY_FAILED', message)
  }
}

async function sendWaiting(deps: DeliveryDeps, channel: ChannelSpec, step: StepContext): Promise<{ sent: number; error: string | null }> {
  const { db, readSecret, allowPrivate, publicUrl, timeoutMs, clock, onDelivery } = deps
  /** The deliveries that the receiver did not accept in this step. */
  const failed: string[] = []
  let [sent, inRow, error] = [0, 0, null as string | null]
  for (;;) {
    const next = await nextDelivery(db, channel.name, failed)
    if (next === undefined) return { sent, error }
    // another worker may have taken over while a receiver was slow
    if (!(await step.isHeld())) throw new LockstepError('STOPPED', 'Another worker delivers to this channel.')
    try {
      const message = alertMessage.parse(next.message)
      const options = { readSecret, now: clock(), allowPrivate, publicUrl, timeoutMs, signal: step.signal }
      const refused = await sendNotification(channel, message, next.key, options)
      faultPoint('alert: sent')
      await end(deps, next.id, 'sent', refused)
      faultPoint('alert: written down')
      onDelivery?.(channel.name, 'sent')
      sent++
      inRow = 0
    } catch (failure) {
      if (step.signal.aborted) throw failure
      if (!(failure instanceof LockstepError) && !(failure instanceof z.ZodError)) throw failure
      error = messageOf(failure)
      await end(deps, next.id, 'open', error)
      onDelivery?.(channel.name, 'failed')
      failed.push(next.id)
      if (++inRow >= maxFailures) return { sent, error }
    }
  }
}

/**
 * The notification with the fewest tries first, so that one that a receiver never accepts does not block the others.
 * The notifications of one alert are sent in their order.
 */
async function nextDelivery({ kysely }: DeliveryDeps['db'], channel: string, failed: readonly string[]) {
  return await kysely
    .selectFrom('lockstep.alert_deliveries as d')
    .select(['d.id', 'd.key', 'd.message'])
    .where('d.channel', '=', channel)
    .where('d.state', '=', 'open')
    .where(sql<boolean>`d.id <> all (${failed}::bigint[])`)
    .where(isSilent, '=', false)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('lockstep.alert_deliveries as before')
            .select('before.id')
            .whereRef('before.alert', '=', 'd.alert')
            .whereRef('before.channel', '=', 'd.channel')
            .where('before.state', '=', 'open')
            .whereRef('before.id', '<', 'd.id'),
        ),
      ),
    )
    .orderBy('d.attempts')
    .orderBy('d.id')
    .limit(1)
    .executeTakeFirst()
}

async function end({ db }: DeliveryDeps, id: string, state: 'open' | 'sent', error: string | null): Promise<void> {
  await db.kysely
    .updateTable('lockstep.alert_deliveries')
    .set(({ eb }) => ({ state, error, attempts: eb('attempts', '+', 1), ended_at: state === 'open' ? null : sql<Date>`clock_timestamp()` }))
    .where('id', '=', id)
    .where('state', '=', 'open')
    .execute()
}

const waitingSince = sql<Date>`greatest(d.created_at, (select ${endOfSilences} from lockstep.alerts a where a.id = d.alert))`

/** @param days only those that have waited for longer, since they were made or their alert was last silenced */
async function dropAll({ db, onDelivery }: DeliveryDeps, channel: string, error: string, days = 0): Promise<number> {
  const dropped = await db.kysely
    .updateTable('lockstep.alert_deliveries as d')
    .set({ state: 'dropped', error, ended_at: sql<Date>`clock_timestamp()` })
    .where('channel', '=', channel)
    .where('state', '=', 'open')
    .where(
      days === 0 ? sql.ref<Date>('d.created_at') : waitingSince,
      '<=',
      sql<Date>`clock_timestamp() - make_interval(days => ${days}::int)`,
    )
    .returning('id')
    .execute()
  for (const _ of dropped) onDelivery?.(channel, 'dropped')
  return dropped.length
}
