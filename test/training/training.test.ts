import { randomUUID } from 'node:crypto'
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import { verifyDataset } from '../../offline/datasets/verify-dataset.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { listModelVersions } from '../../registry/models/model-versions.ts'
import { beginTraining } from '../../registry/trainings/begin-run.ts'
import { readTrainingRuns } from '../../registry/trainings/read-runs.ts'
import type { TrainingSpec } from '../../registry/trainings/training-spec.ts'
import { readAudit } from '../../runtime/audit.ts'
import { runText } from '../../cli/text/training-text.ts'
import { waitText } from '../../registry/trainings/training-text.ts'
import { cancelJob } from '../../runtime/jobs/end-job.ts'
import { constantModel, splitModel } from '../inference/made-models.ts'
import type { TrainingWorld } from './training-world.ts'
import { createTrainingWorld, daily, day, fitting, instant, now, unfit } from './training-world.ts'

const wait = { timeout: 60_000 }
let world: TrainingWorld
beforeAll(async () => {
  world = await createTrainingWorld()
})
afterAll(async () => await world?.close())

/** A trainer that copies a model, with a few bytes of its own so that each is another file. */
const copying = (model = fitting, report = '{"metrics": {"gain": 0.83}, "parameters": {"trees": 3}}') =>
  `cat '${model}' > "$3"; echo '${report}'`

const begin = async (name: string, at: number | null = instant) =>
  await beginTraining({ db: world.db, catalog: await loadCatalog(world.db), worker: 'test', by: { actor: 'ada' } }, name, at)

let runs = 0

/** Runs another training, which no schedule begins. */
async function run(change: Partial<TrainingSpec>) {
  const training: TrainingSpec = { ...daily, schedule: null, ...change, name: `${change.name}_${++runs}` }
  await world.declare(training)
  await begin(training.name)
  return await world.workUntil(() => world.ended(training.name))
}

