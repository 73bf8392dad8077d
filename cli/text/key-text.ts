import type { ApiKey, MadeKey } from '../../registry/keys/api-keys.ts'
import { moment } from './human.ts'

/** An API key as `--json` prints it, without the key itself. */
export function keyJson(key: ApiKey) {
  return {
    id: key.id,
    name: key.name,
    scopes: key.scopes,
    state: keyState(key),
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

export function keyState(key: ApiKey): 'valid' | 'replaced' | 'expired' | 'revoked' {
  if (key.revokedAt !== null) return 'revoked'
  if (key.expiresAt !== null && key.expiresAt.getTime() <= Date.now()) return 'expired'
  return key.replacedBy === null ? 'valid' : 'replaced'
}
