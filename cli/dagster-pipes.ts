import { appendFile, readFile } from 'node:fs/promises'
import { inflateSync } from 'node:zlib'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { asRecord } from '../kernel/is-record.ts'
import { readVariable } from '../runtime/config.ts'

export interface Materialization {
  /** What Dagster shows beside the asset. */
  readonly metadata: Readonly<Record<string, string | number>>
  /** Equal for equal content. */
  readonly dataVersion: string
}

/**
 * Reports an asset to Dagster, if Dagster started this process for one asset. Otherwise it does nothing.
 *
 * Source: the Dagster Pipes protocol, version 0.1 (https://docs.dagster.io/guides/build/external-pipelines). Variables
 * are base64 of zlib of JSON; a message is a line of JSON.
 *
 * @throws LockstepError `CONFIG_INVALID` where Dagster's variables cannot be read, `WRITE_FAILED`
 */
export async function reportToDagster({ metadata, dataVersion }: Materialization): Promise<void> {
  const [context, messages] = [readVariable('DAGSTER_PIPES_CONTEXT'), readVariable('DAGSTER_PIPES_MESSAGES')]
  if (context === null || messages === null) return
  const { path } = decoded('DAGSTER_PIPES_MESSAGES', messages)
  const { asset_keys: assets } = await contextOf(decoded('DAGSTER_PIPES_CONTEXT', context))
  if (!Array.isArray(assets) || assets.length !== 1) return
  if (typeof path !== 'string')
    throw new LockstepError(
      'CONFIG_INVALID',
      '"DAGSTER_PIPES_MESSAGES" does not name a file. Use the PipesTempFileMessageReader, which is the default.',
    )
  const typed = Object.fromEntries(
    Object.entries(metadata).map(([name, raw]) => [
      name,
      { raw_value: raw, type: typeof raw === 'string' ? 'text' : Number.isInteger(raw) ? 'int' : 'float' },
    ]),
  )
  const lines = [
    message('opened', { extras: {} }),
    message('report_asset_materialization', { asset_key: assets[0], metadata: typed, data_version: dataVersion }),
    message('closed', {}),
  ]
  await appendFile(path, lines.map((line) => `${line}\n`).join('')).catch((cause: unknown) => {
    throw new LockstepError('WRITE_FAILED', `The messages for Dagster could not be written to "${path}": ${messageOf(cause)}.`, { cause })
  })
}

function message(method: string, params: object): string {
  return JSON.stringify({ __dagster_pipes_version: '0.1', method, params })
}

/** The context of a step: in a file, or in the variable itself. */
async function contextOf({ path, data }: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> {
  if (typeof path !== 'string') return asRecord(data)
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new LockstepError('CONFIG_INVALID', `The file "${path}" of DAGSTER_PIPES_CONTEXT cannot be read: ${messageOf(cause)}.`, { cause })
  })
  return asRecord(JSON.parse(text))
}

function decoded(name: string, variable: string): Readonly<Record<string, unknown>> {
  try {
    return asRecord(JSON.parse(inflateSync(Buffer.from(variable, 'base64')).toString()))
  } catch (cause) {
    throw new LockstepError('CONFIG_INVALID', `"${name}" is not what Dagster sets (compressed JSON): ${messageOf(cause)}. Unset it.`, {
      cause,
    })
  }
}
