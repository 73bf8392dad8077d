import type { ApiKey, MadeKey } from '../../registry/keys/api-keys.ts'
import { moment } from './human.ts'

/** An API key as `--json` prints it, without the key itself. @param nowMs by the database's clock */
export function keyJson(key: ApiKey, nowMs: number) {
  return {
    id: key.id,
    name: key.name,
    scopes: key.scopes,
    state: keyState(key, nowMs),
    requestsPerSecond: key.requestsPerSecond,
    rowsPerSecond: key.rowsPerSecond,
    createdAt: key.createdAt.toISOString(),
    expiresAt: key.expiresAt?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
    replacedBy: key.replacedBy,
  }
}

export function madeKeyText({ text, key }: MadeKey): string {
  const until = key.expiresAt === null ? 'until it is revoked' : `until ${moment(key.expiresAt)} UTC`
  return `${text}\n\nThe key "${key.id}" is valid ${until}, for ${key.scopes.join(', ')}. It is shown only once: store it as a secret.`
}

/** @param nowMs by the database's clock */
export function keyState(key: ApiKey, nowMs: number): 'valid' | 'replaced' | 'expired' | 'revoked' {
  if (key.revokedAt !== null) return 'revoked'
  if (key.expiresAt !== null && key.expiresAt.getTime() <= nowMs) return 'expired'
  return key.replacedBy === null ? 'valid' : 'replaced'
}
