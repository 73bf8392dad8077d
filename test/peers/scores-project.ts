import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeProgram } from '../program.ts'
import { rootFolder } from '../source-files.ts'
import { run } from './peer-server.ts'

// A project as "lockstep init" writes it, with the embedded stores, for the examples of orchestrators: they run
// "lockstep batch run" in it. February 20 has many payments, so that a run can be ended in between.

const busyDay = '2026-02-20'
const busyRows = 20_000

export interface ScoresProject {
  /** A folder for the files of a peer. */
  readonly folder: string
  /** The command in PATH, and the folders of the project and its output, for the examples and their peers. */
  readonly env: NodeJS.ProcessEnv
  close(): void
}

export async function makeScoresProject(): Promise<ScoresProject> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-scores-'))
  const close = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    const [project, bin] = [join(folder, 'project'), join(folder, 'bin')]
    const main = join(await makeProgram(join(rootFolder, 'node_modules/.cache')), 'cli/main.js')
    const lockstep = (...words: readonly string[]): void => run(process.execPath, [main, ...words], { cwd: project })
    mkdirSync(join(project, 'node_modules'), { recursive: true })
    symlinkSync(rootFolder, join(project, 'node_modules/lockstep'))
    lockstep('init', '--template', 'fraud')
    lockstep('migrate')
    lockstep('apply')
    writeFileSync(join(project, 'busy.csv'), busyPayments())
    for (const file of ['data/payments.csv', 'busy.csv']) lockstep('ingest', 'payments', file)
    lockstep('model', 'push', 'fraud', 'models/fraud.onnx')
    // small parts: a run that is ended has written some of them
    const script = `#!/bin/sh\necho $$ > "${folder}/pid"\nexec "${process.execPath}" "${main}" "$@" --rows-per-part 500\n`
    mkdirSync(bin)
    writeFileSync(join(bin, 'lockstep'), script)
    chmodSync(join(bin, 'lockstep'), 0o755)
    const env = {
      ...process.env,
      PATH: `${bin}:${process.env['PATH'] ?? ''}`,
      SCORES_PROJECT: project,
      SCORES: join(folder, 'scores'),
      SCORES_RETRY_SECONDS: '1',
      SCORES_PID: join(folder, 'pid'),
    }
    return { folder, env, close }
  } catch (error) {
    close()
    throw error
  }
}

function busyPayments(): string {
  const start = Date.parse(`${busyDay}T00:00:00Z`)
  const time = (second: number): string => new Date(start + second * 1000).toISOString()
  const lines = Array.from({ length: busyRows }, (_, i) => `c${i % 400},${time(i * 4)},${time(i * 4)},${(i * 37) % 500},CH`)
  return ['card,paid_at,booked_at,amount,country', ...lines, ''].join('\n')
}
