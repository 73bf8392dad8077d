import { openSink } from '../../runtime/files/open-sink.ts'
import { placeFiles } from '../../runtime/files/place-files.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'
import { exportPlan } from '../../serving/engines/export-plan.ts'
import type { Command } from '../command.ts'
import { bytes } from '../text/human.ts'

const bounds = ['at', 'before'] as const
const knowledges = ['bitemporal', 'latest'] as const
const freshnesses = ['served', 'ideal'] as const

export const exportPlanCommand: Command = {
  name: 'export-plan',
  summary: 'Write a file with all that an engine needs to compute features without a database',
  description: [
    'The file has the definitions of the service, their code with its hashes, the rule of time and, with --model, the bytes of the model. "lockstep partition" reads it.',
    'A plan is code: keep it as safe as the registry. Only the version of Lockstep that wrote it reads it.',
  ],
  arguments: [{ name: 'SERVICE', help: 'The feature service, as "name" or "name@version".' }],
  options: {
    out: { value: 'FILE', help: 'The file to write, such as plan.lockstep.', needed: true },
    model: { value: 'MODEL', help: 'Also predict with this model: delay, delay@3, delay@champion.' },
    'as-of': { value: 'BOUND', choices: bounds, help: '"at" (the default) or "before", as for "dataset create".' },
    knowledge: { value: 'RULE', choices: knowledges, help: '"bitemporal" (the default) or "latest", as for "dataset create".' },
    freshness: { value: 'RULE', choices: freshnesses, help: '"served" (the default) or "ideal", as for "dataset create".' },
    'known-before': { value: 'TIME', help: 'Ignore rows with a known time (or, without one, an event time) at this moment or later.' },
    overwrite: { help: 'Replace an existing file.' },
  },
  example: 'lockstep export-plan flight_features --model delay --out plan.lockstep',
  async run(context, input) {
    const out = absoluteName(input.needed('out'))
    const overwrite = input.flag('overwrite')
    const rule = {
      rule: {
        knowledge: input.choice('knowledge', knowledges) ?? 'bitemporal',
        freshness: input.choice('freshness', freshnesses) ?? 'served',
      },
      bound: input.choice('as-of', bounds) ?? 'at',
      knownBefore: input.time('known-before') ?? null,
    } as const
    if (!overwrite) await refuseExisting([out])
    const request = { service: input.argument('SERVICE'), model: input.text('model'), rule }
    const plan = await exportPlan(await context.database(), await context.catalog(), request)
    const sink = await openSink(out, overwrite)
    await sink.write(plan.bytes)
    const { bytes: size, sha256, ...sealed } = await sink.seal()
    try {
      await placeFiles([sealed], overwrite)
    } catch (error) {
      await sink.abort()
      throw error
    }
    const what = plan.model === null ? plan.service.id : `${plan.service.id} and the model ${plan.model}`
    return {
      json: { path: out, service: plan.service.id, fingerprint: plan.service.fingerprint, model: plan.model, bytes: size, sha256 },
      text: `Wrote the plan of ${what} to ${out} (${bytes(size)}).`,
    }
  },
}
