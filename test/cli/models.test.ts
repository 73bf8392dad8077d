import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import type { Context } from '../../cli/context.ts'
import { createContext } from '../../cli/context.ts'
import { checkedOutCommit } from '../../cli/push-facts.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { messageOf } from '../../kernel/errors.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadConfig } from '../../runtime/config.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { splitModel } from '../inference/made-models.ts'
import { servingSet } from '../serving/definitions.ts'
import { onnx } from '../serving/fixtures.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'

let folder: string
let database: TestDatabase
let context: Context

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-models-'))
  database = await testDatabase()
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  context = createContext(config, createTerminal(true), new AbortController().signal)
  const db = openPostgres(database.url)
  await applyChanges(db, servingSet)
  await db.query(
    `insert into lockstep.datasets (id, service, fingerprint, path, manifest) values ('set-one', 'flight@1', 'other', '/data/one.parquet', '{"file":{},"otherFiles":[]}')`,
  )
  await db.close()
  for (const name of ['logistic', 'mlp', 'zipmap']) await writeFile(join(folder, `${name}.onnx`), await onnx(name))
})
afterAll(async () => {
  await context?.close()
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

/** Runs a command line in this process. */
const lockstep = async (...words: string[]): Promise<Outcome> => await (await prepare(words))(context)
const text = async (...words: string[]): Promise<string> => (await lockstep(...words)).text
const json = async (...words: string[]): Promise<unknown> => JSON.parse(JSON.stringify((await lockstep(...words)).json))
const refused = (code: string, message: string) => ({ code, message: expect.stringContaining(message) as string })

describe('the life of a model', () => {
  it('is pushed, promoted, rolled back and listed from the command line', async () => {
    await writeFile(join(folder, 'facts.json'), '{"team": "delays", "training": {"name": "weekly", "job": 7, "evaluation": {"rows": 48}}}')
    const facts = '--metric auc=0.71 --metric loss=0.2 --param depth=3 --param kind=trees --dataset set --git-commit abc123'.split(' ')
    const push = ['model', 'push', 'delay', join(folder, 'logistic.onnx'), ...facts, '--metadata', join(folder, 'facts.json')]
    await expect(lockstep(...push)).rejects.toMatchObject(refused('DATASET_MISMATCH', 'push it with --dataset-mismatch'))
    const first = await json(...push, '--dataset-mismatch')
    expect(first).toMatchObject({ version: 1, metrics: { auc: 0.71, loss: 0.2 }, params: { depth: 3, kind: 'trees' }, champion: null })
    expect(first).toMatchObject({
      dataset: 'set-one',
      gitCommit: 'abc123',
      metadata: { team: 'delays' },
      notes: [expect.stringContaining('set-one')],
    })

    const second = await text(
      'model',
      'push',
      'delay',
      join(folder, 'mlp.onnx'),
      '--alias',
      'challenger',
      '--metric',
      'auc=0.71234567890123456',
    )
    expect(second).toContain('The alias "challenger" of delay now points to version 2.')
    expect(second).toContain('delay@2 answers requests from now on, as delay has no champion.')
    expect(await json('report', 'delay')).toMatchObject({ champion: 2 })
    await expect(lockstep('model', 'promote', 'delay@1')).rejects.toMatchObject(refused('DATASET_MISMATCH', 'another definition'))
    const promoted = await text('model', 'promote', 'delay@1', '--reason', 'as agreed', '--dataset-mismatch')
    expect(promoted).toBe('The alias "champion" of delay now points to version 1; it was 2.')
    expect(await json('model', 'promote', 'delay@challenger')).toMatchObject({ from: 1, to: 2, changed: true })
    expect(await json('model', 'rollback', 'delay')).toMatchObject({ from: 2, to: 1 })
    expect(await text('model', 'push', 'delay', join(folder, 'mlp.onnx'))).toMatch(
      /^The file already is delay@2, pushed at .*\nVersion 1 stays the champion\. To serve this version: lockstep model promote delay@2$/m,
    )

    const shown = await text('model', 'show', 'delay')
    expect(shown).toContain('model         delay@1 (champion)\n')
    expect(shown).toMatch(/metrics +auc 0.71, loss 0.2\nparameters +depth 3, kind trees\ncommit +abc123\n/)
    expect(shown).toMatch(/^trained by +run 7 of the training weekly\nmetadata +team delays$/m)
    expect(await text('model', 'show', 'delay@2')).toMatch(/^metrics +auc 0\.7123$/m)
    expect(shown).toMatch(/training set +set-one, \/data\/one.parquet, with the features of another definition \(flight@1\)\n/)
    expect(await json('model', 'show', 'delay@2')).toMatchObject({
      metrics: { auc: 0.7123456789012346 },
      aliases: ['challenger'],
      lineage: {
        dataset: null,
        service: { id: 'flight@1', retired: false },
        views: [{ id: 'airport_delays@1', source: 'landings' }],
        onDemand: [{ id: 'flight_context@1' }],
        sources: [{ name: 'landings', relation: { kind: 'owned' }, eventTime: 'at' }],
      },
    })
    const listed = await text('model', 'list', 'delay')
    expect(listed).toMatch(/delay +1 +yes +champion +flight@1/)
    expect(listed).toContain('auc 0.71, loss 0.2  {"team":"delays","training":{"name":"weekly","job":7}}')
    expect(listed).toMatch(/delay +2 +challenger +flight@1 .* auc 0\.7123$/m)

    const pulled = join(folder, 'pulled.onnx')
    expect(await text('model', 'pull', 'delay', '--out', pulled)).toMatch(
      /^Wrote delay@1 to .*pulled\.onnx \(403 B\); sha256 [0-9a-f]{64}\.$/,
    )
    expect(await readFile(pulled)).toEqual(await onnx('logistic'))
    await expect(lockstep('model', 'pull', 'delay@2', '--out', pulled)).rejects.toMatchObject(refused('FILE_EXISTS', 'pulled.onnx'))
    expect(await json('model', 'pull', 'delay@challenger', '--out', pulled, '--overwrite')).toMatchObject({ version: 2, path: pulled })
    expect(await readFile(pulled)).toEqual(await onnx('mlp'))
    await expect(lockstep('model', 'pull', 'delay@9')).rejects.toMatchObject(refused('UNKNOWN_DEFINITION', 'has no version 9'))

    const history = await text('model', 'history', 'delay')
    expect(history.split('\n').filter((line) => / (push|promote|rollback) /.test(line))).toHaveLength(6)
    expect(history).toMatch(/promote +champion +2 +1 +\S+@\S+ +as agreed$/m)
    expect(await json('model', 'history', 'delay', '--limit', '1')).toMatchObject({ events: [{ action: 'rollback', from: 2, to: 1 }] })

    expect(await text('model', 'pin', 'delay@challenger', '--reason', 'fire')).toMatch(
      /^Pinned delay to version 2\. .*lockstep model unpin delay$/,
    )
    expect(await text('model', 'pin', 'delay@2')).toBe('delay is already pinned to version 2.')
    expect(await text('model', 'promote', 'delay@1')).toContain(
      'already points to version 1.\nThe model is pinned to version 2, which still answers',
    )
    expect(await text('model', 'list', 'delay')).toMatch(/delay +2 +pinned +challenger/)
    expect(await text('model', 'show', 'delay@1')).toMatch(/^pinned +the model is pinned to version 2$/m)
    expect(await text('model', 'unpin', 'delay')).toBe('Unpinned delay; it was pinned to version 2. Version 1 is the default again.')
    await expect(lockstep('model', 'unpin', 'delay')).rejects.toMatchObject(refused('NOT_PROMOTABLE', '"delay" is not pinned'))
    await expect(lockstep('model', 'pin', 'delay')).rejects.toMatchObject(refused('USAGE', 'does not name a version'))

    expect((await text('rollout', 'start', 'delay@2', '--share', '12.5%', '--unit', 'distance')).split('\n')).toEqual([
      'delay@2 gets 12.5 % of the requests without a version, by "distance".',
      expect.stringContaining('The candidate reads "airport_delays@1", which was never materialized'),
    ])
    expect(await text('model', 'list', 'delay')).toMatch(/delay +2 +12\.5 % +challenger/)
    expect(await text('rollout', 'share', 'delay', '0.2')).toContain('delay@2 gets 20 %')
    expect(await text('rollout', 'show', 'delay')).toMatch(
      /^candidate +delay@2\nstate +running\nshare +20 %, by "distance"\nsalt +[0-9a-f]{16}\n/,
    )
    expect(await text('rollout', 'abort', 'delay')).toContain('The rollout of delay@2 has ended.')
    const ended =
      /^candidate +delay@2\nstate +ended: aborted at .+ UTC by \S+@\S+\nnow +delay@1 answers all requests without a version\nlast share +20 %/
    expect(await text('rollout', 'show', 'delay')).toMatch(ended)
    await lockstep('rollout', 'start', 'delay@2', '--share', '100%')
    expect(await text('rollout', 'promote', 'delay')).toBe('delay@2 is the champion, and its rollout has ended.')
    expect(await json('model', 'rollback', 'delay')).toMatchObject({ from: 2, to: 1 })
    await expect(lockstep('rollout', 'start', 'delay@2', '--share', '120%')).rejects.toMatchObject(
      refused('USAGE', '"120%" is not a share'),
    )
    await expect(lockstep('rollout', 'start', 'delay@2')).rejects.toMatchObject(refused('USAGE', '--share 5%'))
    await expect(lockstep('rollout', 'share', 'delay', '5%')).rejects.toMatchObject(refused('UNKNOWN_DEFINITION', 'no running rollout'))

    await json('model', 'alias', 'delay', 'champion', '--remove')
    expect(await text('model', 'show', 'delay')).toContain('delay@2 (challenger)\n')
    expect(await json('model', 'list', 'delay')).toMatchObject({ versions: [{ default: false }, { default: true }] })
  })

  it('is deleted with its training set, including the files on request', async () => {
    const path = join(folder, 'one.parquet')
    const manifest = { id: 'set-two', path, file: { path, rows: 1, range: null }, otherFiles: [] }
    const forget = (...more: string[]) => lockstep('dataset', 'delete', 'set-two', ...more)
    const remember = async () =>
      await (
        await context.database()
      ).query(
        `insert into lockstep.datasets (id, service, fingerprint, path, manifest) values ('set-two', 'flight@1', 'other', '${path}', '${JSON.stringify(manifest)}')`,
      )
    await remember()
    for (const file of [path, `${path}.manifest.json`]) await writeFile(file, JSON.stringify(manifest))
    const push = [
      'model',
      'push',
      'delay',
      join(folder, 'logistic.onnx'),
      '--param',
      'last=1',
      '--dataset',
      'set-two',
      '--dataset-mismatch',
    ]
    await expect(json(...push)).resolves.toMatchObject({ created: false })
    expect((await forget()).text).toContain(`Its files were not deleted: ${path}`)
    await remember()
    await writeFile(`${path}.manifest.json`, '{"id":"set-three"}')
    await expect(forget('--files')).rejects.toMatchObject(refused('FILE_EXISTS', 'belongs to "set-three"'))
    await writeFile(`${path}.manifest.json`, JSON.stringify(manifest))
    expect((await forget('--files')).text).toContain(`Deleted ${path}.`)
    expect(await readdir(folder)).not.toEqual(expect.arrayContaining(['one.parquet']))
    await expect(lockstep('dataset', 'delete', 'set-one')).rejects.toMatchObject(refused('IN_USE', 'delay@1 was trained on it'))

    await expect(lockstep('model', 'delete', 'delay@2')).rejects.toMatchObject(refused('IN_USE', '"challenger"'))
    expect(await text('model', 'delete', 'delay@1', '--reason', 'over')).toMatch(/^Deleted delay@1 \(\d+ B\)\.$/)
    expect(await lockstep('prune', 'flight@1', 'typed@1', 'strict@1')).toMatchObject({
      exitCode: 1,
      text: expect.stringMatching(/^Kept the feature service flight@1: .*model "delay" version 2 need it\.\n/),
    })
    await expect(lockstep('prune')).rejects.toMatchObject(refused('USAGE', 'The argument NAME (the definitions to retire: a view'))
    expect(await lockstep('prune', 'noted@1', 'notes@1')).toMatchObject({
      exitCode: 0,
      text: 'Retired the feature service noted@1.\nRetired the on-demand view notes@1.',
    })
  })

  it('is refused for wrong usage, with the correct usage', async () => {
    const push = (file: string, ...more: string[]) => lockstep('model', 'push', 'delay', join(folder, file), ...more)
    await expect(push('mlp.onnx', '--metric', 'auc=high')).rejects.toMatchObject(refused('USAGE', 'auc=0.71'))
    await expect(push('mlp.onnx', '--param', 'a=1', '--param', 'a=2')).rejects.toMatchObject(refused('USAGE', '"a" twice'))
    await expect(push('mlp.onnx', '--metadata', '[1]')).rejects.toMatchObject(
      refused('FILE_UNREADABLE', 'neither a JSON object nor a file'),
    )
    await expect(push('mlp.onnx', '--dataset', 'none')).rejects.toMatchObject(refused('UNKNOWN_DEFINITION', 'no training set "none"'))
    const outside = await checkedOutCommit(folder).catch(messageOf)
    expect(outside).toMatch(
      /^The option "--git-commit" is "auto", but .*not a git repository.*Run .*, or give the commit \(--git-commit SHA\)\.$/,
    )
    await expect(push('zipmap.onnx')).rejects.toMatchObject(refused('MODEL_MISMATCH', '"output_probability" float32[N, 2]'))
    await expect(lockstep('model', 'promote', 'delay')).rejects.toMatchObject(refused('USAGE', '"delay@3"'))
    await expect(lockstep('model', 'promote', 'delay@1@2')).rejects.toMatchObject(refused('USAGE', 'delay@champion'))
    await expect(lockstep('model', 'alias', 'delay', 'champion')).rejects.toMatchObject(refused('USAGE', 'delay@3 champion'))
    await expect(lockstep('model', 'alias', 'delay@1', 'champion', '--remove')).rejects.toMatchObject(
      refused('USAGE', 'delay champion --remove'),
    )
    await expect(lockstep('model', 'rollback', 'delay')).rejects.toMatchObject(
      refused('UNKNOWN_DEFINITION', 'so its only version, 2, answers.'),
    )
  })

  it('is stored as one file with the values beside it, and its classes are named', async () => {
    const { bytes, weights } = splitModel()
    const [file, beside] = [join(folder, 'split.onnx'), join(folder, 'weights.bin')]
    await writeFile(file, bytes)
    await expect(lockstep('model', 'push', 'delay', file)).rejects.toMatchObject(refused('FILE_UNREADABLE', '"weights.bin"'))
    await writeFile(beside, weights)
    const pushed = await text('model', 'push', 'delay', file)
    expect(pushed).toContain('It is answered as the tensor of probabilities, in this order: on time, late')
    await rm(beside)
    await lockstep('model', 'pull', `delay@${/delay@(\d+)/.exec(pushed)?.[1]}`, '--out', join(folder, 'whole.onnx'))
    expect(await text('model', 'push', 'delay', join(folder, 'whole.onnx'))).toMatch(/^The file already is delay@/)
  })
})
