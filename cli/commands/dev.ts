import { dirname, relative, resolve } from 'node:path'
import { readVersion } from '../../runtime/version.ts'
import { codeSeconds } from '../../registry/keys/dashboard-sessions.ts'
import type { Command } from '../command.ts'
import { definitionsArgument, definitionsFile } from '../definitions-argument.ts'
import { startDev } from '../dev/start-dev.ts'
import { untilAborted } from '../interrupt.ts'
import { offerLinks } from '../ui-link.ts'

export const devCommand: Command = {
  name: 'dev',
  summary: 'Serve a project while you edit it',
  description: [
    'Applies the definitions file, loads the rows of data/SOURCE.csv (or .jsonl, .parquet) and the models of models/MODEL.onnx, materializes and serves. It does so again whenever one of these files changes, and prints what has changed. If a file is refused, the previous version is still served. At the start it prints a line for each long step, but not with --json.',
    'A changed definition takes effect under its version. So this happens in a development store in LOCKSTEP_DIR/dev, which is removed at the end. The database and the online store of the settings are neither read nor written.',
    'data/ and models/ are in the folder of FILE, or else in the working folder.',
  ],
  arguments: [definitionsArgument],
  options: {
    port: { value: 'PORT', help: 'The port. 0: any free port. Default: LOCKSTEP_PORT, or the next free one.' },
  },
  example: 'lockstep dev',
  async run(context, input) {
    const { config, terminal, signal } = context
    const [given] = input.arguments('FILE')
    const file = resolve(definitionsFile(context, input))
    const say = terminal.json ? terminal.complain : terminal.print
    say(`Lockstep ${readVersion()}, development store in ${relative(process.cwd(), config.directory)}/dev`)
    if (config.postgresUrl !== null || config.redisUrl !== null)
      say('The PostgreSQL and Redis of the settings are not used: rows come from data/, and nothing there changes.')
    const project = { folder: given === undefined ? process.cwd() : dirname(file), file }
    // 0: the time counts from the start of the process
    const { url, link, example } = await startDev(context, project, {
      port: input.count('port', 0, 65_535),
      startedMs: 0,
      say,
      // a script does not wait at a screen
      ...(terminal.json ? {} : { onStep: terminal.print }),
    })
    const ui = await link?.()
    signal.throwIfAborted()
    return {
      json: {
        url,
        ...(ui === undefined ? {} : { ui }),
        example: example === null ? null : { url: `${url}${example.path}`, body: example.body },
      },
      text: [
        '',
        `  API       ${url}`,
        `  Docs      ${url}/docs`,
        `  Metrics   ${url}/metrics`,
        ...(ui === undefined
          ? []
          : [`  Dashboard ${ui}`, `            (for one log-in within ${codeSeconds} s; press Enter for another link)`]),
        ...(example === null ? [] : ['', `  curl ${url}${example.path} -d '${JSON.stringify(example.body).replaceAll("'", "'\\''")}'`]),
        '',
        `Watching ${relative(process.cwd(), file)}, data/ and models/. Ctrl-C ends and removes the development store.`,
      ].join('\n'),
      async stay() {
        if (link !== null) offerLinks(context, link)
        await untilAborted(signal)
      },
    }
  },
}
