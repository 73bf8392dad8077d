import { LockstepError } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { AuditRecord } from '../../runtime/audit.ts'
import { maxAuditRecords, readAudit } from '../../runtime/audit.ts'
import { entityHash } from '../../serving/dashboard/explain/audit-read.ts'
import { auditAnswer } from '../../serving/protocols/http/registry/registry-schemas.ts'
import type { Command, Outcome } from '../command.ts'
import { moment } from '../text/human.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

const defaultLimit = 100

export const auditCommand: Command = {
  name: 'audit',
  summary: 'Show who changed what, and when',
  description: [
    'Every change to the registry, models, keys, backfills and dead letters is recorded in the transaction that makes it. Erasures are recorded without the key. --json shows the state before and after each change.',
  ],
  options: {
    since: { value: 'TIME', help: 'Only changes at this time or later.' },
    who: { value: 'WHO', help: 'The id or name of an API key, user@host, or only the user.' },
    what: { value: 'WHAT', help: 'An action (model.promote), a group of actions (model), or the thing that was changed (delay).' },
    entity: { value: 'KEY', help: 'Who saw the values of this entity on the dashboard. JSON: {"airport":"ATL"}.' },
    limit: { value: 'N', help: `The maximum number, newest first. Default: ${defaultLimit}.` },
    server: serverOption,
  },
  example: 'lockstep audit --what model --since 2026-01-01T00:00:00Z',
  async run(context, input) {
    const since = input.time('since')
    const entity = input.text('entity')
    const key = entity === undefined ? undefined : keyIn(entity)
    const filter = { who: input.text('who'), what: input.text('what'), limit: input.count('limit', 1, maxAuditRecords) ?? defaultLimit }
    const server = serverOf(context, input)
    if (server !== null) {
      if (key !== undefined)
        throw new LockstepError('USAGE', 'A server does not look for reads of an entity; remove "--entity", or "--server".')
      const from = since === undefined ? undefined : formatTimestamp(since)
      const path = `/v1/audit${queryOf({ ...filter, since: from })}`
      return shown((await server.ask('GET', path, undefined, auditAnswer)).records)
    }
    const db = await context.database()
    const records = await readAudit(db, {
      ...filter,
      since: since === undefined ? undefined : new Date(Math.ceil(since / 1000)),
      entity: key === undefined ? undefined : await entityHash(db, key),
    })
    return shown(records)
  },
}

type ShownRecord = Pick<AuditRecord, 'actor' | 'actorName' | 'subject' | 'reason'> & { readonly at: Date | string; readonly action: string }

function shown(records: readonly ShownRecord[]): Outcome {
  const rows = records.map(({ at, actor, actorName, action, subject, reason }) => [
    moment(new Date(at)),
    actorName === null || actorName === '' ? actor : `${actor} (${actorName})`,
    action,
    subject,
    reason ?? '',
  ])
  return {
    json: { records },
    text: rows.length === 0 ? 'The audit log has no such change.' : table(['AT (UTC)', 'BY', 'ACTION', 'WHAT', 'WHY'], rows),
  }
}

function keyIn(text: string): object {
  try {
    const key: unknown = JSON.parse(text)
    if (isRecord(key)) return key
  } catch {
    // said below
  }
  throw new LockstepError('USAGE', `"--entity" is "${text.slice(0, 100)}"; write the key as JSON, as in --entity '{"airport":"ATL"}'.`)
}
