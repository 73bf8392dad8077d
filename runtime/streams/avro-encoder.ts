import type { AnswerShape } from './avro-answer.ts'
import { answerSchema, answerWriter } from './avro-answer.ts'
import type { SchemaRegistry } from './schema-registry.ts'

/** Makes Avro of the answers of a pipeline, as the serializers of a schema registry do. */
export interface AvroEncoder {
  /**
   * Whether the registry has the schema of the answers, or takes it.
   *
   * @throws LockstepError `CONFIG_INVALID`, `STREAM_UNAVAILABLE`
   */
  check(): Promise<void>
  /** A function that encodes an answer in JSON. @throws LockstepError as `check` does, the first time */
  encoder(): Promise<(json: string) => Buffer>
}

export function createAvroEncoder(registry: SchemaRegistry, subject: string, shape: AnswerShape): AvroEncoder {
  let encode: ((json: string) => Buffer) | null = null

  async function encoder(): Promise<(json: string) => Buffer> {
    if (encode !== null) return encode
    const head = Buffer.alloc(5)
    head.writeUInt32BE(await registry.register(subject, answerSchema(shape)), 1)
    const write = answerWriter(shape)
    encode = (json) => Buffer.concat([head, write(json)])
    return encode
  }

  return {
    async check() {
      await encoder()
    },
    encoder,
  }
}
