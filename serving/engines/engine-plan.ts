import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { jsonOrNull } from '../../kernel/json-or-null.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import type { PartitionLayout } from '../../offline/partition/partition-layout.ts'
import { partitionLayout } from '../../offline/partition/partition-layout.ts'
import type { PartitionOptions } from '../../offline/partition/fold-partition.ts'
import { compileDefinitions } from '../../registry/compile-definitions.ts'
import type { ModelOperational } from '../../registry/load/definition-set.ts'
import type { Definition } from '../../registry/definition.ts'
import { definitionKey } from '../../registry/definition.ts'
import type { ModelBinding } from '../../registry/models/model-binding.ts'
import { bindModel } from '../../registry/models/model-binding.ts'
import type { ModelContract } from '../../registry/models/model-contract.ts'
import { sha256 } from '../../registry/sha256.ts'
import { createTransformGuard, offlineGuard } from '../../registry/transform-guard.ts'
import { verifiedCode } from '../../registry/verified-code.ts'
import { readVersion } from '../../runtime/version.ts'

/**
 * Everything that a process needs to compute the features of a service, and the predictions of a model, without a
 * database. The file has a line of JSON that describes the rest, a line of JSON, and the bytes of the model.
 */
export interface EnginePlan {
  readonly service: ServicePlan
  readonly layout: PartitionLayout
  readonly rule: PartitionOptions
  readonly model: PlannedModel | null
}

interface PlannedModel {
  /** `delay@3` */
  readonly name: string
  readonly binding: ModelBinding
  readonly operational: ModelOperational
  readonly bytes: Uint8Array
}

/** The second line of the file. */
export interface PlanBody {
  readonly service: { readonly id: string; readonly fingerprint: string }
  /** The service and all that it refers to. */
  readonly definitions: readonly Definition[]
  /** By hash. */
  readonly code: Readonly<Record<string, string>>
  readonly rule: PartitionOptions
  readonly model: {
    readonly name: string
    readonly spec: Extract<Definition, { kind: 'model' }>['spec']
    readonly operational: ModelOperational
    readonly contract: ModelContract
    readonly sha256: string
    readonly bytes: number
  } | null
}

const format = 1
const headSchema = z.object({ lockstepPlan: z.number(), lockstep: z.string(), bytes: z.number(), sha256: z.string() })

/** The bytes of a plan file. */
export function planBytes(body: PlanBody, model: Uint8Array | null): Uint8Array {
  const { layout, service } = compiled(body, 'the new plan')
  const text = JSON.stringify({ ...body, layout: layoutJson(layout, service) })
  const head = { lockstepPlan: format, lockstep: readVersion(), bytes: Buffer.byteLength(text), sha256: sha256(text) }
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n${text}\n`), model ?? new Uint8Array(0)])
}

/**
 * Opens a plan file, and checks that it is complete, that nobody has changed it, and that this version of the program
 * wrote it.
 *
 * @throws LockstepError `FILE_UNREADABLE`, `VERSION_MISMATCH`, `CODE_HASH_MISMATCH`, and why the service is broken
 */
export async function openPlan(path: string): Promise<EnginePlan> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : messageOf(cause)
    throw unreadable(path, why, cause, 'Name a file that "lockstep export-plan" has written.')
  })
  const headEnd = bytes.indexOf('\n')
  const head = headSchema.safeParse(jsonOrNull(Buffer.from(bytes.subarray(0, Math.max(0, headEnd))).toString()))
  if (!head.success) throw unreadable(path, 'it is not a plan')
  if (head.data.lockstepPlan !== format || head.data.lockstep !== readVersion()) {
    throw new LockstepError(
      'VERSION_MISMATCH',
      `The plan "${path}" is of Lockstep ${head.data.lockstep}, but this is ${readVersion()}. Export the plan with the version that reads it.`,
      { details: { path, plan: head.data.lockstep, program: readVersion() } },
    )
  }
  const end = headEnd + 1 + head.data.bytes
  const text = bytes.toString('utf8', headEnd + 1, end)
  if (sha256(text) !== head.data.sha256) throw unreadable(path, 'it is damaged or was changed: its SHA-256 differs')
  const body = jsonOrNull(text) as PlanBody // only exportPlan writes text of this hash
  return { ...compiled(body, `the plan "${path}"`), rule: body.rule, model: modelOf(path, body, bytes.subarray(end + 1)) }
}

function compiled({ definitions, code, service: { id }, model }: PlanBody, what: string): Pick<EnginePlan, 'service' | 'layout'> {
  const { services, broken } = compileDefinitions(
    definitions,
    verifiedCode(new Map(Object.entries(code))),
    createTransformGuard(offlineGuard).load,
  )
  const [error] = broken.values()
  if (error !== undefined) throw error
  const found = definitions.find((each) => each.kind === 'service' && `${each.name}@${each.version}` === id)
  const service = services.get(id as ServicePlan['id'])
  if (found === undefined || service === undefined)
    throw new LockstepError('INTERNAL', `${what} lacks ${found === undefined ? id : definitionKey(found)}.`)
  return { service, layout: partitionLayout(service, model === null ? [] : outputsOf(service, model)) }
}

function outputsOf(service: ServicePlan, { contract, spec }: NonNullable<PlanBody['model']>): readonly Column[] {
  return bindModel(service, contract, spec).outputs.map(({ name, type }) => ({ name, type }))
}

function modelOf(path: string, body: PlanBody, bytes: Uint8Array): PlannedModel | null {
  const { model } = body
  if (model === null) return null
  if (bytes.length !== model.bytes || sha256(bytes) !== model.sha256) {
    throw new LockstepError(
      'CODE_HASH_MISMATCH',
      `The bytes of the model "${model.name}" in the plan "${path}" do not match their SHA-256; they are not run. Export the plan again.`,
      { details: { path, model: model.name } },
    )
  }
  const { service } = compiled(body, `the plan "${path}"`)
  return { name: model.name, binding: bindModel(service, model.contract, model.spec), operational: model.operational, bytes }
}

/** The part of a plan for drivers in other languages: names, types and the place of each row. */
function layoutJson({ passes, finish }: PartitionLayout, service: ServicePlan): object {
  return {
    request: service.request,
    passes: passes.map(({ pass, streams, input, output }) => ({
      key: pass.key,
      mappings: pass.mappings.map(({ columns, asked }) => ({ columns, uses: asked.map(({ use }) => use) })),
      streams: streams.map(({ source, key, columns, delivered }) => ({
        source: source.name,
        key: key.map(({ name }) => name),
        eventTime: source.eventTime,
        known: source.known,
        columns,
        delivered,
      })),
      input,
      output,
    })),
    finish,
  }
}

function unreadable(path: string, why: string, cause?: unknown, advice = 'Export it again with "lockstep export-plan".'): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The plan "${path}" cannot be read: ${why}. ${advice}`, {
    cause,
    details: { path },
  })
}
