import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { copyHeader, copyPieces, copyTrailer } from '../../runtime/postgres/copy-pieces.ts'
import { createTupleScanner } from '../../runtime/postgres/tuple-scanner.ts'
import { fieldsOf, int, tupleOf } from './tuples.ts'

const field = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null })
const tuples = fc.array(fc.array(field, { maxLength: 4 }), { maxLength: 12 })

function message(type: string, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(type), int(4, payload.length + 4), payload])
}

/** Cuts bytes at the given places. */
function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end))
}

function plain(rows: readonly (readonly (Uint8Array | null)[])[]): (string | null)[][] {
  return rows.map((row) => row.map((value) => (value === null ? null : Buffer.from(value).toString('hex'))))
}

describe('the tuple scanner', () => {
  it('finds every complete tuple of a COPY, for any chunk boundaries', () => {
    fc.assert(
      fc.property(tuples, fc.array(fc.nat(5_000), { maxLength: 30 }), fc.boolean(), (rows, places, headerAlone) => {
        const scanner = createTupleScanner(0x64, new Set([0x48, 0x4e, 0x63]))
        const tail = [...rows.map(tupleOf), copyTrailer]
        const payloads = headerAlone ? [copyHeader, ...tail] : [Buffer.concat([copyHeader, ...tail.slice(0, 1)]), ...tail.slice(1)]
        const wire = Buffer.concat([
          message('H', Buffer.alloc(3)),
          ...payloads.flatMap((payload, i) =>
            i % 3 === 2 ? [message('N', Buffer.alloc(i)), message('d', payload)] : [message('d', payload)],
          ),
          message('c', Buffer.alloc(0)),
        ])
        const rest = Buffer.concat([message('C', Buffer.from('COPY 1\0')), message('Z', Buffer.from('I'))])
        const found: (Buffer | null)[][] = []
        for (const chunk of cutAt(wire, places)) {
          const scan = scanner.push(chunk)
          expect(scan.rest).toBe(null)
          found.push(...fieldsOf(scan.batch))
        }
        expect(plain(found)).toEqual(plain(rows))
        expect(scanner.push(rest).rest).toEqual(rest)
      }),
    )
  })

  it('gives the tuples before a foreign message, and all bytes from it on', () => {
    const scanner = createTupleScanner(0x44, new Set())
    const error = message('E', Buffer.from('Mbroken\0\0'))
    const { batch, rest } = scanner.push(Buffer.concat([message('D', tupleOf([Buffer.from('x')])), error, error]))
    expect(plain(fieldsOf(batch))).toEqual([['78']])
    expect(rest).toEqual(Buffer.concat([error, error]))
  })

  it('joins a tuple of many chunks once, not again with each', () => {
    const scanner = createTupleScanner(0x64, new Set())
    const wide = message('d', tupleOf([Buffer.alloc(64 * 1024 * 1024, 7)]))
    const before = process.threadCpuUsage()
    const found = cutAt(
      wide,
      Array.from({ length: 8_000 }, (_, i) => i * 8_192),
    ).flatMap((chunk) => fieldsOf(scanner.push(chunk).batch))
    expect(found.map(([value]) => value?.length)).toEqual([64 * 1024 * 1024])
    const { user, system } = process.threadCpuUsage(before)
    expect((user + system) / 1000).toBeLessThan(2_000)
  })
})

describe('the pieces of a COPY', () => {
  async function pieces(chunks: readonly Uint8Array[], pieceBytes: number) {
    async function* source() {
      yield* chunks
    }
    const found = []
    for await (const { binary, bytes } of copyPieces(source(), pieceBytes)) found.push({ binary, bytes: Buffer.from(bytes) })
    return found
  }

  it('are all complete tuples in order, for any chunk boundaries', async () => {
    await fc.assert(
      fc.asyncProperty(
        tuples,
        fc.array(fc.nat(5_000), { maxLength: 30 }),
        fc.integer({ min: 1, max: 200 }),
        fc.boolean(),
        async (rows, places, size, trailer) => {
          const bytes = Buffer.concat([copyHeader, ...rows.map(tupleOf), ...(trailer ? [copyTrailer] : [])])
          const found = await pieces(cutAt(bytes, places), size + 19)
          expect(found.every((piece) => piece.binary)).toBe(true)
          const starts = found.flatMap((piece) => {
            const at: { bytes: Buffer; start: number }[] = []
            for (
              let start = 0;
              start < piece.bytes.length;
              start += tupleOf(fieldsOf({ bytes: piece.bytes, starts: [start] })[0] ?? []).length
            ) {
              at.push({ bytes: piece.bytes, start })
            }
            return at
          })
          expect(plain(starts.flatMap(({ bytes: of, start }) => fieldsOf({ bytes: of, starts: [start] })))).toEqual(plain(rows))
        },
      ),
    )
  })

  it('keep a tuple that ends like a trailer', async () => {
    const tuple = tupleOf([Buffer.from([1, 0xff, 0xff])])
    expect(await pieces([Buffer.concat([copyHeader, tuple])], 1_000)).toEqual([{ binary: true, bytes: tuple }])
    expect(await pieces([Buffer.concat([copyHeader, tuple, copyTrailer])], 1_000)).toEqual([{ binary: true, bytes: tuple }])
  })

  it('are a single piece if the format is text', async () => {
    const text = Buffer.from('1\ta\n'.repeat(1_000))
    expect(await pieces(cutAt(text, [7, 70, 700]), 100)).toEqual([{ binary: false, bytes: text }])
    expect(await pieces([], 100)).toEqual([{ binary: false, bytes: Buffer.alloc(0) }])
  })
})
