import { relative } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { BumpPlan } from '../../registry/changes/bump.ts'
import { planBump } from '../../registry/changes/bump.ts'
import type { PlanJson } from '../../registry/changes/change-plan.ts'
import { planJson } from '../../registry/changes/change-plan.ts'
import type { DefinitionKey } from '../../registry/definition.ts'
import { definitionPlaces } from '../../registry/load/definition-places.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { planChanges } from '../../registry/changes/plan.ts'
import { portableDefinitions } from '../../registry/load/portable-definitions.ts'
import { readVersion } from '../../runtime/version.ts'
import { planAnswer } from '../../serving/protocols/http/registry/registry-schemas.ts'
import { bumpLine, bumpPatch, manualLines, patchFolder, writeEdits } from '../bump-versions.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import { definitionsArgument, definitionsFile } from '../definitions-argument.ts'
import { counted } from '../text/human.ts'
import { changeCounts, changesAnything, planText, screenOptions } from '../text/plan-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

/** The exit code of `--exit-code` for changes: not 1, which is an error, and not 2, which is a wrong call. */
const changesExitCode = 3

export const planCommand: Command = {
  name: 'plan',
  summary: 'Show what "apply" would change',
  description: [
    'Reads the registry and the tables of the sources, and writes nothing there. Exits with 1 if "apply" would refuse the file.',
    `With --exit-code it exits with ${changesExitCode} if "apply" would change something, and with 0 if not, for scripts.`,
    'If definitions changed under versions that exist, --bump raises these versions and those of all that depends on them. It prints a patch for "git apply", or edits the files with --write. Only the numbers change.',
  ],
  arguments: [definitionsArgument],
  options: {
    prune: { help: 'Plan to retire definitions that are not in the file.' },
    'break-models': { help: 'Plan what "apply --break-models" would do.' },
    verbose: { help: 'Show every field, state size, note and statement.' },
    'exit-code': { help: `Exit with ${changesExitCode} if something changes.` },
    bump: { help: 'Print a patch that raises the versions of changed definitions.' },
    write: { help: 'With --bump: edit the files.' },
    server: serverOption,
  },
  example: 'lockstep plan',
  async run(context, input) {
    const bumps = input.flag('bump') || input.flag('write')
    if (bumps && input.flag('exit-code'))
      throw new LockstepError('USAGE', 'Use "--exit-code" or "--bump", and not both: a patch says itself what it changes.')
    const file = definitionsFile(context, input)
    const given = input
      .arguments('FILE')
      .map((each) => ` ${each}`)
      .join('')
    const set = await loadDefinitions(file)
    const changes = { prune: input.flag('prune'), breakModels: input.flag('break-models') }
    const { alertPrivateAddresses: privateAddresses, logShares } = context.config
    const server = serverOf(context, input)
    const plan =
      server === null
        ? planJson(await planChanges(await context.database(), set, { ...changes, privateAddresses, logShares }))
        : (await server.ask('POST', '/v1/registry/plan', { definitions: portableDefinitions(set, readVersion()), ...changes }, planAnswer))
            .plan
    if (bumps) return bump(context, plan, { file, given, write: input.flag('write') })
    const refused = plan.problems.length > 0
    const url = input.text('server')
    const options = [
      ...['prune', 'break-models'].filter((option) => input.flag(option)).map((option) => ` --${option}`),
      ...(url === undefined ? [] : [` --server ${url}`]),
    ]
    const text = planText(plan, { verbose: input.flag('verbose'), ...screenOptions(), transforms: transformPlaces(plan, file) })
    return {
      json: plan,
      text: [
        `Plan for ${relative(process.cwd(), plan.file)}${server === null ? '' : ` at ${server.url}`}: ${changeCounts(plan)}.`,
        text,
        verdict(plan, `${given}${options.join('')}`),
      ]
        .filter((part) => part !== '')
        .join('\n\n'),
      exitCode: refused ? 1 : input.flag('exit-code') && changesAnything(plan) ? changesExitCode : 0,
    }
  },
}

/** The consequence of the plan, and the next command. */
function verdict({ problems, changes, ...plan }: PlanJson, words: string): string {
  const conflicts = changes.filter(({ status }) => status === 'conflict')
  const others = problems.filter(({ code }) => code !== 'VERSION_CHANGED')
  if (others.length > 0)
    return `"apply" would refuse the file: ${counted(problems.length, 'problem')}. Correct the file, then: lockstep plan${words}`
  if (conflicts.length > 0) {
    const raise = counted(conflicts.length, 'version')
    return `"apply" would refuse the file: a version never changes. To raise ${raise}:\nNext: lockstep plan${words} --bump --write`
  }
  if (!changesAnything({ problems, changes, ...plan })) return 'There is nothing to do.'
  return `Nothing was written. Next: lockstep apply${words}`
}

/** Where the changed transforms are written. */
function transformPlaces({ changes }: PlanJson, file: string): Map<DefinitionKey, string> {
  const changed = changes.filter(({ differences }) => differences.some(({ path }) => path === 'transform'))
  if (changed.length === 0) return new Map()
  return new Map(
    definitionPlaces(file).flatMap(({ kind, name, version, file: path, transform }): [DefinitionKey, string][] =>
      transform === null || name === null || version === null
        ? []
        : [
            [
              `${kind} ${name}@${version}`,
              `${relative(process.cwd(), path)}:${transform.from}${transform.to > transform.from ? `-${transform.to}` : ''}`,
            ],
          ],
    ),
  )
}

interface BumpCall {
  readonly file: string
  /** The file as it was given, with a space before it; empty if it was not. */
  readonly given: string
  readonly write: boolean
}

/** Only the patch goes to standard output, so that it can be piped. */
function bump({ terminal }: Context, plan: PlanJson, { file, given, write }: BumpCall): Outcome {
  const current = process.cwd()
  const bumped = planBump(plan, definitionPlaces(file))
  if (write) writeEdits(bumped.edits)
  const folder = patchFolder(bumped, current)
  const patch = bumpPatch(bumped, folder)
  const manual = manualLines(bumped, current)
  const exitCode = manual.length > 0 ? 1 : 0
  const json = { bumps: bumped.bumps, folder, patch, written: write }
  if (write) return { json, text: [...writtenLines(bumped, current), ...manual, ...nextLines(bumped, given)].join('\n'), exitCode }
  if (bumped.bumps.length === 0) terminal.complain(nothingToRaise)
  else if (folder !== current) terminal.complain(`Apply the patch in ${folder}.`)
  if (manual.length > 0) terminal.complain(manual.join('\n'))
  return { json, text: patch, exitCode }
}

const nothingToRaise = 'No version has to be raised: nothing changed under a version that exists.'

function writtenLines({ bumps, edits }: BumpPlan, current: string): string[] {
  const done = bumps.filter(({ isEditable }) => isEditable)
  if (done.length === 0) return bumps.length === 0 ? [nothingToRaise] : []
  return [`Raised ${counted(done.length, 'version')} in ${counted(edits.length, 'file')}:`, ...done.map((each) => bumpLine(each, current))]
}

function nextLines({ bumps }: BumpPlan, given: string): string[] {
  return bumps.length === 0 ? [] : [`Next: lockstep plan${given}`]
}
