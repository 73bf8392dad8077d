import { z } from 'zod'
import { monitorTarget } from '../../../../registry/monitor-spec.ts'
import { requestId } from '../response/response-schemas.ts'

const micros = z.int()

/** A monitor with its newest results, as `GET /v1/monitors` answers it and `lockstep monitor` reads it. */
const monitorFields = {
  name: z.string().describe('Its name; that of a default one has a colon'),
  isDefault: z.boolean().describe('Whether nobody declared it'),
  description: z.string().nullable().describe('The description of its definition'),
  target: monitorTarget.describe('The watched model, view or other target'),
  checks: z.array(z.looseObject({ kind: z.string().describe('The kind of check') })).describe('Its checks, with their options'),
  everyMicros: micros.describe('How often it is evaluated, microseconds'),
  windowMicros: micros.describe('The part of the past that an evaluation looks at, microseconds'),
  forMicros: micros.describe('How long a check must breach before its alert fires, microseconds'),
  clearAfter: z.int().describe('How many evaluations in a row must be fine before an alert is resolved'),
  noDataMicros: micros.nullable().describe('After how long without data an alert fires, microseconds; null: never'),
  severity: z.enum(['page', 'ticket']).describe('page: now; ticket: in working hours'),
  notify: z.array(z.string()).describe('The channels that get its alerts'),
  runbook: z.string().nullable().describe('The URL of a page that says what to do'),
  yieldsTo: z.string().exactOptional().describe('A monitor whose alerts take the place of its own'),
  evaluatedAt: z.string().nullable().describe('The end of the newest evaluated window; null: no worker has evaluated it yet'),
  results: z
    .array(
      z.object({
        check: z.string().describe('The kind of check'),
        phase: z.enum(['ok', 'pending', 'firing']).describe('pending: it breaches, and not for long enough yet'),
        result: z.looseObject({
          subject: z.string().describe('The subject of the result: a view, a model or a feature'),
          state: z.enum(['ok', 'breach', 'unknown']).describe('The result of the check'),
          value: z.number().nullable().describe('The value that was compared with the threshold'),
          threshold: z.number().nullable().describe('The threshold'),
          n: z.number().nullable().describe('How many rows, requests or steps the value is of'),
          cause: z.string().nullable().describe('The likely cause; of an unknown result, why nothing is known'),
        }),
      }),
    )
    .describe('The newest result of each check and subject'),
}

export const monitorsAnswer = z.object({ monitors: z.array(z.object(monitorFields)), requestId })
export const monitorAnswer = z.object({ ...monitorFields, requestId })
