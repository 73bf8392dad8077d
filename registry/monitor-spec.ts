import { z } from 'zod'
import { LockstepError } from '../kernel/errors.ts'
import type { CheckSpec } from './define/check-options.ts'
import { checkOf } from './define/check-options.ts'
import { severities } from './define/severity.ts'
import { bareAddress, maxRecipients, namedAddress } from './define/mail-address.ts'

const checkSpec = z.unknown().transform((given, context): CheckSpec => {
  try {
    return checkOf(given, 'A monitor')
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    context.addIssue(error.message)
    return z.NEVER
  }
})

const name = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/)
const micros = z.int().min(0)

/** The target of a monitor. The system is what all models and views share: jobs and clocks. */
export const monitorTarget = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('model'), model: name }),
  z.strictObject({ kind: z.literal('view'), view: z.templateLiteral([z.string().regex(/^[a-z][a-z0-9_]*$/), '@', z.int().min(1)]) }),
  z.strictObject({ kind: z.literal('system') }),
])
export type MonitorTarget = z.output<typeof monitorTarget>

export const monitorSpec = z.strictObject({
  name,
  target: monitorTarget,
  everyMicros: micros,
  /** The part of the past that each evaluation looks at. */
  windowMicros: micros,
  /** How long a check must breach before its alert fires. */
  forMicros: micros,
  /** How many evaluations in a row must be fine before a firing alert is resolved. */
  clearAfter: z.int().min(1).max(1000),
  /** After how long without data another alert says so; null: never. */
  noDataMicros: micros.nullable(),
  severity: z.enum(severities),
  checks: z.array(checkSpec).min(1),
  /** The channels that get its alerts. */
  notify: z.array(name),
  runbook: z.string().nullable(),
})
export type MonitorSpec = z.output<typeof monitorSpec>

/** The name of what a monitor watches. */
export function watchedName({ target }: Pick<MonitorSpec, 'target'>): string {
  switch (target.kind) {
    case 'model':
      return target.model
    case 'view':
      return target.view
    case 'system':
      return 'the system'
    default:
      return target satisfies never
  }
}

const environmentName = z.strictObject({ env: z.string().regex(/^(?!LOCKSTEP_)[A-Z_][A-Z0-9_]{0,127}$/) })
const url = z.union([z.string(), environmentName])
const channelBase = {
  name,
  /** Which alerts it takes. */
  severities: z.array(z.enum(severities)).min(1),
  /** Whether alerts of the default monitors go there. */
  defaults: z.boolean(),
}

/** Where alerts are sent. Secrets are never part of it: only the names of their environment variables are. */
export const channelSpec = z.discriminatedUnion('kind', [
  z.strictObject({ ...channelBase, kind: z.literal('webhook'), url, secret: environmentName }),
  z.strictObject({ ...channelBase, kind: z.literal('slack'), url }),
  z.strictObject({ ...channelBase, kind: z.literal('pagerduty'), url, routingKey: environmentName }),
  z.strictObject({ ...channelBase, kind: z.literal('alertmanager'), url }),
  z.strictObject({
    ...channelBase,
    kind: z.literal('email'),
    url,
    from: z.string().regex(namedAddress),
    to: z.array(z.string().regex(bareAddress)).min(1).max(maxRecipients),
  }),
])
export type ChannelSpec = z.output<typeof channelSpec>
/** The name of an environment variable that holds a secret. */
export type EnvironmentName = z.output<typeof environmentName>
