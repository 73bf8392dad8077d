import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { withExternalData } from '../inference/external-data.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'

/**
 * Reads a model file, with the values that it has in files beside it.
 *
 * @throws LockstepError `FILE_UNREADABLE`, `MODEL_INVALID`
 */
export async function readModelFile(file: string): Promise<Uint8Array> {
  return await withExternalData(await read(file), file)
}

/**
 * Uses a model file as one file: a temporary one if it has values in files beside it.
 *
 * @throws LockstepError `FILE_UNREADABLE`, `MODEL_INVALID`
 */
export async function withModelFile<T>(file: string, use: (path: string) => Promise<T>): Promise<T> {
  const bytes = await read(file)
  const whole = await withExternalData(bytes, file)
  if (whole === bytes) return await use(file)
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-model-'))
  try {
    const path = join(folder, basename(file))
    await writeFile(path, whole)
    return await use(path)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (cause) {
    throw new LockstepError(
      'FILE_UNREADABLE',
      `The model file "${file}" cannot be read: ${messageOf(cause)}. Give the path of an ONNX file.`,
      {
        cause,
        details: { path: file },
      },
    )
  }
}
