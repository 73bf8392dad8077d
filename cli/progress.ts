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

const redrawMs = 100
const lineMs = 5000

/**
 * Shows how far some work is. On a terminal one line is drawn again and again and taken away in the end; elsewhere a
 * plain line is written now and then, and none for what is done at once.
 */
export function createProgress(target: ProgressTarget, options: ProgressOptions): Progress {
  const now = options.now ?? Date.now
  const tty = target.isTTY === true
  const draw = (text: string) => target.write(`\r${text.slice(0, (target.columns ?? 80) - 1)}\u001B[K`)
  // the first rows may be long in coming, as from a sort: the rate is of what comes since
  let first: { readonly time: number; readonly done: number } | null = null
  let next = 0
  if (tty) draw(`${options.label} ...`)

  return {
    update(done, total) {
      const time = now()
      if (first === null) {
        first = { time, done }
        next = time + (tty ? redrawMs : 1000)
      }
      if (time < next) return
      next = time + (tty ? redrawMs : lineMs)
      const text = progressText(options, done, total, ((done - first.done) / (time - first.time)) * 1000)
      if (tty) draw(text)
      else target.write(`${text}\n`)
    },
    end() {
      if (tty) target.write('\r\u001B[K')
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
