import { execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelOperational } from '../../registry/load/definition-set.ts'
import { createLogger } from '../../runtime/log.ts'
import { createSubprocessSession } from '../../inference/subprocess-session.ts'
import { openInlineSession } from '../../inference/inline-session.ts'
import type { Prediction } from '../../inference/load-model.ts'
import { loadedModel } from '../../inference/load-model.ts'
import type { OpenModel } from '../../inference/open-model.ts'
import { openModel } from '../../inference/open-model.ts'
import type { ModelProcess } from '../../inference/model-process.ts'
import { startModelProcess } from '../../inference/model-process.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import type { ModelMetadata } from '../../inference/check-feeds.ts'
import { trialEnds } from '../../inference/require-finished-trial.ts'
import { initializeOrt } from '../../inference/initialize-ort.ts'
import { programFile } from '../cli/run-lockstep.ts'
import { onnx } from '../serving/fixtures.ts'
import { until } from '../serving/gate.ts'
import { bindTo } from '../serving/load.ts'
import { unlessSlow } from '../unless-slow.ts'
import { centeringModel, chainModel, endlessLongRows, endlessModel, failingModel, pairingModel, treeModel } from './made-models.ts'

const pool = createProcessPool()
const score = [{ name: 'score', type: { kind: 'float32' } }] as const
const longRow = [{ name: 'out', type: { kind: 'vector', length: 2 } }] as const
const forEver = [0, 0, 4e18] as const
beforeAll(() => initializeOrt())
afterAll(() => pool.close())

async function open(
  bytes: Uint8Array,
  model: string,
  operational: ModelOperational = {},
  output?: typeof score,
  onEnd: (why: string) => void = () => undefined,
  onRun: (rows: number) => void = () => undefined,
): Promise<OpenModel> {
  const binding = bindTo(await metadataOf(bytes), 'flight', model, output)
  return await openModel(async () => bytes, {
    binding,
    name: model,
    operational,
    pool,
    log: createLogger('silent'),
    onRun,
    onWait: () => undefined,
    onLookups: () => undefined,
    onEnd,
  })
}

async function metadataOf(bytes: Uint8Array): Promise<ModelMetadata> {
  const session = await openInlineSession(bytes, 'model')
  await session.release()
  return session.metadata
}

/** How many threads each child process has. */
async function childThreads(): Promise<number[]> {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean)
  const count = (pid: string) => readdir(`/proc/${pid}/task`).then(({ length }) => length)
  return await Promise.all(children.map((pid) => count(pid).catch(() => 0)))
}

/** A fixture in a process of its own, with a clock that is set by hand. */
async function hosted(bytes: Uint8Array, timeoutMs = 60_000) {
  const modelProcess = pool.take()
  const { metadata } = await modelProcess.load(bytes, 'hosted', 60_000)
  const clock = { ms: 0 }
  const ends: string[] = []
  const session = createSubprocessSession({
    pool,
    modelProcess,
    metadata,
    name: 'hosted',
    timeoutMs,
    loadTimeoutMs: 60_000,
    threads: 1,
    bytes: async () => bytes,
    onEnd: (reason) => ends.push(reason),
    now: () => clock.ms,
  })
  const run = (...row: readonly number[]) =>
    session.run({ features: { type: 'float32', dims: [1, 3], data: new Float32Array(row) } }, [metadata.outputs[0]?.name ?? ''])
  return { session, modelProcess, clock, ends, run }
}

