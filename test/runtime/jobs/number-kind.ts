import { z } from 'zod'
import type { JobKind } from '../../../runtime/jobs/job-kind.ts'

export interface Numbers {
  readonly upTo: number
}

/** Adds up numbers: each chunk is one, and the finish sums them up. */
export const numbers: JobKind<Numbers, { readonly unit: string }, number, { readonly n: number }> = {
  name: 'numbers',
  spec: z.object({ upTo: z.int().min(0) }),
  retries: 2,
  backoffSeconds: { from: 60, to: 600 },
  // longer than this process may stand still: else another worker would do the step, too
  leaseSeconds: 60,
  plan: async ({ spec }) => ({ plan: { unit: 'apples' }, chunks: Array.from({ length: spec.upTo }, (_, n) => n) }),
  run: async (_job, n) => ({ n }),
  finish: async ({ plan }, results) => ({ sum: results.reduce((sum, { n }) => sum + n, 0), unit: plan.unit }),
}
