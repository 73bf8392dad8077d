import type { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { LatencyHistogram } from '../rollups/latency-histogram.ts'

/** Groups of units. A unit is in one of them at random. */
const unitGroups = 64
/** The last group has the requests that no rollout routed, such as those that name the version. */
const unrouted = unitGroups

/** The times of answered requests, by group of the unit: requests of one unit often take equally long. */
export class TimesByUnit {
  readonly #groups: (LatencyHistogram | undefined)[] = new Array<undefined>(unitGroups + 1).fill(undefined)

  /** @param place of the unit, in [0, 1); absent: the rollout did not route the request */
  observe(ms: number, place?: number): void {
    this.#of(place === undefined ? unrouted : groupAt(place)).observe(ms)
  }

  /** Adds times whose units are not known. */
  add(times: LatencyHistogram): void {
    this.#of(unrouted).merge(times)
  }

  merge(other: TimesByUnit): void {
    for (const [g, times] of other.#groups.entries()) if (times !== undefined) this.#of(g).merge(times)
  }

  total(): LatencyHistogram {
    const total = new LatencyHistogram()
    for (const times of this.#groups) if (times !== undefined) total.merge(times)
    return total
  }

  /** By group of units, of those that the rollout routed. */
  byGroup(): readonly LatencyHistogram[] {
    return this.#groups.slice(0, unitGroups).filter((times) => times !== undefined)
  }

  encode(writer: ByteWriter): void {
    const used = [...this.#groups.entries()].flatMap(([g, times]) => (times === undefined ? [] : [[g, times] as const]))
    writer.uint(used.length)
    for (const [g, times] of used) {
      writer.uint(g)
      times.encode(writer)
    }
  }

  static decode(reader: ByteReader): TimesByUnit {
    const times = new TimesByUnit()
    for (let left = reader.uint(); left > 0; left--) times.#of(reader.uint()).mergeEncoded(reader)
    return times
  }

  #of(group: number): LatencyHistogram {
    return (this.#groups[group] ??= new LatencyHistogram())
  }
}

/** The last bits of the place, which a share of all units does not depend on. */
function groupAt(place: number): number {
  return Math.floor(place * 2 ** 53) % unitGroups
}
