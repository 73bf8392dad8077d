import { z } from 'zod'
import { parseDuration } from '../../../kernel/values/duration.ts'
import { LockstepError, messageOf, withoutStop } from '../../../kernel/errors.ts'
import { signedJson } from '../../alerts/deliver/formats.ts'
import { exchange } from '../../alerts/deliver/send-request.ts'
import type { Gate } from './gate.ts'
import { isDue } from './gate.ts'

/** Its text is stored with decisions, and PostgreSQL takes no zero bytes and no half characters. */
export const webhookAnswer = z.object({
  action: z.enum(['advance', 'hold', 'roll back']),
  text: z
    .string()
    .max(1000)
    .default('')
    .transform((text) => text.toWellFormed().replaceAll(/\p{Cc}/gu, ' ')),
})

interface WebhookEvidence {
  readonly at: number
  /** The answer of the webhook; null: it did not answer. */
  readonly answer: z.output<typeof webhookAnswer> | null
  /** Why there is no answer. */
  readonly error: string | null
}

/** Asks a program of the user's own. The request is signed as the webhooks of alerts are. */
export const webhook: Gate<'webhook', WebhookEvidence> = {
  kind: 'webhook',
  async gather(context, spec, before) {
    const { rollout, counts, now, readSecret, allowPrivate, signal } = context
    if (before?.answer?.action === 'advance' && !isDue(before.at, context)) return before
    const secret = (name: string): string => {
      const value = readSecret(name)
      if (value !== null) return value
      throw new LockstepError(
        'CONFIG_INVALID',
        `The gate "webhook ${spec.name}" needs the environment variable "${name}", which this process does not have. Set it for the workers, or "${name}_FILE" to a file that holds it.`,
      )
    }
    try {
      const { model, version, share, step, plan } = rollout
      const { candidate, champion } = counts
      const asked = {
        gate: spec.name,
        rollout: { id: rollout.id, model, version, share, step: (step ?? 0) + 1, steps: plan.steps.length, startedBy: rollout.startedBy },
        candidate: { requests: candidate.requests, rows: candidate.rows, errors: Object.fromEntries(candidate.errors) },
        champion: {
          version: context.champion,
          requests: champion.requests,
          rows: champion.rows,
          errors: Object.fromEntries(champion.errors),
        },
      }
      const url = typeof spec.url === 'string' ? spec.url : secret(spec.url.env)
      const request = { url, ...signedJson(asked, `rollout:${rollout.id}:${rollout.revision}`, secret(spec.secret.env), now) }
      const body = await exchange(request, { allowPrivate, timeoutMs: parseDuration(spec.timeout) / 1000, signal })
      return { at: now, answer: webhookAnswer.parse(JSON.parse(body)), error: null }
    } catch (error) {
      if (signal.aborted) throw error
      const why =
        error instanceof LockstepError ? messageOf(error) : 'it did not answer {"action": "advance" | "hold" | "roll back", "text": …}'
      return { at: now, answer: null, error: why }
    }
  },
  judge({ name, onBreach }, { answer, error }) {
    if (answer === null) return { verdict: 'not enough evidence', text: `The webhook "${name}" gave no answer: ${withoutStop(error)}.` }
    const text = `The webhook "${name}" answered "${answer.action}"${answer.text === '' ? '.' : `: ${answer.text}`}`
    return { verdict: answer.action === 'roll back' ? onBreach : answer.action, text }
  },
}
