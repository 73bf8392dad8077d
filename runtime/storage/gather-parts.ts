/** The size of all parts but the last. Stores ask for at least 5 MiB (S3), and a multiple of 256 KiB (Google). */
const partBytes = 8 * 2 ** 20
/** S3 takes 10,000 parts, so that later ones must be larger: 1,000 of 8 MiB, then 1,000 of 16 MiB, and so on. */
const partsOfOneSize = 1000

export interface GatheredParts {
  /** Takes bytes. It waits while as many parts as allowed are on their way. */
  write(bytes: Uint8Array): Promise<void>
  /**
   * Waits for all parts. The bytes that are left are sent as the last part, unless there was no other part.
   *
   * @returns the bytes that were not sent
   */
  end(): Promise<Uint8Array>
  /** Waits until no part is on its way, whether it succeeded or not. */
  settled(): Promise<void>
}

/**
 * Makes parts of a fixed size from bytes of any length.
 *
 * @param send sends one part; several run at once
 * @param atOnce how many parts may be on their way
 */
export function gatherParts(send: (part: Uint8Array, number: number) => Promise<void>, atOnce: number): GatheredParts {
  let buffered: Uint8Array[] = []
  let length = 0
  let sent = 0
  const sending = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | null = null

  function refuseAfterFailure(): void {
    if (failure !== null) throw failure.error
  }

  const sizeOfNext = (): number => partBytes * (1 + Math.floor(sent / partsOfOneSize))

  async function begin(part: Uint8Array): Promise<void> {
    while (sending.size >= atOnce) await Promise.race(sending)
    refuseAfterFailure()
    sent++
    const running = send(part, sent)
      .catch((error: unknown) => {
        failure ??= { error }
      })
      .finally(() => sending.delete(running))
    sending.add(running)
    // the first part begins the upload, which the others need
    if (sent === 1) await running
    refuseAfterFailure()
  }

  return {
    async write(bytes) {
      refuseAfterFailure()
      // the caller may use its bytes again
      buffered.push(bytes.slice())
      length += bytes.length
      while (length >= sizeOfNext()) {
        const size = sizeOfNext()
        const all = buffered.length === 1 ? (buffered[0] as Uint8Array) : Buffer.concat(buffered, length)
        buffered = [all.subarray(size)]
        length -= size
        await begin(all.subarray(0, size))
      }
    },
    async end() {
      const rest = Buffer.concat(buffered, length)
      if (sent === 0) return rest
      if (rest.length > 0) await begin(rest)
      await Promise.all(sending)
      refuseAfterFailure()
      return new Uint8Array(0)
    },
    async settled() {
      await Promise.all(sending)
    },
  }
}
