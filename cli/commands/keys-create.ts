import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { createKey } from '../../registry/keys/api-keys.ts'
import type { Scope } from '../../registry/keys/scope.ts'
import { scopes } from '../../registry/keys/scope.ts'
import { databaseNowMicros } from '../../runtime/postgres/database-clock.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { durationOption } from '../duration-option.ts'
import type { Input } from '../input.ts'
import { keyJson, madeKeyText } from '../text/key-text.ts'

const maxPerSecond = 1_000_000_000

export const keysCreateCommand: Command = {
  name: 'keys create',
  summary: 'Create an API key',
  description: [
    'Prints the key once; only a hash is stored. Servers accept it within about a second. Once the first key exists, every request needs a key.',
    'Scopes: read (features), predict (models), push (events), metrics (if LOCKSTEP_METRICS_AUTH is required), admin (models, backfills, and everything else).',
  ],
  options: {
    scope: {
      value: 'SCOPES',
      help: 'Its scopes, separated by commas: read, predict, push, metrics, admin; for the dashboard ui:read, ui:operate, ui:admin, explain:read.',
      needed: true,
    },
    name: { value: 'NAME', help: 'Its name in lists.' },
    expires: { value: 'DURATION', help: 'How long it is valid, such as 90d. Default: until it is revoked.' },
    'requests-per-second': {
      value: 'N',
      help: 'The maximum number of requests per second for each scope, across all servers. Default: no limit.',
    },
    'rows-per-second': { value: 'N', help: 'The maximum number of entities and events per second. Default: no limit.' },
    reason: reasonOption,
  },
  example: 'lockstep keys create --name checkout --scope read,predict --expires 90d',
  async run(context, input) {
    const expires = input.text('expires')
    const lasts = expires === undefined ? null : durationOption('keys create', 'expires', expires) / 1000
    const request = {
      name: input.text('name') ?? '',
      scopes: scopesOf(input.needed('scope')),
      requestsPerSecond: perSecond(input, 'requests-per-second'),
      rowsPerSecond: perSecond(input, 'rows-per-second'),
    }
    const db = await context.database()
    const nowMs = (await databaseNowMicros(db)) / 1000
    const expiresAt = lasts === null ? null : new Date(nowMs + lasts)
    const made = await createKey(db, { ...request, expiresAt }, actorOf(input))
    return { json: { key: made.text, ...keyJson(made.key, nowMs) }, text: madeKeyText(made) }
  },
}

function scopesOf(text: string): Scope[] {
  const named = text.split(',').map((word) => word.trim())
  const wrong = named.find((word) => !scopes.some((scope) => scope === word))
  if (wrong !== undefined) {
    throw new LockstepError('USAGE', `The option "--scope" has "${wrong}"; it can have ${quotedNames(scopes)}, separated by commas.`)
  }
  return scopes.filter((scope) => named.includes(scope))
}

function perSecond(input: Input, option: string): number | null {
  return input.count(option, 1, maxPerSecond) ?? null
}
