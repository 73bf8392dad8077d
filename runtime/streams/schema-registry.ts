import { z } from 'zod'
import { LockstepError, messageOf, withoutStop } from '../../kernel/errors.ts'

const answerTimeoutMs = 5_000
/** How long a schema counts as missing before the registry is asked again. */
const missingMs = 10_000
const maxReferences = 100

/** A schema as it is registered. */
export interface RegisteredSchema {
  /** JSON. */
  readonly schema: string
  /** The schemas that it refers to, each after those that it refers to itself. */
  readonly references: readonly string[]
}

/** A schema registry with the HTTP interface of Confluent's. It keeps what it has read. */
export interface SchemaRegistry {
  /** The host and port, for errors. */
  readonly server: string
  /**
   * @returns null: the registry has no such schema
   * @throws LockstepError `STREAM_UNAVAILABLE`; `INVALID_EVENT` for a schema that is not of Avro
   */
  schema(id: number): Promise<RegisteredSchema | null>
  /**
   * Registers a schema. Where the user may not, it has to be there already.
   *
   * @returns its number
   * @throws LockstepError `CONFIG_INVALID` if the registry does not take it, `STREAM_UNAVAILABLE`
   */
  register(subject: string, schema: object): Promise<number>
}

const answer = z.object({
  schema: z.string(),
  schemaType: z.string().nullish(),
  references: z.array(z.object({ subject: z.string(), version: z.number() })).nullish(),
})
type Answer = z.output<typeof answer>
const registered = z.object({ id: z.number() })

interface Refusal {
  readonly refused: number
  readonly message: string
}

/** `user:password` of a registry's URL; null: it is no URL, or a "%" in them does not start an encoded character. */
export function registryUser(url: string): string | null {
  try {
    const { username, password } = new URL(url)
    return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  } catch {
    return null
  }
}

/**
 * @param url with user and password, if the registry asks for them
 * @param token a bearer token; null: none
 */
export function openSchemaRegistry(url: string, token: string | null): SchemaRegistry {
  const base = new URL(url)
  const { host: server, username } = base
  const user = registryUser(url) ?? ''
  const authorization = token !== null ? `Bearer ${token}` : username === '' ? null : `Basic ${Buffer.from(user).toString('base64')}`
  const root = `${base.origin}${base.pathname.replace(/\/$/, '')}`
  const known = new Map<number, Promise<RegisteredSchema | null>>()

  function unavailable(why: string, cause?: unknown): LockstepError {
    const message = `The schema registry at "${server}" cannot be read: ${why}. Check LOCKSTEP_SCHEMA_REGISTRY_URL, and that the registry runs.`
    return new LockstepError('STREAM_UNAVAILABLE', message, { cause })
  }

  /** @param expected what it may refuse with */
  async function ask<T>(path: string, type: z.ZodType<T>, expected: readonly number[], send?: object): Promise<T | Refusal> {
    let status: number
    let body: unknown
    try {
      const media = { accept: 'application/vnd.schemaregistry.v1+json, application/json', 'content-type': 'application/json' }
      const response = await fetch(`${root}${path}`, {
        headers: { ...media, ...(authorization === null ? {} : { authorization }) },
        signal: AbortSignal.timeout(answerTimeoutMs),
        ...(send === undefined ? {} : { method: 'POST', body: JSON.stringify(send) }),
      })
      ;({ status } = response)
      body = await response.json().catch(() => null)
    } catch (cause) {
      throw unavailable(cause instanceof Error && cause.cause !== undefined ? messageOf(cause.cause) : messageOf(cause), cause)
    }
    // another 404 is of a server that is no registry
    const refusal = z.object({ error_code: z.number(), message: z.string().default('') }).safeParse(body).data
    if (refusal !== undefined && expected.includes(status)) return { refused: status, message: refusal.message }
    if (status === 401 || status === 403)
      throw unavailable(
        `it refuses the user or the token (${status}); correct the user and the password in LOCKSTEP_SCHEMA_REGISTRY_URL, or LOCKSTEP_SCHEMA_REGISTRY_TOKEN`,
      )
    if (status !== 200) throw unavailable(`it answers ${status}`)
    const { data } = type.safeParse(body)
    if (data === undefined) throw unavailable('its answer is not that of a schema registry')
    return data
  }

  /** @returns null: there is nothing at this path */
  async function read(path: string): Promise<Answer | null> {
    const found = await ask(path, answer, [404])
    return 'refused' in found ? null : found
  }

  async function fetchSchema(id: number): Promise<RegisteredSchema | null> {
    const found = await read(`/schemas/ids/${id}`)
    if (found === null) return null
    const type = found.schemaType ?? 'AVRO'
    if (type !== 'AVRO')
      throw new LockstepError(
        'INVALID_EVENT',
        `The schema ${id} of the schema registry at "${server}" is of the type ${type}; only Avro can be read.`,
        { details: { reason: 'not_avro', schemaId: id } },
      )
    const references: string[] = []
    await readReferences(found, new Set(), references)
    return { schema: found.schema, references }
  }

  async function readReferences({ references }: Answer, seen: Set<string>, into: string[]): Promise<void> {
    for (const { subject, version } of references ?? []) {
      const name = `${subject}/versions/${version}`
      if (seen.has(name)) continue
      if (seen.size >= maxReferences) throw unavailable(`a schema refers to more than ${maxReferences} others`)
      seen.add(name)
      const found = await read(`/subjects/${encodeURIComponent(subject)}/versions/${version}`)
      if (found === null) throw unavailable(`version ${version} of "${subject}", to which a schema refers, is missing`)
      await readReferences(found, seen, into)
      into.push(found.schema)
    }
  }

  return {
    server,
    async register(subject, schema) {
      const body = { schema: JSON.stringify(schema) }
      const path = `/subjects/${encodeURIComponent(subject)}`
      let found = await ask(`${path}/versions`, registered, [403, 409, 422], body)
      if ('refused' in found && found.refused === 403) found = await ask(path, registered, [404], body)
      if (!('refused' in found)) return found.id
      const why =
        found.refused === 404
          ? `it is not there, and the user may not register it. Register it: ${body.schema}`
          : `${withoutStop(found.message)}. Correct the compatibility of the subject, or write to another topic.`
      throw new LockstepError('CONFIG_INVALID', `The schema registry at "${server}" does not take the schema of "${subject}": ${why}`)
    },
    schema(id) {
      const before = known.get(id)
      if (before !== undefined) return before
      const reading = fetchSchema(id)
      known.set(id, reading)
      const forget = (): void => void known.delete(id)
      reading.then((found) => found === null && void setTimeout(forget, missingMs).unref(), forget)
      return reading
    },
  }
}
