import { lastInstant } from '../../kernel/due-moment.ts'
import type { Database } from '../postgres/database.ts'
import type { JobKind } from './job-kind.ts'
import { submitJob } from './submit-job.ts'

/** Submits what schedules want by now; any number of processes may do so beside each other. */
export interface ScheduleFirer {
  /** @param now epoch microseconds */
  fire(now: number): Promise<void>
}

/**
 * Of each instant of a schedule there is one job, whichever worker fires it. While the job of an earlier instant still
 * runs none is added; of instants that were missed only the newest counts.
 */
export function createScheduleFirer(db: Pick<Database, 'kysely'>, kinds: readonly JobKind[], worker: string): ScheduleFirer {
  /** The newest instant of each schedule that needs nothing more, so that the database is asked once. */
  const settled = new Map<string, number>()
  return {
    async fire(now) {
      for (const kind of kinds) {
        if (kind.schedules === undefined) continue
        const own = (await kind.scope?.()) ?? ''
        for (const { key, subject, scope = own, cron, spec } of await kind.schedules()) {
          const moment = lastInstant({ kind: 'schedule', schedule: cron, delayMicros: 0 }, now)
          const name = JSON.stringify([kind.name, scope, key])
          if (moment < 0 || (settled.get(name) ?? Number.NEGATIVE_INFINITY) >= moment) continue
          const other = kind.scopes === undefined ? null : await findInOtherScope(db, { kind: kind.name, key, scope, moment })
          if (other !== null) {
            if (other.moment !== null && Number(other.moment) >= moment) settled.set(name, moment)
            continue
          }
          const submitted = await submitJob(db, kind, { spec, subject, scope, key, moment, worker })
          if (submitted !== null && (!submitted.joined || (await isOf(db, submitted.id, moment)))) settled.set(name, moment)
        }
      }
    },
  }
}

/** Whether the job that was there is the one of that instant, and not one of an earlier instant that still runs. */
async function isOf({ kysely }: Pick<Database, 'kysely'>, id: number, moment: number): Promise<boolean> {
  const found = await kysely
    .selectFrom('lockstep.jobs')
    .select('id')
    .where('id', '=', String(id))
    .where('moment', '>=', String(moment))
    .executeTakeFirst()
  return found !== undefined
}

/** A job that runs, or that instant's, of a schedule that was given another scope since then. */
async function findInOtherScope(
  { kysely }: Pick<Database, 'kysely'>,
  { kind, key, scope, moment }: { readonly kind: string; readonly key: string; readonly scope: string; readonly moment: number },
): Promise<{ readonly moment: string | null } | null> {
  const found = await kysely
    .selectFrom('lockstep.jobs')
    .select('moment')
    .where('kind', '=', kind)
    .where('key', '=', key)
    .where('scope', '<>', scope)
    .where((eb) => eb.or([eb('state', '=', 'running'), eb('moment', '=', String(moment))]))
    .orderBy('id', 'desc')
    .executeTakeFirst()
  return found ?? null
}
