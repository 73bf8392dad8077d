/**
 * The benches, by name. Each prints its figures beside a floor measured in the same run.
 *
 *     npm run bench -- batch       batch inference of 1,000,000 and 3,000,000 rows, beside a training set of the same rows
 *     npm run bench -- bulk        answers of 1 to 1,000 rows: by row, by column, as Arrow, for Feast
 *     npm run bench -- dashboard   what five open pages of the dashboard cost predictions, and how fast pages are
 *     npm run bench -- feast       features of 1 and 100 rows, beside Feast's own server
 *     npm run bench -- online      reading 52 features of 1,000,000 customers from Redis, and materializing them
 *     npm run bench -- monitoring  false alarms of the drift test, quality without labels, injected faults
 *     npm run bench -- overload    three times the load that a server can take
 *     npm run bench -- path        ingest, export and materialize 3,000,000 flights
 *     npm run bench -- point-in-time   the join with a spine of 1,000,000 rows, and its peers
 *     npm run bench -- profile     a CPU profile of the predict path
 *     npm run bench -- push        from the push of an event until it is online, at 500 events/s
 *     npm run bench -- quality     judging 10,000,000 logged predictions by their outcomes
 *     npm run bench -- rollout     what a rollout and a shadow cost, 2,000 changes under load, statistics of experiments
 *     npm run bench -- serving     features and predictions over HTTP at 64 connections
 *     npm run bench -- streaming   a pipeline over a Redis Stream, beside reading the stream alone
 *     npm run bench -- tracing     what tracing costs at a sample of 1 %
 *     npm run bench -- windows     what the windows of each aggregate cost
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const benches = [
  'batch',
  'bulk',
  'dashboard',
  'feast',
  'monitoring',
  'online',
  'overload',
  'path',
  'point-in-time',
  'profile',
  'push',
  'quality',
  'rollout',
  'serving',
  'streaming',
  'tracing',
  'windows',
]
const [name, ...rest] = process.argv.slice(2)
if (name === undefined || !benches.includes(name)) {
  process.stderr.write(`Usage: npm run bench -- ${benches.join(' | ')} [OPTIONS]\n`)
  process.exitCode = 2
} else {
  process.exitCode = spawnSync(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...rest], { stdio: 'inherit' }).status ?? 1
}