describe('a model', () => {
  it('that can loop, or that is large, runs in a process of its own', async () => {
    const trees = treeModel(64, 10)
    for (const [bytes, model, output] of [
      [endlessModel(), 'echo', undefined],
      [trees, 'delay', score],
    ] as const) {
      const opened = await open(bytes, model, {}, output)
      expect(opened.place).toBe('process')
      expect(await opened.predict([[1, 2, 3]])).toHaveLength(1)
      expect(opened.predictedRunMs(100)).toBeGreaterThan(0)
      await opened.close()
    }
  })

  it('that is small loads fast in a process that has loaded none before', async () => {
    const times: number[] = []
    // a busy machine holds up some loads, but not all
    while (times.length < 20 && !times.some((ms) => ms < 8)) {
      const modelProcess = startModelProcess()
      times.push((await modelProcess.load(await onnx('mlp'), 'delay', 60_000)).loadMs)
      pool.end(modelProcess)
    }
    // one that takes longer than 8 ms is taken for large
    expect(Math.min(...times)).toBeLessThan(8)
  })

  it('that is small is measured in a process, then answers the same as inline', async () => {
    const opened = await open(await onnx('mlp'), 'delay')
    expect(opened.predictedRunMs(1)).toBeGreaterThan(0)
    expect(opened.predictedRunMs(1000)).toBeGreaterThanOrEqual(opened.predictedRunMs(1))
    const rows = Array.from({ length: 300 }, (_, i) => [i / 10, i, -i / 7])
    const together = await opened.predict(rows)
    // one after the other, so that none has company
    const alone = []
    for (const row of rows) alone.push(...(await opened.predict([row])))
    expect(together).toEqual(alone)
    await opened.close()
  })

  it('that is small runs in a process, with the threads that it declares, if these are several', async () => {
    const opened = await open(await onnx('mlp'), 'delay', { threads: 3 })
    const alone = await open(await onnx('mlp'), 'delay', { threads: 1 })
    expect(opened.place).toBe('process')
    expect(await opened.predict([[1, 2, 3]])).toEqual(await alone.predict([[1, 2, 3]]))
    await opened.close()
    await alone.close()
  })

  it('has more threads in its process by as many as it declares beside one', async () => {
    const threadsOf = async (threads: number) => {
      const modelProcess = startModelProcess()
      await modelProcess.load(await onnx('mlp'), 'delay', 60_000, threads)
      const { length } = await readdir(`/proc/${modelProcess.pid}/task`)
      pool.end(modelProcess)
      return length
    }
    expect((await threadsOf(4)) - (await threadsOf(1))).toBe(3)
  })

  it('is tried for a push with the threads that it declares, on rows as long as its features', async () => {
    const bytes = endlessLongRows()
    const trial = trialEnds(bytes, bindTo(await metadataOf(bytes), 'typed', 'echo', longRow), { threads: 33 })
    await until(async () => Math.max(...(await childThreads())) > 33)
    expect(await trial).toBe(false)
  })

  it('with dependent rows runs row by row in a process, without a setting', async () => {
    const opened = await open(centeringModel(), 'echo')
    expect([opened.place, opened.tried]).toEqual(['process', true])
    const rows = [1, 2, 3].map((x) => [x, x, x])
    expect(await opened.predict(rows)).toEqual(rows.map(() => [new Float32Array(3)]))
    await opened.close()
  })

  it('that is slow, but hardly slower for several rows, runs them together', async () => {
    const rows = Array.from({ length: 33 }, (_, i) => [i, i, i])
    const counts: number[] = []
    // a busy machine holds up the runs of some trials, but not of all
    const endMs = performance.now() + 200_000
    while (performance.now() < endMs && !counts.some((runs) => runs < 8)) {
      let runs = 0
      const opened = await open(endlessModel(6000), 'echo', {}, undefined, undefined, () => runs++)
      expect(await Promise.all(rows.map((row) => opened.predict([row])))).toEqual(rows.map((row) => [[new Float32Array(row)]]))
      counts.push(runs)
      await opened.close()
    }
    expect(Math.min(...counts)).toBeLessThan(8)
  }, 300_000)

  it('that is slow has the time that many rows of a batch take', async () => {
    // a busy machine holds up some batches, but not all
    await unlessSlow(0, async () => {
      const ends: string[] = []
      const model = await open(chainModel(), 'delay', { timeoutMicros: 50_000 }, score, (why) => ends.push(why))
      expect(model.place).toBe('process')
      const column = Array.from({ length: 400 }, (_, row) => row)
      const started = performance.now()
      const { outputs, failures } = await model.runColumns([column, column, column], column.length)
      const ms = performance.now() - started
      await model.close()
      expect(ms).toBeGreaterThan(50)
      expect([ends, failures.filter((failure) => failure !== null)]).toEqual([[], []])
      expect(outputs[0]).toEqual(column.map((value) => 3 * value))
    })
  })

  it('runs no further row of a batch once a row that needs a prediction fails again', async () => {
    const model = await open(failingModel(), 'delay')
    const features = [0, 2e6, 0, 2e6].map((last) => [0, 0, last])
    const columns = [0, 1, 2].map((f) => features.map((row) => row[f] as number))
    const asked: number[] = []
    const again = async (row: number): Promise<Prediction> => {
      asked.push(row)
      return (await model.predictUncached([features[row] as number[]]))[0] as Prediction
    }
    await expect(model.runColumns(columns, 4, { again })).rejects.toMatchObject({ code: 'MODEL_FAILED' })
    expect(asked).toEqual([1])
    expect(await model.runColumns(columns, 4, { again: async () => [0.25] })).toMatchObject({ outputs: [[0.5, 0.25, 0.5, 0.25]] })
    await model.close()
  })

  it('of every type gives the same results in a process as inline', async () => {
    const bytes = await onnx('named')
    const { session, run } = await hosted(bytes)
    const inline = await openInlineSession(bytes, 'named')
    const binding = bindTo(inline.metadata, 'typed', 'typed')
    const [there, here] = [session, inline].map((each) => loadedModel(each, binding, 'named'))
    const rows = [
      [0.1, 9_007_199_254_740_993n, 'Zürich', true, new Float32Array([1, 2])],
      [null, -(2n ** 63n), '', false, null],
    ]
    expect(await there?.run(rows)).toEqual(await here?.run(rows))
    await expect(run(1, 2, 3)).rejects.toMatchObject({ code: 'MODEL_FAILED' })
    await Promise.all([there?.close(), here?.close()])
  })

  it('that takes more memory than its limit fails only its own run', async () => {
    const { session, modelProcess, ends } = await hosted(pairingModel())
    const feeds = (rows: number) => ({ features: { type: 'float32', dims: [rows, 3], data: new Float32Array(rows * 3) } })
    // 640 GB
    await expect(session.run(feeds(400_000), ['out'])).rejects.toMatchObject({
      code: 'MODEL_FAILED',
      message: expect.stringContaining('allocate'),
    })
    expect(Object.values((await session.run(feeds(2), ['out'])).tensors)[0]?.dims).toEqual([2, 3])
    expect([modelProcess.alive(), ends]).toEqual([true, []])
    const environment = readFileSync(`/proc/${modelProcess.pid}/environ`, 'utf8')
      .split('\0')
      .map((line) => line.split('=')[0])
    const allowed = [
      'PATH',
      'HOME',
      'TZ',
      'PWD',
      'OLDPWD',
      '_',
      'SHLVL',
      'LD_LIBRARY_PATH',
      'ORT_DISABLE_TELEMETRY',
      'NODE_COMPILE_CACHE',
      'NODE_DISABLE_COMPILE_CACHE',
      '',
    ]
    expect(environment.filter((name) => !allowed.includes(name ?? ''))).toEqual([])
    expect(readFileSync(`/proc/${modelProcess.pid}/cmdline`, 'utf8')).toContain('--permission')
    await session.release()
  })

  it('that does not load is refused, and leaves nothing behind', async () => {
    const modelProcess = pool.take()
    await expect(modelProcess.load(Buffer.from('no model'), 'broken', 60_000)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    const { metadata } = await modelProcess.load(await onnx('one'), 'one', 60_000)
    expect(metadata.inputs).toHaveLength(1)
    pool.end(modelProcess)
  })
})

describe('a run that never returns', () => {
  /** Of a run. A process that is held up for so long fails for another reason than the test's. */
  const limitMs = 1_000

  it('is ended on time, delays no other model, and its model then recovers', () =>
    unlessSlow(limitMs, async () => {
      const ends: string[] = []
      const endless = await open(endlessModel(), 'echo', { timeoutMicros: limitMs * 1000 }, undefined, (why) => ends.push(why))
      const other = await open(await onnx('mlp'), 'delay')
      let over = false
      const stuck = endless.predict([forEver]).finally(() => (over = true))
      const failed = stuck.catch((error: unknown) => error)
      let answers = 0
      while (!over) answers += (await other.predict([[1, 2, 3]])).length
      expect(await failed).toMatchObject({ code: 'MODEL_TIMEOUT', message: expect.stringContaining('1000 ms') })
      expect(answers).toBeGreaterThan(10)
      expect(await endless.predict([[2, 0, 5]])).toEqual([[new Float32Array([2, 0, 5])]])
      expect(ends).toEqual(['timeout'])
      await Promise.all([endless.close(), other.close()])
    }))

  it('delays requests beside it briefly, and leaves the model running, every time', () =>
    unlessSlow(limitMs, async () => {
      const ends: string[] = []
      const runs: number[] = []
      const endless = await open(
        endlessModel(),
        'echo',
        { timeoutMicros: limitMs * 1000 },
        undefined,
        (why) => ends.push(why),
        (rows) => runs.push(rows),
      )
      expect(await endless.predict([[1, 2, 3]])).toEqual([[new Float32Array([1, 2, 3])]])
      const rows = [[1, 0, 1], forEver, [2, 0, 2], [3, 0, 3]]
      const answers = await Promise.allSettled(rows.map((row) => endless.predict([row])))
      expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : answer.reason.code))).toEqual([
        [[new Float32Array([1, 0, 1])]],
        'MODEL_TIMEOUT',
        [[new Float32Array([2, 0, 2])]],
        [[new Float32Array([3, 0, 3])]],
      ])
      // in the run of all, alone, and alone for as long as any may take
      expect(ends).toEqual(['timeout', 'timeout', 'timeout'])
      await expect(endless.predict([forEver])).rejects.toMatchObject({ code: 'MODEL_TIMEOUT' })
      expect(await endless.predict([[5, 0, 5]])).toEqual([[new Float32Array([5, 0, 5])]])
      await endless.close()
    }))

  it('is reported with its rows, so that the next batch is smaller', () =>
    unlessSlow(limitMs, async () => {
      const { session } = await hosted(endlessModel(), limitMs)
      const late: number[] = []
      const model = loadedModel(session, bindTo(session.metadata, 'flight', 'echo'), 'echo', { onTimeout: (rows) => late.push(rows) })
      await expect(model.run([forEver, forEver])).rejects.toMatchObject({ code: 'MODEL_TIMEOUT' })
      expect(await model.run([[1, 2, 3]])).toEqual([[new Float32Array([1, 2, 3])]])
      expect(late).toEqual([2])
      await model.close()
    }))

  it('repeatedly pauses its model for a while, then tries it once', () =>
    unlessSlow(limitMs, async () => {
      const { session, clock, ends, run } = await hosted(endlessModel(), limitMs)
      for (let i = 0; i < 3; i++) await expect(run(...forEver)).rejects.toMatchObject({ code: 'MODEL_TIMEOUT' })
      await expect(run(1, 2, 3)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', details: { retryAfterSeconds: 5 } })
      clock.ms = 5000
      const trial = run(...forEver).catch((error: unknown) => error)
      await expect(run(1, 2, 3)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' })
      expect(await trial).toMatchObject({ code: 'MODEL_TIMEOUT' })
      clock.ms = 14_000
      await expect(run(1, 2, 3)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' })
      clock.ms = 15_000
      expect(Object.values((await run(1, 2, 3)).tensors)[0]?.data).toEqual(new Float32Array([1, 2, 3]))
      await run(1, 2, 3)
      expect(ends).toEqual(['timeout', 'timeout', 'timeout', 'timeout'])
      await session.release()
    }))
})

describe('the process of a model', () => {
  it('is restarted after it was killed, during or between runs', async () => {
    const { session, modelProcess, ends, run } = await hosted(endlessModel())
    process.kill(modelProcess.pid ?? 0, 'SIGKILL')
    await until(async () => !modelProcess.alive())
    await run(1, 2, 3)
    expect(ends).toEqual([])
    await session.release()
    const again = await hosted(endlessModel())
    const stuck = again.run(...forEver).catch((error: unknown) => error)
    process.kill(again.modelProcess.pid ?? 0, 'SIGKILL')
    expect(await stuck).toMatchObject({ code: 'MODEL_UNAVAILABLE' })
    await again.run(1, 2, 3)
    expect(again.ends).toEqual(['crash'])
    await again.session.release()
  })

  it('ends with its model or its server, even a server killed during an endless run', async () => {
    const { session, modelProcess } = await hosted(await onnx('one'))
    await session.release()
    await until(async () => !exists(modelProcess))
    const server = spawn(process.execPath, [programFile('test/serving/endless-server-child')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const said = await new Promise<string>((resolve) => server.stdout.once('data', (text: Buffer) => resolve(text.toString())))
    const pid = Number(said)
    expect(exists({ pid })).toBe(true)
    server.kill('SIGKILL')
    await until(async () => !exists({ pid }))
  })
})

describe('a process that can open no more files', () => {
  it('is reported to callers that run or inspect a model, and recovers', async () => {
    const child = fileURLToPath(new URL('./no-files-child.ts', import.meta.url))
    const { stdout } = await promisify(execFile)('sh', ['-c', 'ulimit -n 120 && exec "$0" "$1"', process.execPath, child])
    expect(stdout).toBe('MODEL_UNAVAILABLE INTERNAL MODEL_UNAVAILABLE\n')
  })
})

describe('runs and loads without number', () => {
  it('leave memory as it was', async () => {
    const bytes = await onnx('mlp')
    const { session: there } = await hosted(bytes)
    const features = { type: 'float32', dims: [64, 3], data: new Float32Array(64 * 3).fill(1) }
    const round = async () => {
      const here = await openInlineSession(bytes, 'mlp')
      for (let i = 0; i < 200; i++) await here.run({ features }, ['probabilities'])
      for (let i = 0; i < 50; i++) await there.run({ features }, ['probabilities'])
      await here.release()
    }
    for (let i = 0; i < 20; i++) await round()
    const before = process.memoryUsage.rss()
    for (let i = 0; i < 60; i++) await round()
    expect(process.memoryUsage.rss() - before).toBeLessThan(40_000_000)
    await there.release()
  })
})

/** Whether the process is there, and not only for its parent to hear of its end. */
function exists({ pid }: Pick<ModelProcess, 'pid'>): boolean {
  try {
    process.kill(pid ?? 0, 0)
  } catch {
    return false
  }
  const stat = `/proc/${pid}/stat`
  return !existsSync(stat) || !readFileSync(stat, 'utf8').includes(') Z ')
}
