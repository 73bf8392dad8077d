import { readFile } from 'node:fs/promises'

/** The bytes of one of the models that fixtures/make.py made. */
export function onnx(name: string): Promise<Buffer> {
  return readFile(new URL(`./fixtures/${name}.onnx`, import.meta.url))
}
