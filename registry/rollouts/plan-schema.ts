import { z } from 'zod'
import { LockstepError } from '../../kernel/errors.ts'
import { isDuration } from '../../kernel/values/duration.ts'
import { sayIssues } from '../load/format-issues.ts'

/** The plans that have a name. */
export const planNames = ['default', 'blue-green'] as const
export type PlanName = (typeof planNames)[number]

const duration = z
  .string()
  .refine(isDuration, { error: 'is not a duration, such as "10m"' })
  .describe('A duration, such as 90s, 10m or 1h30m')

const name = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/)
const alpha = z.number().min(1e-6).max(0.5).describe('The chance that the gate ever rolls back a version that keeps the margin')
const samples = (least: number) => z.int().min(1).max(1e9).default(least).describe('Fewer are not enough evidence')
const better = z.enum(['higher', 'lower']).describe('Which values are better')

const breach = (by: 'roll back' | 'hold') => ({
  onBreach: z.enum(['roll back', 'hold']).default(by).describe('What a breach does'),
  optional: z.boolean().default(false).describe('Whether the rollout goes on if the gate has not enough evidence'),
})
const compared = {
  alpha: alpha.default(0.01),
  prove: z.boolean().default(false).describe('Whether to wait until the candidate is shown to keep the margin'),
  ...breach('roll back'),
}

const environmentName = z.strictObject({ env: z.string().regex(/^(?!LOCKSTEP_)[A-Z_][A-Z0-9_]{0,127}$/) })

/** The settings of each gate. What a gate computes stands in `monitoring/rollouts/gates/`. */
const gateSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('errors'),
    margin: z.number().min(0).max(1).default(0.01).describe('By how much the share of failed rows may be higher than that of the champion'),
    samples: samples(200),
    ...compared,
  }),
  z.strictObject({
    kind: z.literal('latency'),
    quantile: z.number().min(0.5).max(0.999).default(0.95).describe('The share of requests that are compared'),
    factor: z.number().min(1).max(100).default(1.5).describe('How many times as long as with the champion they may take'),
    atLeast: duration.default('5ms').describe('A shorter difference is no breach'),
    samples: samples(200),
    ...compared,
  }),
  z.strictObject({
    kind: z.literal('features'),
    margin: z.number().min(0).max(1).default(0.05).describe('How much higher the share of rows without a value of a feature may be'),
    samples: samples(100),
    ...compared,
  }),
  z.strictObject({
    kind: z.literal('parity'),
    budget: z.number().min(0).max(1).default(0).describe('The share of feature values that may differ from the history'),
    vectors: z.int().min(1).max(10_000).default(200).describe('How many logged rows are recomputed'),
    settle: duration.default('5m').describe('Newer rows wait, until late rows of their sources have arrived'),
    ...breach('roll back'),
  }),
  z.strictObject({ kind: z.literal('freshness'), ...breach('roll back') }),
  z.strictObject({
    kind: z.literal('inputs'),
    minPsi: z.number().min(0.001).max(10).default(0.1).describe('The least PSI above what chance gives'),
    alpha: alpha.default(0.01),
    ...breach('roll back'),
  }),
  z.strictObject({
    kind: z.literal('predictions'),
    minPsi: z.number().min(0.001).max(10).default(0.2).describe('The least PSI above what chance gives'),
    rows: z.int().min(100).max(100_000).default(5000).describe('How many rows of each version are read'),
    alpha: alpha.default(0.01),
    ...breach('hold'),
  }),
  z.strictObject({
    kind: z.literal('calibration'),
    outcome: name.optional(),
    margin: z.number().min(0).max(1).default(0.05).describe('How much higher the calibration error may be'),
    samples: samples(200),
    ...compared,
  }),
  z.strictObject({
    kind: z.literal('quality'),
    outcome: name.optional(),
    figure: z.enum(['auc', 'logLoss', 'brier', 'accuracy', 'precision', 'recall', 'f1', 'rmse', 'mae']).optional(),
    margin: z.number().min(0).optional().describe('How much worse the figure may be, in its unit'),
    samples: samples(200),
    ...compared,
  }),
  z.strictObject({
    kind: z.literal('business'),
    outcome: name.optional(),
    figure: z.string().describe('The name of a figure of the outcome'),
    better,
    margin: z.number().min(0).describe('How much worse the mean by prediction may be, in its unit'),
    samples: samples(200),
    ...compared,
  }),
  z.strictObject({ kind: z.literal('split'), alpha: alpha.default(0.001), samples: samples(100), ...breach('roll back') }),
  z.strictObject({
    kind: z.literal('load'),
    maxRefused: z.number().min(0).max(1).default(0.001).describe('The share of requests that servers may refuse because they are busy'),
    maxCores: z.number().min(0.01).max(1024).optional().describe('How many cores a server process may use'),
    ...breach('hold'),
  }),
  z.strictObject({
    kind: z.literal('webhook'),
    name,
    url: z.union([z.url({ protocol: /^https?$/ }), environmentName]).describe('Where it is asked'),
    secret: environmentName.describe('The variable that holds the secret of the signature'),
    timeout: duration.default('5s'),
    ...breach('roll back'),
  }),
])
export type GateSpec = z.output<typeof gateSchema>
export type GateKind = GateSpec['kind']
export type GateOf<K extends GateKind> = Extract<GateSpec, { readonly kind: K }>

const stepSchema = z.strictObject({
  share: z.number().gt(0).max(1).describe('The share of the candidate, from 0 to 1'),
  atLeast: duration.default('10m').describe('The least time of the step'),
  samples: z.int().min(0).max(1e12).default(2000).describe('The least number of rows that the candidate has answered'),
})

export const planSchema = z.strictObject({
  steps: z.array(stepSchema).min(1).max(50).describe('With rising shares'),
  gates: z.array(gateSchema).max(30).optional().describe('Absent: those of the default plan'),
  every: duration.default('10s').describe('How often the gates are asked'),
  promote: z.enum(['automatic', 'manual']).default('automatic').describe('Who promotes the candidate after the last step'),
})

/** A plan as people write it. */
export type StatedPlan = z.input<typeof planSchema>
/** A plan with all of its settings. */
export type RolloutPlan = Omit<z.output<typeof planSchema>, 'gates'> & { readonly gates: readonly GateSpec[] }

/**
 * Reads a plan, and adds its defaults.
 *
 * @param ownGates those of a plan that names none
 * @throws LockstepError `INVALID_REQUEST`, naming the place
 */
export function parsePlan(given: unknown, ownGates: readonly GateSpec[]): RolloutPlan {
  const parsed = planSchema.safeParse(given)
  if (!parsed.success) {
    const { said } = sayIssues(parsed.error, planSchema, given)
    throw invalid(`The plan is invalid: ${said}. See docs/rollouts.md for its fields.`)
  }
  const { steps, gates = ownGates, ...rest } = parsed.data
  const falls = steps.findIndex(({ share }, i) => i > 0 && share <= (steps[i - 1]?.share ?? 0))
  if (falls > 0)
    throw invalid(
      `Step ${falls + 1} of the plan has the share ${steps[falls]?.share}, which is not above the ${steps[falls - 1]?.share} of the step before. Write steps with rising shares.`,
    )
  return { ...rest, steps, gates }
}

function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_REQUEST', message)
}

/** A gate with the defaults of its settings. */
export function gate(given: z.input<typeof gateSchema>): GateSpec {
  return gateSchema.parse(given)
}
