import { z } from 'zod'
import type { SinkSpec } from '../kernel/specs/sink-spec.ts'

const text = z.string().min(1).max(10_000)
const name = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/)

const sink = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('redis'),
    stream: text,
    field: text,
    maxLength: z.int().min(1).nullable(),
    windowSeconds: z.int().min(1),
  }),
  z.strictObject({ kind: z.literal('nats'), stream: text, subject: text }),
  z.strictObject({
    kind: z.literal('kafka'),
    stream: text,
    format: z.literal('avro').exactOptional(),
    transactions: z.literal(true).exactOptional(),
  }),
]) satisfies z.ZodType<SinkSpec>

/** Streaming inference: the messages of a source's stream, predicted by a model, written to a stream. */
export const pipelineSpec = z.strictObject({
  name,
  /** The source whose stream it reads, and to which it appends the events. */
  source: name,
  model: name,
  /** A version or an alias; null: each message is routed as a request is. */
  version: z.union([z.int().min(1), text]).nullable(),
  sink,
  /** For each field that the model's service needs, the member of a message that holds it. */
  entities: z.array(z.strictObject({ field: text, column: text })),
  /** The members of a message whose values are the key of its answer. */
  key: z.array(text).min(1),
  /** The consumer group. */
  group: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  /** Whether answers are kept in PostgreSQL, so that a message that comes again gets the same. */
  ledger: z.boolean(),
  /** How often a message is predicted that times out each time. Absent: 5 times. */
  tries: z.int().min(1).max(100).exactOptional(),
})
export type PipelineSpec = z.output<typeof pipelineSpec>
