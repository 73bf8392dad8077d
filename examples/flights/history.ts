import type { Context } from '../../cli/context.ts'
import { count } from '../../cli/text/human.ts'
import { formatDuration } from '../../kernel/values/duration.ts'
import type { QualityReport } from '../../monitoring/quality/quality-report.ts'
import type { Steps } from './steps.ts'

/** About so many flights stand for a month of requests. */
const historyFlights = 20_000
/** For so long another client asks as well, and sends metres where miles belong. */
const faultyDays = 2

export interface HistoryOptions {
  /** The flights that depart in [from, to), epoch milliseconds. */
  readonly from: number
  readonly to: number
}

/**
 * Predicts flights of the past, each a minute before its departure, and logs the answers as those of the last weeks:
 * the last flight as of now. Their landings are outcomes.
 */
export async function writeHistory(context: Context, { lockstep, say }: Steps, { from, to }: HistoryOptions): Promise<void> {
  const db = await context.database()
  const time = (ms: number): string => `timestamp '${new Date(ms).toISOString().slice(0, 19)}'`
  const departing = (since: number): string => `from flights where date >= ${time(since)} and date < ${time(to)}`
  const [found] = await db.query<{ flights: string }>(`select count(*) as flights ${departing(from)}`)
  const every = Math.max(1, Math.round(Number(found?.flights) / historyFlights))
  const minutes = Math.floor((Date.now() - to) / 60_000)
  const shift = formatDuration(minutes * 60_000_000)

  // the landings are there first, so that the quality of each day counts those that were known on that day
  await db.script(`
    delete from lockstep_source.was_late where prediction_id like 'flight-%';
    insert into lockstep_source.was_late (prediction_id, value, at, known_at)
    select 'flight-' || _row, delay > 15, landed_at at time zone 'UTC', landed_at at time zone 'UTC' + interval '${minutes} minutes'
    ${departing(from)} and _row % ${every} = 0 and landed_at < ${time(to)}`)
  const asked = (id: string, distance: string, since: number): string =>
    `select '${id}-' || _row as id, date - interval '1 minute' as asked_at, origin, destination, ${distance} as distance ${departing(since)} and _row % ${every} = 0`
  say(
    `The flights of June until then are predicted a minute before they depart, and logged ${count(Math.round(minutes / 1440))} days later, as if they had been asked about in the last weeks.` +
      ` On the last ${faultyDays} days another client asks as well, and sends metres where miles belong.`,
  )
  const spine = `${asked('flight', 'distance', from)} union all ${asked('metres', 'distance * 1609', to - faultyDays * 86_400_000)}`
  await lockstep('predictions', 'backfill', 'delay', '--spine', spine, '--id', 'id', '--shift', shift)
  const report = (await lockstep('quality', 'delay', '--outcome', 'was_late', '--since', '30d', '--by', 'role')).json as QualityReport
  // an earlier run may have asked about flights live, which other versions answered as well
  const backfilled = report.groups.find(({ by }) => by['role'] === 'backfill')
  if (backfilled === undefined) throw new Error('No backfilled prediction has an outcome.')
  const { figures, judged } = backfilled
  say(`AUC on June: ${figures['auc']?.value?.toFixed(4)}, of ${count(judged)} flights. The model was trained on January to May.`)
}
