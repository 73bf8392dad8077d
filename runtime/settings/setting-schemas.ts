import { z } from 'zod'
import { parseKafkaUrl } from './kafka-url.ts'
import { splitHosts } from '../postgres/postgres-target.ts'
import { redisUrlProblem } from '../redis/redis-url.ts'

// The values of settings. A message says what a value must be.

export function integer(min: number, max: number) {
  const allowed = `a whole number from ${min} to ${max}`
  return z.string().regex(/^\d+$/, allowed).transform(Number).pipe(z.number().min(min, allowed).max(max, allowed))
}

export function oneOf<const Values extends readonly string[]>(...values: Values) {
  return z.enum(values, `one of ${values.join(', ')}`)
}

/** A text that `parse` reads; it returns null for what is not valid. */
export function parsedBy<T>(parse: (text: string) => T | null, allowed: string) {
  return z.string().transform((text, context) => {
    const value = parse(text)
    if (value !== null) return value
    context.addIssue({ code: 'custom', message: allowed })
    return z.NEVER
  })
}

const encodedUser = 'a URL whose password has %2F for each "/", %3F for each "?", %23 for each "#" and %40 for each "@"'

export function url(protocols: readonly string[], example: string) {
  return z
    .string()
    .refine((text) => isUrl(text, protocols), `a URL such as ${example}`)
    .refine(hasWholeUser, encodedUser)
}

/** An address to listen on. IPv6 may be in brackets, as in a URL. */
export const address = z.string().transform((text) => text.replace(/^\[(.*)\]$/, '$1'))

function isUrl(text: string, protocols: readonly string[]): boolean {
  return URL.canParse(text) && protocols.includes(new URL(text).protocol)
}

/** As in libpq, a parameter may name the host, behind a user: `postgres://user@/database?host=/run/postgresql`. */
export const postgresUrl = z
  .string()
  .transform((text) => text.replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)(?=[/?]|$)/, '$1localhost'))
  .refine((text) => !namesHostsInParameter(text), {
    error: 'a URL that names its servers before the database: postgres://user:password@host:5432,host:5432/database',
    abort: true,
  })
  .refine(
    (text) =>
      splitHosts(text).every((each, _, { length }) => isUrl(each, postgresProtocols) && (length === 1 || URL.parse(each)?.host !== '')),
    'a URL such as postgres://user:password@host:5432/database',
  )
  .refine(hasWholeUser, encodedUser)
  .refine(
    (text) => !/%(3f|23)/i.test(URL.parse(splitHosts(text)[0] ?? '')?.pathname ?? ''),
    'a URL of a database without "?" and "#" in its name',
  )

const postgresProtocols = ['postgres:', 'postgresql:']

/** A parameter may name one server, in place of the host. */
function namesHostsInParameter(text: string): boolean {
  const [first = '', ...others] = splitHosts(text)
  const parameters = URL.parse(first)?.searchParams
  if (others.length > 0) return parameters?.has('host') === true || parameters?.has('port') === true
  return parameters?.get('host')?.includes(',') === true
}

export const redisUrl = z
  .string()
  .superRefine((text, context) => {
    const message = redisUrlProblem(text)
    if (message !== null) context.addIssue({ code: 'custom', message })
  })
  .refine(hasWholeUser, encodedUser)

/** These characters end the host, so parts of a password would be shown as a host or a database. */
function hasWholeUser(text: string): boolean {
  const [, rest = ''] = /^[a-z+]+:\/\/[^/?#]*(.*)$/is.exec(text) ?? []
  return !rest.includes('@')
}

export const kafkaUrl = z
  .string()
  .refine(
    (text) => parseKafkaUrl(text) !== null,
    'a URL such as kafka://host:9092,host:9092, or with TLS and a user kafkas://user:password@host:9092?sasl=scram-sha-512',
  )

export const webOrigins = z
  .string()
  .transform((text) => text.split(',').map((origin) => origin.trim()))
  .refine((origins) => origins.every(isOrigin), 'origins such as https://app.example, separated by commas, or *')

function isOrigin(text: string): boolean {
  return text === '*' || (URL.canParse(text) && new URL(text).origin === text)
}
