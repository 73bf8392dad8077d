import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { SourceSyncResult, SourceSyncSpec } from '../../materializer/sources/sync-source.ts'
import { beginSourceSync, sourceSyncs } from '../../materializer/sources/sync-source.ts'
import { jobFailure } from '../../runtime/jobs/await-job.ts'
import { sourceSyncAnswer } from '../../serving/protocols/http/data/source-files-route.ts'
import { statusAnswer } from '../../serving/protocols/http/health/status-route.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import { eachInTurn, notDoneJson, notDoneLines } from '../each-in-turn.ts'
import { bytes as sizeOf, counted } from '../text/human.ts'
import type { Input } from '../input.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { watchServerJob } from '../remote/watch-server-job.ts'
import { watchJob } from '../watch-job.ts'
import { workerTools } from '../worker-tools.ts'

export const sourceSyncCommand: Command = {
  name: 'source sync',
  summary: 'Load the Parquet files of sources that are not loaded yet',
  description: [
    'Lists the files that a source declares with parquetFiles(), and loads each new one in a transaction of its own. This process and all "lockstep worker" processes on the same database share the files. You can stop it and run it again: it continues with the files that are left.',
    'A source that fails does not stop the others. The command names it and exits with 1. If you stop the command, it prints what is loaded and names the sources that are left.',
    'A file that has changed since it was loaded is an error, reported when all new files are loaded. Rows of a file that was deleted stay.',
    'If no worker runs, run "lockstep materialize" afterwards.',
  ],
  arguments: [
    {
      name: 'SOURCE',
      help: 'The source, by its name in the registry. Default: all sources with Parquet files, one after the other.',
      takes: 'optional',
    },
  ],
  options: {
    replace: {
      help: 'Replace the rows of files that have changed: delete the old rows, rebuild the online states of their entities, load the file.',
    },
    'remove-vanished': { help: 'With --replace: also delete the rows of files that do not exist any more.' },
    'no-work': { help: 'Leave all files to workers.' },
    detach: { help: 'Start it, leave it to workers, and do not wait.' },
    reason: reasonOption,
    server: serverOption,
  },
  streams: true,
  example: 'lockstep source sync landings',
  async run(context, input) {
    if (input.flag('remove-vanished') && !input.flag('replace')) throw new LockstepError('USAGE', '"--remove-vanished" needs "--replace".')
    const replace = !input.flag('replace') ? 'none' : input.flag('remove-vanished') ? 'vanished' : 'changed'
    const server = serverOf(context, input)
    const { sources, sync } = await (server === null ? ownSyncs(context, input, replace) : serverSyncs(context, input, server, replace))
    const [source] = input.arguments('SOURCE')
    if (source !== undefined) return await sync(source)
    const turns = await eachInTurn(await sources(), { nameOf: (name) => name, signal: context.signal, work: sync })
    const lines = [...turns.done.map(({ text }) => text), ...notDoneLines(turns)]
    return {
      json: { sources: turns.done.map(({ json }) => json), ...notDoneJson(turns, 'source') },
      text: lines.length === 0 ? 'No source has Parquet files, so there is nothing to load.' : lines.join('\n'),
      exitCode: turns.failed.length > 0 || turns.stopped !== null ? 1 : 0,
    }
  },
}

interface Syncs {
  /** The names of the sources that Parquet files feed. */
  sources(): Promise<readonly string[]>
  sync(source: string): Promise<Outcome>
}

async function ownSyncs(context: Context, input: Input, replace: SourceSyncSpec['replace']): Promise<Syncs> {
  const tools = await workerTools(context)
  return {
    sources: async () => [...(await tools.catalog()).files.keys()],
    async sync(source) {
      const { id, joined } = await beginSourceSync(tools, source, { replace, by: actorOf(input), worker: tools.worker })
      if (input.flag('detach')) return detached({ job: id, source, joined })
      const kinds = input.flag('no-work') ? null : [sourceSyncs(tools)]
      const job = await watchJob(context, tools, id, { label: `Loading files of ${source}`, kinds }).catch((error: unknown) => {
        if (!context.signal.aborted) throw error
        const message = `${messageOf(context.signal.reason)} Workers continue with the sync: "lockstep job watch ${id}" shows it, "lockstep job cancel ${id}" ends it.`
        throw new LockstepError('STOPPED', message, { cause: context.signal.reason, details: { job: id } })
      })
      const failure = jobFailure(job)
      if (failure !== null) throw failure
      return synced({ job: id, joined }, job.result as SourceSyncResult) // the finish of the job made it
    },
  }
}

/** Workers load the files, or with the embedded database the server: this process cannot help. */
function serverSyncs(context: Context, input: Input, server: Server, replace: SourceSyncSpec['replace']): Syncs {
  return {
    async sources() {
      const { sources } = await server.ask('GET', '/v1/status', undefined, statusAnswer.pick({ sources: true }))
      return sources.flatMap(({ name, files }) => (files === null ? [] : [name]))
    },
    async sync(name) {
      const path = `/v1/sources/${encodeURIComponent(name)}/sync`
      const { job, source, joined } = await server.ask('POST', path, { replace, reason: input.text('reason') }, sourceSyncAnswer)
      if (input.flag('detach')) return detached({ job, source, joined })
      const done = await watchServerJob(context, server, job, { label: `Loading files of ${source}`, work: `load files of "${source}"` })
      return synced({ job, joined }, done.result as SourceSyncResult) // the finish of the job made it
    },
  }
}

function detached(begun: { readonly job: number; readonly source: string; readonly joined: boolean }): Outcome {
  const { job, source, joined } = begun
  return { json: begun, text: `${joined ? 'Joined' : 'Started'} the sync ${job} of ${source}; workers continue with it.` }
}

function synced(begun: { readonly job: number; readonly joined: boolean }, result: SourceSyncResult): Outcome {
  return { json: { ...begun, ...result }, text: syncText(result) }
}

function syncText({ source, files, rows, olderRows, bytesRead, present, vanished, vanishedFiles }: SourceSyncResult): string {
  const loaded =
    files === 0
      ? `"${source}" has no new files.`
      : `Loaded ${counted(rows, 'row')} from ${counted(files, 'file')} into "${source}", reading ${sizeOf(bytesRead)}.`
  return [
    loaded,
    `${counted(present, 'file')} had been loaded before.`,
    ...(olderRows > 0 ? [`${counted(olderRows, 'row')} before the source's "from" were left out.`] : []),
    ...(vanished > 0
      ? [
          `note: ${counted(vanished, 'file')} no longer exist, such as ${vanishedFiles[0]}. Their rows stay; --replace --remove-vanished deletes them.`,
        ]
      : []),
  ].join('\n')
}
