import { maxAuditRecords, readAudit } from '../../runtime/audit.ts'
import type { Command } from '../command.ts'
import { moment } from '../human.ts'
import { table } from '../table.ts'

const defaultLimit = 100

export const auditCommand: Command = {
  name: 'audit',
  summary: 'Show who changed what, and when',
  description: [
    'Each change of the registry, of models, keys, backfills and dead letters is written down in the transaction that makes it, and so is each erasure, without the key. --json shows what was there before and after.',
  ],
  options: {
    since: { value: 'TIME', help: 'Only what was done at that time or later.' },
    who: { value: 'WHO', help: 'The id or name of an API key, user@host, or the user alone.' },
    what: { value: 'WHAT', help: 'An action (model.promote), a group of them (model), or what it was done to (delay).' },
    limit: { value: 'N', help: `How many of the newest. Default: ${defaultLimit}.` },
  },
  example: 'lockstep audit --what model --since 2026-01-01T00:00:00Z',
  async run(context, input) {
    const since = input.time('since')
    const records = await readAudit(await context.database(), {
      since: since === undefined ? undefined : new Date(Math.ceil(since / 1000)),
      who: input.text('who'),
      what: input.text('what'),
      limit: input.count('limit', 1, maxAuditRecords) ?? defaultLimit,
    })
    const rows = records.map(({ at, actor, actorName, action, subject, reason }) => [
      moment(at),
      actorName === null || actorName === '' ? actor : `${actor} (${actorName})`,
      action,
      subject,
      reason ?? '',
    ])
    return {
      json: { records },
      text: rows.length === 0 ? 'Nothing of that is in the audit log.' : table(['AT (UTC)', 'BY', 'ACTION', 'WHAT', 'WHY'], rows),
    }
  },
}
