import type { Database } from './database.ts'

/**
 * What the sessions of a process that keeps online views current call themselves: by it others see that there is one.
 */
const application = 'lockstep worker'

/** The database's URL for such a session. What the URL called it comes behind that. */
export function workerUrl(url: string): string {
  // a URL of several servers is none that the platform can parse
  const [, before = url, query = ''] = /^([^?]*)(?:\?(.*))?$/s.exec(url) ?? []
  const parameters = new URLSearchParams(query)
  parameters.set('application_name', `${application} ${parameters.get('application_name') ?? ''}`.trim())
  return `${before}?${parameters.toString()}`
}

/**
 * Whether a worker is connected to the database that keeps online views current. PostgreSQL shows the names of all
 * sessions to everybody.
 */
export async function hasWorker(db: Pick<Database, 'query'>): Promise<boolean> {
  const [row] = await db.query<{ there: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, '${application}')) AS there`,
  )
  return row?.there === true
}

/** A sentence that says what to do. */
export const noWorker =
  'No worker is connected to the database, so nothing keeps the online views current: new rows are not served until the next run. Start "lockstep worker", or run "lockstep materialize" regularly.'
