import { hashText } from '../../kernel/values/hash-text.ts'
import type { LogShares } from '../../runtime/settings/log-shares.ts'
import { loggedShare } from '../../runtime/settings/log-shares.ts'

/** Which requests are logged. Their id decides, so all servers choose the same ones. */
export interface Sampling {
  takes(model: string, requestId: string): boolean
}

export function createSampling(shares: LogShares): Sampling {
  return {
    takes(model, requestId) {
      const wanted = loggedShare(shares, model)
      return wanted >= 1 || (wanted > 0 && fractionOf(requestId) < wanted)
    },
  }
}

/** An evenly distributed number in [0, 1). */
function fractionOf(id: string): number {
  return (hashText(id) >>> 0) / 2 ** 32
}
