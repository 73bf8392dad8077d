import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bareEnvironment } from '../bare-environment.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { rootFolder } from '../source-files.ts'
import { programFile } from './run-lockstep.ts'

const features = `import { count, entity, featureService, featureView, source, t } from 'lockstep'
const shop = entity('shop', { key: { shop: t.string } })
const sales = source('sales', { key: { shop: 'shop' }, eventTime: 'at', columns: { amount: t.float64 } })
export const busy = featureView('busy', { version: 1, entity: shop, source: sales, online: true, features: { sold1h: count('1h') } })
`

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-full-'))
  await mkdir(join(folder, 'disk'))
  const rows = (n: number): string => Array.from({ length: n }, (_, i) => `2001-06-30T10:00:00Z,shop-number-${i},${i}.5\n`).join('')
  await writeFile(join(folder, 'many.csv'), `at,shop,amount\n${rows(300_000)}`)
  await writeFile(join(folder, 'few.csv'), `at,shop,amount\n${rows(100)}`)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/**
 * Runs a script of the shell where it may mount a disk of its own, which is gone when it ends: `disk N` gives it so
 * many MB, `ls WORDS` is lockstep.
 */
function onOwnDisk(script: string): Promise<string> {
  const prelude = `
    disk() { if mountpoint -q '${folder}/disk'; then mount -o remount,size=$1m '${folder}/disk'; else mount -t tmpfs -o size=$1m none '${folder}/disk'; fi; }
    ls() { timeout 120 '${process.execPath}' '${programFile('cli/main')}' "$@" 2>&1 >/dev/null; echo "$1 ended with $?"; }
    cd '${folder}'`
  const own = process.getuid?.() === 0 ? '-m' : '-rm'
  const child = spawn('unshare', [own, 'sh', '-c', `${prelude}\n${script}`], {
    env: { ...bareEnvironment, LOCKSTEP_DIR: join(folder, 'disk/data') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (part: Buffer) => (out += part.toString()))
  return new Promise((resolve, reject) => child.on('error', reject).on('close', () => resolve(out)))
}

it('a full disk is an error that names the folder and ends once there is room', async () => {
  const definitions = join(definitionFiles({ 'features.ts': features }), 'features.ts')
  const out = await onOwnDisk(`
    disk 20; ls migrate; ls status
    disk 60; ls migrate; ls apply '${definitions}'; ls ingest sales many.csv; ls status
    disk 200; ls status; ls ingest sales few.csv; ls materialize
    mount -o remount,ro disk; ls status`)
  const lines = out
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('Ingesting') && !line.startsWith('Materializing'))
  const full = `error WRITE_FAILED: The disk of the folder "${folder}/disk/data/postgres" is full, or almost full. Free some space and run again; committed data is kept.`
  const readOnly = `error WRITE_FAILED: The folder "${folder}/disk/data" is not writable (EROFS). Change its permissions, or set LOCKSTEP_DIR to another folder.`
  expect(lines).toEqual([
    full,
    'migrate ended with 1',
    full,
    'status ended with 1',
    'migrate ended with 0',
    'apply ended with 0',
    full,
    'ingest ended with 1',
    full,
    'status ended with 1',
    'status ended with 0',
    'ingest ended with 0',
    'materialize ended with 0',
    readOnly,
    'status ended with 1',
  ])
}, 400_000)

it('the online store on a full disk is an error that names the folder, and opens once there is room', async () => {
  const open = `
    const { openEmbeddedStore } = await import('${rootFolder}/online/embedded-store.ts')
    try {
      const store = openEmbeddedStore('${folder}/disk/online')
      await store.ping()
      await store.close()
      console.log('opened')
    } catch ({ code, message }) {
      console.log(code + ': ' + message)
    }`
  await writeFile(join(folder, 'open.mjs'), open)
  const out = await onOwnDisk(`
    disk 2
    cat /dev/zero > disk/filler 2>/dev/null; open_store() { '${process.execPath}' '${folder}/open.mjs'; }
    open_store; rm disk/filler; open_store; cat /dev/zero > disk/filler 2>/dev/null; open_store; rm disk/filler; open_store
    mount -t tmpfs -o nr_inodes=9 none disk; open_store; n=0; while touch disk/$n 2>/dev/null; do n=$((n + 1)); done; open_store`)
  const full = `WRITE_FAILED: The disk of the folder "${folder}/disk/online" is full, or almost full. Free some space and run again; committed data is kept.`
  expect(out.trim().split('\n')).toEqual([full, 'opened', full, 'opened', 'opened', full])
})

it('doctor names a folder of files on an almost full disk', async () => {
  const out = await onOwnDisk(`
    disk 20; LOCKSTEP_DIR='${folder}/own' LOCKSTEP_FILES_DIR='${folder}/disk/files' timeout 120 '${process.execPath}' '${programFile('cli/main')}' doctor | grep '^[a-z]* *disk '`)
  expect(out.trim().split('\n')).toEqual([
    expect.stringMatching(/ are free for ".*\/own"\.$/),
    `wrong   disk          Only 21.0 MB are free for "${folder}/disk/files". Free some space, or set LOCKSTEP_FILES_DIR to a folder on another disk.`,
  ])
})
