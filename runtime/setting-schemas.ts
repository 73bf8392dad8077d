import { z } from 'zod'
import { parseKafkaUrl } from './kafka-url.ts'
import { parseRedisUrl } from './redis-url.ts'

// The values of settings. A message says what a value must be.

export function integer(min: number, max: number) {
  const allowed = `a whole number from ${min} to ${max}`
  return z.string().regex(/^\d+$/, allowed).transform(Number).pipe(z.number().min(min, allowed).max(max, allowed))
}

const encodedUser = 'a URL whose password has %2F for each "/", %3F for each "?" and %23 for each "#"'

export function url(protocols: readonly string[], example: string) {
  return z
    .string()
    .refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), `a URL such as ${example}`)
    .refine(hasWholeUser, encodedUser)
}

export const redisUrl = z
  .string()
  .refine(
    (text) => parseRedisUrl(text) !== null,
    'a URL such as redis://:password@host:6379, or for a cluster redis+cluster://:password@host:6379,host:6379',
  )
  .refine(hasWholeUser, encodedUser)

/** These characters end the host, so the rest of a password would be shown as a database. */
function hasWholeUser(text: string): boolean {
  const [, authority = '', rest = ''] = /^[a-z+]+:\/\/([^/?#]*)(.*)$/is.exec(text) ?? []
  return authority.includes('@') || !rest.includes('@')
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