describe('a training', () => {
  it('runs at its instant: set, trainer, version, champion, all of it recorded', async () => {
    process.env['LOCKSTEP_TEST_SECRET'] = 'hunter2'
    await world.install('train', `env | sort; head -n 2 "$1"; ls; ${copying()}`)
    await world.declare({ ...daily, deploy: 'promote', require: [{ metric: 'gain', atLeast: 0.8 }] })
    const made = await world.workUntil(() => world.ended('daily'))
    delete process.env['LOCKSTEP_TEST_SECRET']
    expect(made).toMatchObject({
      state: 'done',
      outcome: 'registered',
      at: '2001-07-09T04:00:00Z',
      from: '2001-07-03T04:00:00Z',
      split: '2001-07-06T04:00:00Z',
      to: '2001-07-08T04:00:00Z',
      rows: { train: 72, test: 48 },
      version: 1,
      known: false,
      metrics: { gain: 0.83 },
      parameters: { depth: 6, trees: 3 },
      decisions: [{ holds: true, text: 'gain is 0.83, which is at least 0.8' }],
      deployed: 'promoted version 1 to champion',
    })
    // the trainer knows what it is to do, and nothing of the worker
    const variables = made.log.split('\n').flatMap((line) => /^([A-Za-z_]+)=/.exec(line)?.[1] ?? [])
    const shells = ['PWD', 'OLDPWD', 'SHLVL', '_', 'LC_CTYPE']
    expect(
      variables.filter(
        (name) => !/^(TRAINING_|PATH$|HOME$|LANG$|LC_ALL$|LD_LIBRARY_PATH$|TMPDIR$|TZ$)/.test(name) && !shells.includes(name),
      ),
    ).toEqual([])
    expect(made.log).not.toContain('hunter2')
    expect(made.log).toContain('TRAINING_FEATURES=["lastDelay","landed1h","pressure"]')
    expect(made.log).toContain(
      'TRAINING_TYPES={"airport":"string","at":"timestamp","distance":"float64","late":"bool","lastDelay":"float64","landed1h":"int32","pressure":"float64"}',
    )
    expect(made.log).toContain('TRAINING_PARAMETERS={"depth":6}')
    expect(made.log).toContain('TRAINING_LABEL=late')
    expect(made.log).toContain(`TRAINING_DATASET=${made.dataset}`)
    expect(made.log).toMatch(/\nairport,at,distance,late,lastDelay,landed1h,pressure\r?\nA\d,2001-07-03/)

    const [version] = await listModelVersions(world.db, 'delay')
    expect(version).toMatchObject({ dataset: made.dataset, metrics: { gain: 0.83 }, params: { depth: 6, trees: 3 } })
    const catalog = await loadCatalog(world.db)
    expect(catalog.model('delay').aliases.get('champion')?.version).toBe(1)
    const { manifest } = await findDataset(world.db, made.dataset ?? '')
    const verdict = await verifyDataset(world.db, manifest, (id) => catalog.service(id), {})
    expect(verdict).toMatchObject({ equal: true, differences: [] })
    // its working folder is gone
    const own = join(world.folder, 'daily', made.dataset ?? '')
    expect((await readdir(own)).filter((name) => name.startsWith('work'))).toEqual([])
    expect((await stat(own)).mode & 0o777).toBe(0o700)
  })

  it('says which part it is at, with the rows', async () => {
    await world.install('train', copying())
    world.doings.splice(0)
    await run({ name: 'parts', deploy: 'promote' })
    const parts = world.doings.map(({ what }) => what).filter((what, i, all) => what !== all[i - 1])
    expect(parts).toEqual(['training set', 'features', 'training set', 'trainer', 'evaluation', 'registration', 'deployment'])
    expect(world.doings).toContainEqual({ what: 'training set', done: 120, total: 120 })
    expect(world.doings).toContainEqual({ what: 'trainer', done: 0, total: 0 })
    expect(world.doings).toContainEqual({ what: 'evaluation', done: 48, total: 48 })
  })

  it('is not run twice for an instant, and joins a run that is done', async () => {
    const joined = await begin('daily')
    expect(joined).toMatchObject({ joined: true, job: { state: 'done' } })
    expect(await readTrainingRuns(world.db, 'daily')).toHaveLength(1)
    await expect(begin('daily', Date.now() * 1000 + day)).rejects.toMatchObject({ code: 'INVALID_TIME' })
    await expect(begin('dayly')).rejects.toThrow('Did you mean "daily"')
  })

  it('gets the same version for the same file', async () => {
    const again = await run({ name: 'again' })
    expect(again).toMatchObject({ outcome: 'registered', version: 1, known: true, deployed: null })
  })

  it('judges a model with the values that its trainer wrote beside it', async () => {
    const { bytes, weights } = splitModel()
    const [file, beside] = [join(world.trainers, 'split.onnx'), join(world.trainers, 'weights.bin')]
    await writeFile(file, bytes)
    await writeFile(beside, weights)
    await world.install('split', `cp '${file}' "$3"; cp '${beside}' "$(dirname "$3")"`)
    // it is evaluated, so it has its values
    const made = await run({ name: 'split', trainer: 'split', require: [{ metric: 'auc', atLeast: 1 }] })
    expect(made).toMatchObject({ outcome: 'refused', decisions: [{ holds: false }] })
  })

  it('registers nothing if a requirement is not met, and says which', async () => {
    const require: TrainingSpec['require'] = [
      { metric: 'gain', atLeast: 0.9 },
      { metric: 'gain', atMost: 0.9 },
      { metric: 'gini', atLeast: 0.1 },
    ]
    await world.install('train', copying())
    const refused = await run({ name: 'refused', deploy: 'promote', require })
    expect(refused).toMatchObject({
      state: 'done',
      outcome: 'refused',
      version: null,
      deployed: null,
      rows: { train: 72, test: 48 },
      decisions: [
        { holds: false, text: 'gain is 0.83, and must be at least 0.9' },
        { holds: true, text: 'gain is 0.83, which is at most 0.9' },
        { holds: false, text: expect.stringMatching(/^gini is missing: its metrics are gain, .*brier/) as string },
      ],
    })
    expect(await listModelVersions(world.db, 'delay')).toHaveLength(1)
  })

  it('compares a version with the champion on the test rows, by its own figures', async () => {
    // a third of the labels is true; the score of a prediction is the squared distance
    const brier = (probability: number) => (1 - probability) ** 2 / 3 + (2 * probability ** 2) / 3
    const against: TrainingSpec['require'] = [
      { metric: 'brier', against: 'champion', worseByAtMost: 0.01 },
      { metric: 'brier', atMost: 0.3 },
    ]
    const trained = async (name: string, probability: number, require = against) => {
      await writeFile(join(world.folder, 'constant.onnx'), constantModel(probability))
      // what the trainer says of itself does not count where Lockstep measures it
      await world.install('train', copying(join(world.folder, 'constant.onnx'), '{"metrics": {"brier": 0.001}}'))
      return await run({ name, deploy: 'promote', require })
    }
    const champion = await trained('fair', 0.3, [])
    expect(champion.metrics['brier']).toBeCloseTo(brier(0.3), 6)
    const differs = 'The trainer reported brier 0.001, and Lockstep measured 0.2233 on the test rows. The version keeps 0.2233.'
    expect(champion.evaluation?.notes).toContain(differs)
    expect(runText(champion)).toContain(`note: ${differs}`)
    await world.install('train', copying(join(world.folder, 'constant.onnx'), '{"metrics": {"brier": 0.22333334}}'))
    expect((await run({ name: 'agrees' })).evaluation?.notes.join()).not.toContain('reported')
    const worse = await trained('worse', 0.9)
    expect(worse).toMatchObject({
      outcome: 'refused',
      evaluation: { output: 'probabilities', rows: 48, champion: champion.version },
      decisions: [
        { holds: false, text: `brier is 0.543333, and 0.223333 of the champion ${champion.version}, and must be at most 0.01 worse` },
        { holds: false, text: 'brier is 0.543333, and must be at most 0.3' },
      ],
    })
    expect(worse.evaluation?.differences['brier']?.value).toBeCloseTo(brier(0.9) - brier(0.3), 6)
    expect(await trained('close', 0.35)).toMatchObject({ outcome: 'registered', decisions: [{ holds: true }, { holds: true }] })
    const better = await trained('better', 0.33)
    expect(better).toMatchObject({ outcome: 'registered', deployed: `promoted version ${better.version} to champion` })
    const missing = await trained('missing', 0.33, [{ metric: 'gini', against: 'champion', worseByAtMost: 0 }])
    expect(missing.decisions[0]?.text).toMatch(/^gini cannot be compared with the champion: auc, .* can$/)
  })

  it.each<readonly [string, string, string, RegExp]>([
    ['exits with a code', 'echo it is bad >&2; exit 3', 'TRAINER_FAILED', /exited with 3\. Its last line: it is bad/],
    [
      'throws in Node',
      String.raw`printf 'file:///a.js:4\nx.y()\n  ^\n\nTypeError: x is odd\n    at a.js:4:3\n\nNode.js v24.1.0\n' >&2; exit 1`,
      'TRAINER_FAILED',
      /exited with 1\. Its error: TypeError: x is odd$/,
    ],
    [
      'throws a text in Node',
      String.raw`printf "a.js:1\nthrow 'it is odd'\n^\nit is odd\n(Use a flag)\n\nNode.js v24.1.0\n" >&2; exit 1`,
      'TRAINER_FAILED',
      /exited with 1\. Its error: it is odd$/,
    ],
    ['is ended by a signal', 'kill -9 $$', 'TRAINER_FAILED', /ended by the signal 9/],
    ['writes no model', 'echo done', 'TRAINER_FAILED', /wrote no model to its third argument/],
    ['writes what is no model', 'echo nonsense > "$3"', 'MODEL_INVALID', /model\.onnx/],
    ['writes a model of other inputs', copying(unfit), 'MODEL_MISMATCH', /delay/],
    ['reports NaN', copying(fitting, '{"metrics": {"gain": NaN}}'), 'TRAINER_FAILED', /NaN and Infinity are not JSON/],
    ['reports a text', copying(fitting, '{"metrics": {"gain": "0.8"}}'), 'TRAINER_FAILED', /the metric "gain", which is no finite number/],
    ['reports 1e999', copying(fitting, '{"metrics": {"gain": 1e999}}'), 'TRAINER_FAILED', /the metric "gain", which is no finite number/],
    ['reports NUL', copying(fitting, String.raw`{"parameters": {"a": "\\u0000"}}`), 'TRAINER_FAILED', /a text with NUL/],
    ['writes a FIFO', 'mkfifo "$3"', 'TRAINER_FAILED', /wrote no model .*"model\.onnx" is not a regular file/],
    ['writes too much', 'truncate -s 1000000001 "$3"', 'TRAINER_FAILED', /has 1000000001 bytes, and a model may have at most 1000000000/],
    ['changes its rows', `head -n 3 "$2" > t; cat t > "$2"; ${copying()}`, 'TRAINER_FAILED', /changed "set\.test\.csv", which it may only/],
    ['reports something else', copying(fitting, '{"auc": 0.8}'), 'TRAINER_FAILED', /reported "auc" in the last line/],
  ])('fails at once if its trainer %s', async (_, script, code, message) => {
    const registered = (await listModelVersions(world.db, 'delay')).length
    await world.install('train', `echo seen; ${script}`)
    const failed = await run({ name: 'failing', deploy: 'promote', schedule: null })
    expect(failed).toMatchObject({
      state: 'failed',
      outcome: null,
      version: null,
      error: { code, message: expect.stringMatching(message) as string },
    })
    expect(failed.log).toContain('seen')
    expect((await findDataset(world.db, failed.dataset ?? '')).rows).toBe(120)
    expect(await listModelVersions(world.db, 'delay')).toHaveLength(registered)
  })

  it('keeps a log of any bytes, as far as it can be stored', async () => {
    // the cut at the limit halves a character
    const faces = `yes '😀😀😀' | tr -d '\\n' | head -c 200000; echo x`
    await world.install('train', `${faces}; printf 'a\\000b\\377\\n'; ${copying()}`)
    const made = await run({ name: 'binary' })
    expect(made).toMatchObject({ outcome: 'registered', log: expect.stringContaining('a\uFFFDb\uFFFD\n') as string })
    await world.install('train', `printf 'a\\000b\\n' >&2; exit 1`)
    expect((await run({ name: 'binary' })).error?.message).toContain('Its last line: a\uFFFDb')
  })

  it('ends when its trainer has ended, though a process that left its group holds the output', async () => {
    const said = join(world.folder, 'left')
    await world.install(
      'train',
      `setsid sh -c 'echo $$ > "${said}"; exec sleep 600' & until [ -s '${said}' ]; do sleep 0.1; done; ${copying()}`,
    )
    try {
      expect(await run({ name: 'daemon' })).toMatchObject({ outcome: 'registered' })
    } finally {
      process.kill(Number(await readFile(said, 'utf8')), 'SIGKILL')
    }
  })

  it('registers a version whose label is text, with a note, as no figures are required', async () => {
    await world.install('train', copying())
    const sql = daily.spine.sql.replace('late from', `case when late then 'late' else 'on time' end as late from`)
    const made = await run({ name: 'texts', spine: { sql } })
    expect(made).toMatchObject({ outcome: 'registered', metrics: { gain: 0.83 } })
    expect(made.evaluation?.notes.join('\n')).toMatch(
      /The version cannot be judged by the label: .*"(on time|late)", which is not a number/,
    )
    const refused = await run({ name: 'texts', spine: { sql }, require: [{ metric: 'auc', atLeast: 0.1 }] })
    expect(refused).toMatchObject({ outcome: 'refused', decisions: [{ holds: false }] })
  })

  it('fails at once if its parameters are too long for a variable', async () => {
    await world.install('train', copying())
    const failed = await run({ name: 'long', parameters: { text: 'x'.repeat(200_000) } })
    expect(failed.error).toMatchObject({
      code: 'TRAINER_FAILED',
      message: expect.stringContaining('Its longest variable, "TRAINING_PARAMETERS", has 200011 characters') as string,
    })
  })

  it.each<readonly [string, Partial<TrainingSpec>, RegExp]>([
    ['rows to train on', { windowMicros: day, testMicros: day - 1 }, /no rows to train on, from 2001-07-07T04:00:00Z to/],
    ['rows to test on', { testMicros: 1 }, /no rows to test on, from 2001-07-08T03:59:59.999999Z to 2001-07-08T04:00:00Z/],
    [
      'only rows of its interval',
      { spine: { sql: `select airport, at, distance, late from spine where '{from}' < '{to}'` } },
      /has rows outside of its interval, from 2001-07-03T04:00:00Z to 2001-07-08T04:00:00Z, such as one at 2001-07-01T00:30:00Z\. Write where "at" >=/,
    ],
    [
      'only rows before the end of its interval',
      {
        spine: {
          sql: `select airport, at - interval '30 minutes' as at, distance, late from spine where at >= '{from}' and at < timestamptz '{to}' + interval '1 hour'`,
        },
      },
      /such as one at 2001-07-08T04:00:00Z/,
    ],
    ['its label', { label: 'fraud' }, /has no column "fraud", which is its label\. It has "airport", "at", "distance", "late"\./],
  ])('fails and registers no set if its spine has not %s', async (_, change, message) => {
    await world.install('train', copying())
    const failed = await run({ name: 'empty', ...change })
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'SPINE_INVALID', message: expect.stringMatching(message) as string } })
    const sets = await world.db.query(`select id from lockstep.datasets where path like '%/${failed.training}/%'`)
    expect([failed.dataset, sets]).toEqual([null, []])
  })

  it('ends a trainer that takes too long, with all its processes', async () => {
    await world.install('train', `sleep 600 & echo "child $!"; wait`)
    const failed = await run({ name: 'slow', timeoutMicros: 5_000_000 })
    expect(failed).toMatchObject({
      state: 'failed',
      error: { code: 'TRAINER_FAILED', message: expect.stringContaining('did not end within 5s') as string },
    })
    await isGone(Number(/child (\d+)/.exec(failed.log)?.[1]))
  })

  it('ends the processes of its trainer when it is cancelled, also those that ignore SIGTERM', async () => {
    const said = join(world.folder, 'pids')
    await world.install('train', `trap '' TERM; sleep 600 & echo "$$ $!" > '${said}.new'; mv '${said}.new' '${said}'; wait`)
    await world.declare({ ...daily, name: 'cancelled', schedule: null })
    const { job } = await begin('cancelled')
    const pids = await world.workUntil(async () => {
      const found = await readFile(said, 'utf8').catch(() => null)
      // what it is at is written down at once
      if (found !== null)
        expect((await readTrainingRuns(world.db, 'cancelled'))[0]).toMatchObject({ doing: { what: 'trainer', done: 0, total: 0 } })
      if (found !== null) await cancelJob(world.db, job.id, { actor: 'ada' })
      return found
    })
    for (const pid of pids.trim().split(' ')) await isGone(Number(pid))
    expect((await readTrainingRuns(world.db, 'cancelled'))[0]).toMatchObject({ state: 'cancelled', doing: null, version: null })
    // and the same instant can be asked for again
    await world.install('train', copying())
    expect(await begin('cancelled')).toMatchObject({ joined: false, job: { id: job.id, state: 'running' } })
    expect(await world.workUntil(() => world.ended('cancelled'))).toMatchObject({ outcome: 'registered', version: 1 })
  })

  it('keeps the newest training sets and those of versions, and deletes the others with their files', async () => {
    await world.declare({ ...daily, name: 'kept', schedule: null, require: [{ metric: 'gain', atLeast: 0.8 }] })
    const own = join(world.trainers, 'own.onnx')
    await writeFile(own, constantModel(0.4))
    const sets: (string | null)[] = []
    for (const [n, gain] of [0.9, 0.1, 0.2, 0.3].entries()) {
      await world.install('train', copying(own, `{"metrics": {"gain": ${gain}}}`))
      await begin('kept', instant + n)
      sets.push((await world.workUntil(() => world.ended('kept'), now, { keepSets: 2 })).dataset)
    }
    const [ofVersion, deleted, older, newest] = sets.map(String)
    expect(new Set(await readdir(join(world.folder, 'kept')))).toEqual(new Set([ofVersion, older, newest]))
    await expect(findDataset(world.db, deleted ?? '')).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
    expect((await findDataset(world.db, ofVersion ?? '')).rows).toBe(120)
    const [audited] = await readAudit(world.db, { limit: 1, what: 'dataset.delete' })
    expect(audited).toMatchObject({ actor: 'training kept', subject: deleted, reason: '2 training sets are kept' })
  })

  it('deletes the files of ended runs that have registered no set, and no others', async () => {
    await world.declare({ ...daily, name: 'unmade', schedule: null })
    const files = join(world.folder, 'unmade')
    await world.install('train', 'exit 1')
    await begin('unmade')
    await world.workUntil(() => world.ended('unmade'))
    const [unmade = ''] = await readdir(files)
    // as if the run had failed while it wrote the set
    await world.db.query('delete from lockstep.datasets where id = $1', [unmade])
    const ofOther = randomUUID()
    await mkdir(join(files, ofOther))
    await world.install('train', copying())
    await begin('unmade', instant + 1)
    const { dataset } = await world.workUntil(() => world.ended('unmade'))
    expect(new Set(await readdir(files))).toEqual(new Set([ofOther, dataset]))
  })

  it('is retried once if two ask for it at the same time', async () => {
    await world.install('train', 'exit 1')
    const { job } = await run({ name: 'retried' })
    const name = `retried_${runs}`
    const beginner = { db: world.db, catalog: await loadCatalog(world.db), worker: 'test', by: { actor: 'ada' } }
    const both = await Promise.all([1, 2].map(async () => await beginTraining(beginner, name, instant)))
    expect(both.map((begun) => begun.job.id)).toEqual([job, job])
    expect(new Set(both.map(({ joined }) => joined))).toEqual(new Set([false, true]))
    await world.workUntil(() => world.ended(name))
  })

  it('waits for a worker that has its trainer, and says so', async () => {
    await world.declare({ ...daily, name: 'nobody', trainer: 'absent', schedule: null }, { ...daily, name: 'busy', schedule: null })
    await begin('nobody')
    await world.install('train', copying())
    await begin('busy')
    await world.workUntil(() => world.ended('busy'))
    expect(await readTrainingRuns(world.db, 'nobody')).toMatchObject([{ state: 'waiting', trainer: 'absent', workers: [], from: null }])
    await expect(begin('nobody', instant - day)).rejects.toMatchObject({ code: 'IN_USE' })
    expect(await begin('nobody', null)).toMatchObject({ joined: true })
    await world.install('absent', copying())
    expect(await world.workUntil(() => world.ended('nobody'))).toMatchObject({ outcome: 'registered' })
  })

  it('that waits for another attempt says what the last one failed with', async () => {
    await world.install('train', copying())
    await world.declare({ ...daily, name: 'again', schedule: null })
    await begin('again')
    const waiting = await world.workUntil(
      async () => {
        const [found] = await readTrainingRuns(world.db, 'again')
        return found?.error === null ? null : found
      },
      now,
      { catalog: () => Promise.reject(new LockstepError('POSTGRES_UNAVAILABLE', 'PostgreSQL is down.')) },
    )
    expect(waiting).toMatchObject({ state: 'waiting', error: { code: 'POSTGRES_UNAVAILABLE' } })
    expect(waitText(waiting)).toBe('Its last attempt failed, and a worker will try again: PostgreSQL is down.')
    await cancelJob(world.db, waiting.job, { actor: 'ada' })
  })

  it('begins no second run for an instant, nor beside one that waits, when its trainer changes', async () => {
    await world.install('train', copying())
    await world.declare({ ...daily, name: 'changed', trainer: 'old' })
    await world.declare({ ...daily, name: 'changed', trainer: 'old' }, { ...daily, name: 'beside' })
    await world.workUntil(() => world.ended('beside'))
    // it waits for its trainer under the name of before
    await world.declare({ ...daily, name: 'changed' }, { ...daily, name: 'after' })
    await world.workUntil(() => world.ended('after'), now + day)
    expect(await readTrainingRuns(world.db, 'changed')).toMatchObject([{ state: 'waiting', trainer: 'old' }])
    await world.install('old', copying())
    await world.workUntil(() => world.ended('changed'), now)
    await world.declare({ ...daily, name: 'changed' }, { ...daily, name: 'last' })
    await world.workUntil(() => world.ended('last'))
    expect(await readTrainingRuns(world.db, 'changed')).toMatchObject([{ state: 'done', at: '2001-07-09T04:00:00Z' }])
    // the next instant is of the new one
    await world.workUntil(async () => ((await readTrainingRuns(world.db, 'changed')).length > 1 ? world.ended('changed') : null), now + day)
    expect((await readTrainingRuns(world.db, 'changed'))[0]).toMatchObject({ trainer: 'train', at: '2001-07-10T04:00:00Z' })
  })

  it('begins once for the newest instant that was missed', async () => {
    await world.declare({ ...daily, name: 'missed' })
    await world.workUntil(() => world.ended('missed'), now + 3 * day)
    expect((await readTrainingRuns(world.db, 'missed')).map(({ at }) => at)).toEqual(['2001-07-12T04:00:00Z'])
  })
})

async function isGone(pid: number): Promise<void> {
  expect(pid).toBeGreaterThan(0)
  await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'), wait)
}
