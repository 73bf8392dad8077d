import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { onnx } from '../serving/fixtures.ts'
import type { LabelledPayments } from '../serving/evaluation/labelled-payments.ts'
import { createLabelledPayments, rowCount } from '../serving/evaluation/labelled-payments.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'

let setup: LabelledPayments
let env: Environment
let rows: string[]

beforeAll(async () => {
  setup = await createLabelledPayments()
  const { id } = await setup.dataset('set.csv')
  env = { LOCKSTEP_POSTGRES_URL: setup.world.postgresUrl }
  rows = ['--dataset', id.slice(0, 8), '--label', 'fraud', '--output', 'probabilities']
})
afterAll(() => setup?.close())

describe('lockstep model evaluate', () => {
  it('shows versions side by side, their differences and groups', async () => {
    const { out, code } = await lockstep(env, 'model', 'evaluate', 'fraud@1,2', ...rows, '--by', 'kind')
    expect(code).toBe(0)
    expect(out.split('\n').slice(0, 2)).toEqual([
      'fraud: "probabilities" against the label "fraud", positive from 0.5 on',
      expect.stringMatching(new RegExp(`^${rowCount} rows of the training set [0-9a-f]{8}$`)),
    ])
    expect(out).toMatch(/^left out of fraud@1: \d+ without a prediction, because .*; \d+ without a label$/m)
    expect(out).toMatch(/^FIGURE +FRAUD@1 +FRAUD@2$/m)
    expect(out).toMatch(/^AUC +0\.\d+ \(0\.\d+ to 0\.\d+\) +0\.\d+ \(0\.\d+ to 0\.\d+\)$/m)
    expect(out).toMatch(/^fraud@2 against fraud@1, on \d+ rows that both answer:\nFIGURE +DIFFERENCE +95 % INTERVAL$/m)
    expect(out).toMatch(/^log loss +-?\d\.\d+ +-?\d\.\d+ to -?\d\.\d+ +(better|worse|no clear difference)$/m)
    expect(out).toMatch(/^VERSION +KIND +ROWS +AUC .*\nfraud@1 +shop +\d+ .*\nfraud@1 +web .*\nfraud@2 +shop /m)
    // each kind has many entities, so no interval takes their rows for independent
    expect(out).not.toContain('taken for independent')
  })

  it('compares a file with the champion before it is pushed', async () => {
    await must(env, 'model', 'promote', 'fraud@1')
    const file = join(setup.folder, 'new.onnx')
    await writeFile(file, await onnx('mlp'))
    const asked = ['model', 'evaluate', 'fraud', '--candidate', file, '--against', 'champion', ...rows, '--threshold', '0.3']
    const printed = await must(env, ...asked)
    expect(printed).toMatchObject({
      threshold: 0.3,
      versions: [{ name: 'fraud (candidate)', version: null }, { name: 'fraud@1' }],
      comparisons: [{ name: 'fraud (candidate)', against: 'fraud@1' }],
    })
    expect(await must(env, 'model', 'evaluate', 'fraud', ...rows)).toMatchObject({ versions: [{ name: 'fraud@1' }], comparisons: [] })
  })

  it('takes the compared version with the name of the model', async () => {
    for (const against of ['fraud@1', 'fraud@v1', '1'])
      expect(await must(env, 'model', 'evaluate', 'fraud@2', '--against', against, ...rows)).toMatchObject({
        comparisons: [{ name: 'fraud@2', against: 'fraud@1' }],
      })
  })

  it.each([
    [
      ['fraud@1', '--label', 'fraud', '--file', 'rows.csv', '--against', 'churn@1'],
      2,
      '"--against" is "churn@1", a version of another model; name a version of "fraud".',
    ],
    [['fraud@1', '--label', 'fraud'], 2, 'Name the rows: either --dataset ID, with or without --part, or --file FILE.'],
    [['fraud@1', '--label', 'fraud', '--file', 'rows.csv', '--part', 'test'], 2, 'Name the rows: either'],
    [['fraud@1,', '--label', 'fraud', '--file', 'rows.csv'], 2, '"fraud@" does not name a model version'],
    [['fraud@7', '--label', 'fraud', '--file', 'rows.csv'], 1, 'The model "fraud" has no version 7; it has 1, 2.'],
    [['fraud@1', '--label', 'fraud', '--file', 'rows.csv', '--threshold', 'high'], 2, 'The option "--threshold" is "high"'],
    [['fraud@1', '--label', 'fraud', '--output', 'label', '--file', '/none/rows.csv'], 1, '"/none/rows.csv" could not be read'],
    [['fraud', '--candidate', '/none/new.onnx', '--label', 'fraud', '--file', 'rows.csv'], 1, '"/none/new.onnx" cannot be read'],
  ])('refuses %j', async (asked, code, message) => {
    const refused = await lockstep(env, 'model', 'evaluate', ...asked)
    expect([refused.code, refused.err]).toEqual([code, expect.stringContaining(message)])
  })
})
