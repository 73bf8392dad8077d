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
import { traffic } from './traffic.ts'

export async function evaluateCheck(context: CheckContext, spec: CheckSpec): Promise<readonly CheckResult[]> {
  switch (spec.kind) {
    case 'freshness':
      return await freshness.evaluate(context, spec)
    case 'parity':
      return await parity.evaluate(context, spec)
    case 'errors':
      return await errors.evaluate(context, spec)
    case 'latency':
      return await latency.evaluate(context, spec)
    case 'traffic':
      return await traffic.evaluate(context, spec)
    case 'arrivals':
      return await arrivals.evaluate(context, spec)
    case 'nulls':
      return await nulls.evaluate(context, spec)
    case 'drift':
      return await drift.evaluate(context, spec)
    case 'predictions':
      return await predictions.evaluate(context, spec)
    case 'quality':
      return await quality.evaluate(context, spec)
    case 'jobs':
      return await jobs.evaluate(context, spec)
    case 'clock':
      return await clock.evaluate(context, spec)
    default:
      return spec satisfies never
  }
}
