import type { CheckSpec } from '../../../registry/define/check-options.ts'
import type { CheckContext, CheckResult } from '../check-kind.ts'
import { arrivals } from './arrivals.ts'
import { clock } from './clock.ts'
import { drift, predictions } from './drift.ts'
import { errors } from './errors.ts'
import { freshness } from './freshness.ts'
import { jobs } from './jobs.ts'
import { latency } from './latency.ts'
import { nulls } from './nulls.ts'
import { parity } from './parity.ts'
import { quality } from './quality.ts'
import { rollouts } from './rollouts.ts'
import { traffic } from './traffic.ts'

export async function evaluateCheck(context: CheckContext, spec: CheckSpec): Promise<readonly CheckResult[]> {
  switch (spec.kind) {
    case 'freshness':
      return await freshness(context, spec)
    case 'parity':
      return await parity(context, spec)
    case 'errors':
      return await errors(context, spec)
    case 'latency':
      return await latency(context, spec)
    case 'traffic':
      return await traffic(context, spec)
    case 'arrivals':
      return await arrivals(context, spec)
    case 'nulls':
      return await nulls(context, spec)
    case 'drift':
      return await drift(context, spec)
    case 'predictions':
      return await predictions(context, spec)
    case 'quality':
      return await quality(context, spec)
    case 'jobs':
      return await jobs(context, spec)
    case 'clock':
      return await clock(context, spec)
    case 'rollouts':
      return await rollouts(context, spec)
    default:
      return spec satisfies never
  }
}
