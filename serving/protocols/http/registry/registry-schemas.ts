import { z } from 'zod'
import { isRecord } from '../../../../kernel/is-record.ts'
import type { PlanJson } from '../../../../registry/changes/change-plan.ts'
import { kindOrder } from '../../../../registry/definition.ts'
import { reasonSchema } from '../request/change-schemas.ts'
import { requestId } from '../response/response-schemas.ts'

/** What the routes of the registry take and answer. */

const view = z.templateLiteral([z.string(), '@', z.int()])

/** Only a command of the same version reads a plan, so its main parts are checked. */
const plan = z
  .custom<PlanJson>((json) => isRecord(json) && Array.isArray(json['changes']) && Array.isArray(json['problems']))
  .meta({
    type: 'object',
    additionalProperties: true,
    description:
      'What "apply" would change, as "lockstep plan --json" prints it. Its "problems" are why "apply" would refuse the definitions',
  })

const removals = z.array(z.object({ view: view.describe('The view'), removed: z.int().describe('Deleted keys so far') }))

export const planAnswer = z.object({ plan, requestId })
export const applyAnswer = z.object({
  changed: z.boolean().describe('Whether anything was written'),
  revision: z.int().describe("The registry's revision afterwards"),
  inForce: z.boolean().describe('Whether this server serves that revision already'),
  plan,
  removed: removals.describe('Retired views whose states are deleted'),
  removing: removals.describe('Retired views whose states a worker goes on deleting'),
  foreign: z.array(view).describe('Views of another database in the same store, which stay'),
  requestId,
})

const named = {
  kind: z.enum(kindOrder).describe('The kind of definition'),
  name: z.string().describe('Its name'),
  version: z.int().describe('Its version; 0: its kind has none'),
  label: z.string().describe('Name and version'),
}
export const pruneAnswer = z.object({
  pruned: z.array(z.object(named)).describe('The retired definitions'),
  kept: z
    .array(z.object({ ...named, neededBy: z.array(z.string()).describe('The definitions that need it') }))
    .describe('The definitions that stay, because others need them'),
  online: z.array(view).describe('Retired views whose states are deleted from the online store'),
  removed: removals.describe('Retired views whose states are deleted'),
  removing: removals.describe('Retired views whose states a worker goes on deleting'),
  foreign: z.array(view).describe('Views of another database in the same store, which stay'),
  revision: z.int().describe("The registry's revision afterwards"),
  requestId,
})

const definitions = z
  .looseObject({ lockstep: z.string().describe('The version of Lockstep that compiled them') })
  .describe('Compiled definitions, as "lockstep plan FILE --server URL" sends them')
const prune = z.boolean().optional().describe('Retire definitions that were not sent and that nothing needs')
const breakModels = z.boolean().optional().describe('Apply the definitions even if served model versions no longer fit them')

export const planBody = z.strictObject({ definitions, prune, breakModels })
export const applyBody = planBody.extend({ reason: reasonSchema })
export const pruneBody = z.strictObject({
  names: z
    .array(z.string().min(1))
    .min(1)
    .max(10_000)
    .describe('The definitions: a view, on-demand view or service with its version, or a source, entity or model'),
  dryRun: z.boolean().optional().describe('Answers what would be retired, and retires nothing'),
  reason: reasonSchema,
})

export const auditAnswer = z.object({
  records: z.array(
    z.object({
      id: z.int().describe('Its id'),
      at: z.string().describe('When, RFC 3339'),
      actor: z.string().describe('The id of an API key, "http" if the server has no keys, or user@host'),
      actorName: z.string().nullable().describe('The name of the key'),
      action: z.string().describe('The action'),
      subject: z.string().describe('The definition, key or other thing that was changed'),
      before: z.unknown().describe('The state before'),
      after: z.unknown().describe('The state after'),
      reason: z.string().nullable().describe('The reason, if one was given'),
      requestId: z.string().nullable().describe('The id of the request that did it'),
    }),
  ),
  next: z.int().nullable().describe('Send it as `before` to read the next page; null: there are no more records'),
  requestId,
})
