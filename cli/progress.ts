import { count, duration } from './human.ts'

/** Where progress goes: a terminal whose last line can be drawn anew, or a file or pipe. */
export interface ProgressTarget {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface Progress {
  /** @param total null where it is not known */
  update(done: number, total: number | null): void
  /** Takes the bar away. Call it however the work ended. */
  end(): void
}

export interface ProgressOptions {
  /** What is being done: `Ingesting flights`. */
  readonly label: string
  /** What is counted: `rows`. */
  readonly unit: string
  /** Epoch milliseconds. */
  readonly now?: () => number
}

const showAfterMs = 500
const redrawMs = 100
const firstLineMs = 1000
const lineMs = 5000

/**
 * Shows how far some work is. On a terminal one line is drawn again and again and taken away in the end; elsewhere a plain line is written now and then.
 * Work that is done at once shows nothing.
 */
export function createProgress(target: ProgressTarget, options: ProgressOptions): Progress {
  const now = options.now ?? Date.now
  const started = now()
  const tty = target.isTTY === true
  let next = started + (tty ? showAfterMs : firstLineMs)
  let drawn = false
  // the first rows may be long in coming, as from a sort: the rate is of what came since
  let first: { readonly time: number; readonly done: number } | null = null

  return {
    update(done, total) {
      const time = now()
      first ??= { time, done }
      if (time < next || time === first.time) return
      next = time + (tty ? redrawMs : lineMs)
      const text = progressText(options, done, total, ((done - first.done) / (time - first.time)) * 1000)
      target.write(tty ? `\r${clip(text, (target.columns ?? 80) - 1)}\u001B[K` : `${text}\n`)
      drawn = true
    },
    end() {
      if (drawn && tty) target.write('\r\u001B[K')
      next = Number.POSITIVE_INFINITY
    },
  }
}

/** `Ingesting flights [=====>    ] 54 %, 1,620,000 of 3,000,000 rows, 412,000 rows/s, 3.4 s left` */
export function progressText({ label, unit }: ProgressOptions, done: number, total: number | null, perSecond: number): string {
  const rate = `${count(perSecond)} ${unit}/s`
  if (total === null || total <= 0) return `${label}: ${count(done)} ${unit}, ${rate}`
  const share = Math.min(1, done / total)
  const left = perSecond > 0 ? `, ${duration(((total - done) / perSecond) * 1000)} left` : ''
  return `${label} ${bar(share)} ${Math.floor(share * 100)} %, ${count(done)} of ${count(total)} ${unit}, ${rate}${share < 1 ? left : ''}`
}

const barWidth = 20

function bar(share: number): string {
  const full = Math.floor(share * barWidth)
  return `[${'='.repeat(full)}${full < barWidth ? '>' : ''}${' '.repeat(Math.max(0, barWidth - full - 1))}]`
}

function clip(text: string, width: number): string {
  return text.length <= width ? text : text.slice(0, Math.max(0, width))
}
