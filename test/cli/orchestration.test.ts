import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Option } from '../../cli/command.ts'
import { reportToDagster } from '../../cli/dagster-pipes.ts'
import { exitCodeOf, ifEmptyOption } from '../../cli/if-empty.ts'
import { parseInput } from '../../cli/input.ts'

describe('--if-empty', () => {
  const input = (...words: readonly string[]) => {
    const options: Readonly<Record<string, Option>> = { 'if-empty': ifEmptyOption }
    return parseInput({ name: 'x', summary: '', example: '', options, run: () => Promise.resolve({ json: null, text: '' }) }, words)
  }

  it('is the exit code of a result without rows, and of no other', () => {
    expect(exitCodeOf(input('--if-empty', '99'), 0)).toEqual({ exitCode: 99 })
    expect(exitCodeOf(input('--if-empty', '99'), 1)).toEqual({})
    expect(exitCodeOf(input(), 0)).toEqual({})
    expect(() => exitCodeOf(input('--if-empty', '256'), 0)).toThrow('if-empty')
  })
})

describe('a report to Dagster', () => {
  let folder: string
  const encoded = (value: unknown): string => deflateSync(JSON.stringify(value)).toString('base64')
  const report = { metadata: { path: 's3://b/x', rows: 3, share: 0.5 }, dataVersion: 'abc' }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-pipes-'))
  })
  afterAll(async () => {
    delete process.env['DAGSTER_PIPES_CONTEXT']
    delete process.env['DAGSTER_PIPES_MESSAGES']
    await rm(folder, { recursive: true, force: true })
  })

  it('is one materialization with typed metadata, between the messages that open and close it', async () => {
    const path = join(folder, 'messages')
    await writeFile(join(folder, 'context'), JSON.stringify({ asset_keys: ['predictions'] }))
    process.env['DAGSTER_PIPES_CONTEXT'] = encoded({ path: join(folder, 'context') })
    process.env['DAGSTER_PIPES_MESSAGES'] = encoded({ path })
    await reportToDagster(report)
    const lines = (await readFile(path, 'utf8')).trim().split('\n')
    const messages = lines.map((line) => JSON.parse(line) as { readonly method: string; readonly params: object })
    expect(messages.map(({ method }) => method)).toEqual(['opened', 'report_asset_materialization', 'closed'])
    expect(messages[1]?.params).toEqual({
      asset_key: 'predictions',
      data_version: 'abc',
      metadata: {
        path: { raw_value: 's3://b/x', type: 'text' },
        rows: { raw_value: 3, type: 'int' },
        share: { raw_value: 0.5, type: 'float' },
      },
    })
  })

  it('names variables that are not what Dagster sets, and does nothing without them', async () => {
    for (const wrong of ['x', encoded({ file: 'y' })]) {
      process.env['DAGSTER_PIPES_MESSAGES'] = wrong
      await expect(reportToDagster(report)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('DAGSTER_PIPES_MESSAGES') as string,
      })
    }
    delete process.env['DAGSTER_PIPES_MESSAGES']
    await reportToDagster(report)
    // a step of several assets does not say which of them it is
    const path = join(folder, 'several')
    process.env['DAGSTER_PIPES_CONTEXT'] = encoded({ data: { asset_keys: ['a', 'b'] } })
    process.env['DAGSTER_PIPES_MESSAGES'] = encoded({ path })
    await reportToDagster(report)
    expect(existsSync(path)).toBe(false)
  })
})
