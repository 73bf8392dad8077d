import { z } from 'zod'
import { parseKafkaUrl } from './kafka-url.ts'
import { parseRedisUrl } from './redis-url.ts'

// The values of settings. A message says what a value must be.

export function integer(min: number, max: number) {
  const allowed = `a whole number from ${min} to ${max}`
  return z.string().regex(/^\d+$/, allowed).transform(Number).pipe(z.number().min(min, allowed).max(max, allowed))
}

const encodedUser = 'a URL whose password has %2F for each "/", %3F for each "?", %23 for each "#" and %40 for each "@"'

export function url(protocols: readonly string[], example: string) {
  return z
    .string()
    .refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), `a URL such as ${example}`)
    .refine(hasWholeUser, encodedUser)
}

/** As in libpq, a parameter may name the host, behind a user: `postgres://user@/database?host=/run/postgresql`. */
export const postgresUrl = z
  .string()
  .transform((text) => text.replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)(?=[/?]|$)/, '$1localhost'))
  .refine((text) => !namesSeveralHosts(text), {
    error: 'a URL with one host; for a primary with standbys, an address that always leads to the primary',
    abort: true,
  })
  .pipe(url(['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/database'))
  .refine((text) => !/%(3f|23)/i.test(URL.parse(text)?.pathname ?? ''), 'a URL of a database without "?" and "#" in its name')

function namesSeveralHosts(text: string): boolean {
  const [, hosts = ''] = /^[a-z]+:\/\/(?:[^/?#]*@)?([^/?#@]*)/.exec(text) ?? []
  return hosts.includes(',') || URL.parse(text)?.searchParams.get('host')?.includes(',') === true
}

export const redisUrl = z
  .string()
  .refine(
    (text) => parseRedisUrl(text) !== null,
    'a URL such as redis://:password@host:6379, rediss://host:6379?ca=FILE&cert=FILE&key=FILE, or for a cluster redis+cluster://:password@host:6379,host:6379',
  )
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
