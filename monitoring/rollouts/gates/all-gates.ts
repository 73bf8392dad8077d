import type { JsonValue } from '../../../kernel/specs/view-spec.ts'
import type { GateKind, GateSpec } from '../../../registry/rollouts/plan-schema.ts'
import { errors } from './errors.ts'
import { features } from './features.ts'
import { freshness } from './freshness.ts'
import type { Gate, GateAnswer, GateContext, GateDifference } from './gate.ts'
import { inputs } from './inputs.ts'
import { latency } from './latency.ts'
import { load } from './load.ts'
import { parity } from './parity.ts'
import { predictions } from './predictions.ts'
import { business, calibration, quality } from './quality.ts'
import { split } from './split.ts'
import { webhook } from './webhook.ts'

const gates = {
  errors,
  latency,
  features,
  parity,
  freshness,
  inputs,
  predictions,
  calibration,
  quality,
  business,
  split,
  load,
  webhook,
} satisfies { readonly [K in GateKind]: unknown }

/** Each gate takes the spec of its kind, and its own evidence, which it made itself. */
function gateOf(spec: GateSpec): Gate {
  return gates[spec.kind] as unknown as Gate
}

export async function gatherGate(context: GateContext, spec: GateSpec, before: JsonValue | null): Promise<JsonValue> {
  return await gateOf(spec).gather(context, spec, before)
}

export function judgeGate(spec: GateSpec, evidence: JsonValue): GateAnswer {
  return gateOf(spec).judge(spec, evidence)
}

/** null: the gate compares nothing, or nothing yet. */
export function gateDifference(spec: GateSpec, evidence: JsonValue): GateDifference | null {
  return gateOf(spec).difference?.(spec, evidence) ?? null
}
