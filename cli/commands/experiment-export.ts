import { requireExposures, requireRun } from '../../monitoring/experiments/analyze-run.ts'
import { exportUnits, unitColumns } from '../../monitoring/experiments/export-units.ts'
import { planUnits } from '../../monitoring/experiments/plan-units.ts'
import { createDatasetWriter, formatOf } from '../../offline/files/dataset-writer.ts'
import type { Command } from '../command.ts'
import { bytes, counted } from '../text/human.ts'
import { downloadMade, localPath } from '../remote/download-file.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const experimentExportCommand: Command = {
  name: 'experiment export',
  summary: 'Write the units of an experiment to a file, with variants, figures and covariates',
  description: [
    'The file has one row for each unit that got only one variant: unit, variant, exposed_at, propensity, the features as of the exposure, and for each metric METRIC__value, METRIC__mature and, where it has one, METRIC__denominator. The analysis uses the same figures.',
  ],
  arguments: [{ name: 'NAME', help: 'The experiment.' }],
  options: {
    out: { value: 'FILE', help: 'The file to write: .parquet, .csv or .jsonl.', needed: true },
    overwrite: { help: 'Replace an existing file.' },
    server: serverOption,
  },
  streams: true,
  example: 'lockstep experiment export offers --out offers.parquet',
  async run(context, input) {
    const out = input.needed('out')
    const [format, overwrite, name] = [formatOf(out), input.flag('overwrite'), input.argument('NAME')]
    const server = serverOf(context, input)
    if (server !== null) {
      const progress = context.terminal.progress(`Exporting ${name}`, 'bytes')
      try {
        const from = `/v1/experiments/${encodeURIComponent(name)}/export?format=${format}`
        const { headers: _, ...file } = await downloadMade(server, { from, to: localPath(out), overwrite }, (done) =>
          progress.update(done, null),
        )
        return { json: { experiment: name, path: out, ...file }, text: `Wrote the units of ${name} to ${out} (${bytes(file.bytes)}).` }
      } finally {
        progress.end()
      }
    }
    const db = await context.database()
    const run = await requireRun(db, name)
    requireExposures(run)
    const plan = planUnits(await context.catalog(), run.spec)
    const progress = context.terminal.progress(`Exporting ${name}`, 'lookups')
    const writer = await createDatasetWriter(out, unitColumns(plan), { format, overwrite })
    try {
      const exposed = { experimentId: run.id, experiment: name, unit: run.spec.unit, asOf: Date.now() * 1000 }
      await exportUnits(db, plan, exposed, (batch) => writer.write(batch), {
        signal: context.signal,
        onUnits: (done, total) => progress.update(done, total),
      })
      const file = await writer.close()
      return {
        json: { experiment: name, run: run.id, path: out, ...file },
        text: `Wrote ${counted(file.rows, 'unit')} of ${name} to ${out} (${bytes(file.bytes)}).`,
      }
    } catch (error) {
      await writer.abort()
      throw error
    } finally {
      progress.end()
    }
  },
}
