import type { LogShares } from '../../runtime/log-shares.ts'

/** Which requests are logged. Their id decides, so all servers choose the same ones. */
export interface Sampling {
  takes(model: string, requestId: string): boolean
}

export function createSampling({ share, models }: LogShares): Sampling {
  return {
    takes(model, requestId) {
      const wanted = models.get(model) ?? share
      return wanted >= 1 || (wanted > 0 && fractionOf(requestId) < wanted)
    },
  }
}

/**
 * An evenly distributed number in [0, 1): FNV-1a with the finalizer of MurmurHash3, because ids may differ only at
 * their end.
 */
function fractionOf(id: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
