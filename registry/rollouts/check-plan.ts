import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { isPrivateHost } from '../../runtime/private-address.ts'
import type { GateSpec, RolloutPlan } from './plan-schema.ts'

/** What gates can judge a model by. */
export interface JudgedModel {
  readonly name: string
  /** Its outcomes, with the names of their business figures. */
  readonly outcomes: readonly { readonly name: string; readonly figures: readonly string[] }[]
}

/**
 * Checks that each gate of a plan can have data.
 *
 * @param allowPrivate whether webhooks may have private addresses
 * @throws LockstepError `INVALID_REQUEST`; `FORBIDDEN` for a webhook with a private address
 */
export function checkPlan(model: JudgedModel, { gates }: RolloutPlan, allowPrivate: boolean): void {
  const seen = new Set<string>()
  for (const gate of gates) {
    const title = gateTitle(gate)
    if (seen.has(title)) throw invalid(`The plan has the gate "${title}" twice; remove one.`)
    seen.add(title)
    if (gate.kind === 'webhook') checkWebhook(gate, allowPrivate)
    if (gate.kind === 'quality' || gate.kind === 'calibration' || gate.kind === 'business') checkOutcome(model, gate)
  }
}

/** A gate for people: `errors`, `quality of delayed`, `webhook change_board`. */
export function gateTitle(gate: GateSpec): string {
  switch (gate.kind) {
    case 'webhook':
      return `webhook ${gate.name}`
    case 'business':
      return `business ${gate.figure}`
    case 'quality':
      return [gate.kind, gate.figure, gate.outcome === undefined ? undefined : `of ${gate.outcome}`]
        .filter((part) => part !== undefined)
        .join(' ')
    default:
      return gate.kind
  }
}

function checkWebhook({ name, url }: Extract<GateSpec, { kind: 'webhook' }>, allowPrivate: boolean): void {
  if (typeof url !== 'string' || allowPrivate || !isPrivateHost(new URL(url).hostname)) return
  const host = new URL(url).hostname
  throw new LockstepError(
    'FORBIDDEN',
    `The gate "webhook ${name}" asks "${host}", which is a private address. To allow private addresses, set LOCKSTEP_ALERT_PRIVATE_ADDRESSES to "allow".`,
    { details: { gate: name, host } },
  )
}

function checkOutcome(
  { name: model, outcomes: own }: JudgedModel,
  gate: Extract<GateSpec, { kind: 'quality' | 'calibration' | 'business' }>,
): void {
  const names = own.map(({ name }) => `"${name}"`).join(', ')
  const title = gateTitle(gate)
  if (own.length === 0)
    throw invalid(
      `The gate "${title}" needs an outcome of the model "${model}", which has none. Declare one, as in outcome('label', { model, value: t.bool, within: '1d' }), or remove the gate.`,
    )
  const asked = own.find(({ name }) => name === gate.outcome)
  if (gate.outcome !== undefined && asked === undefined)
    throw invalid(`The gate "${title}" names the outcome "${gate.outcome}", but the model "${model}" has ${names}. Name one of them.`)
  if (gate.outcome === undefined && own.length > 1)
    throw invalid(
      `The gate "${title}" names no outcome, and the model "${model}" has several: ${names}. Add outcome: ${names.split(', ')[0]}.`,
    )
  if (gate.kind === 'quality' && gate.figure !== undefined && gate.margin === undefined)
    throw invalid(`The gate "${title}" has a figure and no margin. Add how much worse it may be, such as margin: 0.02.`)
  const outcome = asked ?? own[0]
  if (gate.kind !== 'business' || outcome === undefined) return
  const { name, figures } = outcome
  if (!figures.includes(gate.figure))
    throw invalid(
      `The gate "${title}" needs the figure "${gate.figure}", but the outcome "${name}" has ${figures.length === 0 ? 'none' : quotedNames(figures)}. Name one of its figures.`,
    )
}

function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_REQUEST', message)
}
