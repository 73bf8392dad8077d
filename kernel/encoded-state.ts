import type { Accumulator, Aggregate } from './aggregates/aggregate.ts'
import type { StateParts } from './answer.ts'
import { answerAt } from './answer.ts'
import type { ByteReader } from './binary.ts'
import type { LatestRow } from './latest-rows.ts'
import { decodeLatest } from './latest-rows.ts'
import type { ViewValues } from './state.ts'
import type { StatePlan } from './state-plan.ts'
import type { ChainPlan, WindowPlan } from './tile-chain.ts'
import { tileBase } from './tile-chain.ts'
import { floorTo } from './time.ts'
import { bodyFlags, endOfBody, historyNeeded } from './view-state.ts'

/**
 * What `ViewState.decode(…).valueAt(t)` answers, straight from the bytes: a server asks each state once, so its tiles go into the windows as they are read, and no
 * state that could take rows is made. The parts are decoded, and the features read from them, by the same code; `test/kernel/view-state.test.ts` holds the two against
 * each other.
 *
 * @returns null where rows are pending, which only a state can take
 */
export function encodedValueAt(plan: StatePlan, reader: ByteReader, highWater: number, t: number): ViewValues | null {
  const flags = reader.byte()
  if ((flags & bodyFlags.pending) !== 0) return null
  if (t < highWater) throw historyNeeded(plan, highWater, t)
  if ((flags & bodyFlags.folded) === 0) {
    endOfBody(plan, reader)
    return answerAt(
      plan,
      new EncodedParts(
        Number.NEGATIVE_INFINITY,
        [],
        plan.lifetime.map(made),
        plan.chains.map(({ windows, lanes }) => windows.map((window) => window.lanes.map((lane) => made(lanes[lane] as Aggregate)))),
      ),
      t,
      null,
    )
  }
  const { lastEvent, rows } = decodeLatest(plan.latest, reader, (flags & bodyFlags.far) === 0 ? highWater : 0)
  const lifetime = plan.lifetime.length === 0 ? none : plan.lifetime.map((aggregate) => aggregate.decode(reader))
  const windows = plan.chains.length === 0 ? none : plan.chains.map((chain) => readWindows(chain, reader, highWater, t))
  endOfBody(plan, reader)
  return answerAt(plan, new EncodedParts(lastEvent, rows, lifetime, windows), t, null)
}

const none: never[] = []

/** By index of the chain's windows, then of the window's lanes. */
type Windows = readonly (readonly Accumulator[])[]

class EncodedParts implements StateParts {
  readonly lastEvent: number
  readonly rows: readonly (LatestRow | null)[]
  readonly lifetime: readonly Accumulator[]
  readonly #windows: readonly Windows[]

  constructor(lastEvent: number, rows: readonly (LatestRow | null)[], lifetime: readonly Accumulator[], windows: readonly Windows[]) {
    this.lastEvent = lastEvent
    this.rows = rows
    this.lifetime = lifetime
    this.#windows = windows
  }

  windowAt(chain: number, window: number): readonly Accumulator[] {
    return this.#windows[chain]?.[window] ?? none
  }
}

function made(aggregate: Aggregate): Accumulator {
  return aggregate.create()
}

/**
 * Merges each tile, as it is read, into the windows that reach back to it. A state's tiles hold no row after its high-water mark, so nothing ends at `t`. The first tile of a
 * window becomes its accumulator, unless it is another one's already.
 */
function readWindows({ hops, lanes, windows }: ChainPlan, reader: ByteReader, highWater: number, t: number): Windows {
  const merged = new Array<(Accumulator | undefined)[]>(windows.length)
  const tails = new Array<number>(windows.length)
  for (let w = 0; w < windows.length; w++) {
    const { windowMicros, level, lanes: read } = windows[w] as WindowPlan
    tails[w] = floorTo(t - windowMicros, hops[level] as number)
    merged[w] = new Array<Accumulator | undefined>(read.length).fill(undefined)
  }
  for (let level = 0; level < hops.length; level++) {
    const hop = hops[level] as number
    let index = tileBase(highWater, hop)
    for (let left = reader.uint(); left > 0; left--) {
      index += reader.int()
      const start = index * hop
      for (let l = 0; l < lanes.length; l++) {
        const aggregate = lanes[l] as Aggregate
        const tile = aggregate.decode(reader)
        let free = true
        for (let w = 0; w < windows.length; w++) {
          const window = windows[w] as WindowPlan
          if (window.level < level || start < (tails[w] as number)) continue
          const lane = window.lanes.indexOf(l)
          if (lane < 0) continue
          const into = merged[w] as (Accumulator | undefined)[]
          const present = into[lane]
          if (present !== undefined) {
            present.merge(tile)
          } else if (free) {
            into[lane] = tile
            free = false
          } else {
            const copy = aggregate.create()
            copy.merge(tile)
            into[lane] = copy
          }
        }
      }
    }
  }
  for (let w = 0; w < windows.length; w++) {
    const into = merged[w] as (Accumulator | undefined)[]
    for (let lane = 0; lane < into.length; lane++) into[lane] ??= made(lanes[(windows[w] as WindowPlan).lanes[lane] as number] as Aggregate)
  }
  return merged as Accumulator[][]
}
