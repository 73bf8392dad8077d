/**
 * The figures of monitoring: how often its drift test alarms without drift, beside tests that take rows for independent
 * and beside Evidently's defaults; and how far quality without labels is from the truth.
 *
 *     npm run bench -- monitoring [--repeats 2000] [--rounds 400] [--faults NAME…] [--json]
 *
 * With LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL it also measures what rollups cost a prediction
 * (`monitoring/recording-cost.ts`), and injects faults into servers with virtual time, each in a database of its own.
 * `--faults` gives parts of the names of faults, and runs only these:
 *
 *     fault_alerts_missed   faults that no alert noticed in time with the right cause; 0
 *     fault_alerts_wrong    other alerts that fired, also in a healthy week; 0
 *     seconds_to_alert      virtual seconds from each fault to its alert
 *     healthy_hours         virtual hours of healthy traffic, and `healthy_seconds`, the real time that they took
 *
 * A ratio is the share of alarms over the nominal 5 %: 1 is calibrated. Large samples are repeated less often, within
 * the same number of rows. With --json the last line is one JSON document.
 */
import { parseArgs } from 'node:util'
import { loadConfig } from '../runtime/config.ts'
import { estimateErrors } from './monitoring/estimate-errors.ts'
import { type FalseAlarms, falseAlarms } from './monitoring/false-alarms.ts'
import { type MinuteAlarms, minuteAlarms } from './monitoring/minute-alarms.ts'
import { injectedFaults } from './monitoring/injected-faults.ts'
import { recordingCost } from './monitoring/recording-cost.ts'

const { values: args } = parseArgs({
  options: {
    repeats: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '400' },
    faults: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
  },
})
const repeats = Number(args.repeats)
if (!Number.isInteger(repeats) || repeats < 1000) throw new Error(`--repeats ${args.repeats}: 1000 or more, as fewer say little.`)

const { postgresUrl, redisUrl } = loadConfig()
const noticed = postgresUrl === null || redisUrl === null ? null : await injectedFaults(postgresUrl, redisUrl, args.faults, say)
if (noticed !== null)
  say(
    `faults: ${noticed.fault_alerts_missed} of ${Object.keys(noticed.seconds_to_alert).length} missed, ${noticed.fault_alerts_wrong} wrong alerts`,
  )
if (args.faults.length > 0) {
  if (args.json) process.stdout.write(`${JSON.stringify(noticed)}\n`)
  process.exit()
}
const cost = postgresUrl === null || redisUrl === null ? null : await recordingCost(postgresUrl, redisUrl, Number(args.rounds))
if (cost !== null)
  say(`rollups: ${cost.us_on} us per request with them, ${cost.us_off} and ${cost.us_control} without; ratio ${cost.ratio_cpu_on}`)

/** Rows that all repeats of one line may draw together. */
const maxRows = repeats * 110_000
const sizes = [
  [200, 200],
  [1000, 200],
  [1000, 1000],
  [10_000, 1000],
  [10_000, 10_000],
  [100_000, 10_000],
  [100_000, 100_000],
  [1_000_000, 100_000],
] as const

say('  baseline    window  rows/entity  repeats   drift test  independent  Evidently')
const table: FalseAlarms[] = []
for (const [baseline, window] of sizes) {
  for (const rowsPerEntity of [1, 3, 10]) {
    const line = falseAlarms(baseline, window, rowsPerEntity, Math.max(20, Math.min(repeats, Math.floor(maxRows / (baseline + window)))))
    table.push(line)
    const ratio = line.ratio === null ? 'too few' : line.ratio.toFixed(2)
    say(
      [baseline, window].map((rows) => rows.toLocaleString('en').padStart(10)).join('') +
        `${String(rowsPerEntity).padStart(13)}${String(line.repeats).padStart(9)}${ratio.padStart(13)}` +
        `${line.ratioIndependent.toFixed(2).padStart(13)}${`${(line.evidently * 100).toFixed(1)} %`.padStart(11)}`,
    )
  }
}
say('  baseline    window  minutes  rows/entity  repeats   drift test, as servers summarize')
const minutes: MinuteAlarms[] = []
for (const [baseline, window] of [
  [1000, 500],
  [10_000, 1000],
  [10_000, 10_000],
] as const) {
  for (const rowsPerEntity of [1, 5]) {
    const line = minuteAlarms(
      baseline,
      window,
      30,
      rowsPerEntity,
      Math.max(20, Math.min(repeats, Math.floor(maxRows / (baseline + window)))),
    )
    minutes.push(line)
    say(
      [baseline, window].map((rows) => rows.toLocaleString('en').padStart(10)).join('') +
        `${String(line.minutes).padStart(9)}${String(rowsPerEntity).padStart(13)}${String(line.repeats).padStart(9)}${(line.ratio?.toFixed(2) ?? 'too few').padStart(13)}`,
    )
  }
}
// a ratio over few repeats is mostly noise: those of 1,000 repeats have a standard error of 0.14
const known = [...table, ...minutes].flatMap(({ ratio, repeats: of }) => (ratio === null || of < 1000 ? [] : [ratio]))
const errors = estimateErrors(100_000)
const cbpe = Math.max(...errors.flatMap(({ accuracy, auc }) => [Math.abs(accuracy), Math.abs(auc)]))
say(
  `quality without labels: at most ${(cbpe * 100).toFixed(2)} points from the truth, over shifts of ${errors.map(({ shift }) => shift).join(', ')}`,
)
const figures = { false_alarm_ratio_min: Math.min(...known), false_alarm_ratio_max: Math.max(...known), cbpe_error_max: cbpe }
say(`calibrated: ${figures.false_alarm_ratio_min.toFixed(2)} to ${figures.false_alarm_ratio_max.toFixed(2)} times the nominal share`)
if (args.json) process.stdout.write(`${JSON.stringify({ ...cost, ...noticed, ...figures, table, minutes, errors })}\n`)

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
