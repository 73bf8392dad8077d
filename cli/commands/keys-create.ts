import { LockstepError } from '../../kernel/errors.ts'
import { createKey } from '../../registry/keys/api-keys.ts'
import type { Scope } from '../../registry/keys/scope.ts'
import { scopes } from '../../registry/keys/scope.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { durationOption } from '../duration-option.ts'
import type { Input } from '../input.ts'
import { keyJson, madeKeyText } from '../key-text.ts'

const maxPerSecond = 1_000_000_000

export const keysCreateCommand: Command = {
  name: 'keys create',
  summary: 'Make an API key for those who ask a server',
  description: [
    'Prints the key once; what is kept of it is a hash. Servers know it within about a second, and need a key for every request from the first one that is made.',
    'Scopes: read (features), predict (models), push (events), metrics (where LOCKSTEP_METRICS_AUTH is required), admin (models, backfills, and all of the others).',
  ],
  options: {
    scope: { value: 'SCOPES', help: 'What it is good for, with commas between: read, predict, push, metrics, admin.', needed: true },
    name: { value: 'NAME', help: 'What it is called in lists.' },
    expires: { value: 'DURATION', help: 'For how long it is valid, such as 90d. Default: until it is revoked.' },
    'requests-per-second': {
      value: 'N',
      help: 'Requests of each scope that it may make in a second, over all servers. Default: any number.',
    },
    'rows-per-second': { value: 'N', help: 'Entities and events of its requests in a second. Default: any number.' },
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
    const made = await createKey(
      await context.database(),
      { ...request, expiresAt: lasts === null ? null : new Date(Date.now() + lasts) },
      actorOf(input),
    )
    return { json: { key: made.text, ...keyJson(made.key) }, text: madeKeyText(made) }
  },
}

function scopesOf(text: string): Scope[] {
  const named = text.split(',').map((word) => word.trim())
  const wrong = named.find((word) => !scopes.some((scope) => scope === word))
  if (wrong !== undefined) {
    throw new LockstepError(
      'USAGE',
      `The option "--scope" has "${wrong}"; it takes ${scopes.map((scope) => `"${scope}"`).join(', ')}, with commas between.`,
    )
  }
  return scopes.filter((scope) => named.includes(scope))
}

function perSecond(input: Input, option: string): number | null {
  return input.count(option, 1, maxPerSecond) ?? null
}
