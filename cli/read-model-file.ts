import { readFile } from 'node:fs/promises'
import { LockstepError, messageOf } from '../kernel/errors.ts'

/** @throws LockstepError `FILE_UNREADABLE` */
export async function readModelFile(file: string): Promise<Buffer> {
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
