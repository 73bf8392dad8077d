import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { cacheFolder } from '../cache-folder.ts'
import { makePrivate } from '../private-folder.ts'

// A new embedded database is the same each time, and takes seconds of processor time to make. So the first one is kept
// as one compressed file, and later ones are unpacked from it.
//
// The file is a line of JSON, then the compressed bytes of all files of the database. It is renamed to its name when it
// is complete, so processes need not wait for each other.

interface Contents {
  readonly folders: readonly string[]
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
  /** Of the bytes of all files: a power failure may leave a file with its name, and without its bytes. */
  readonly crc: number
}

/** Where this version of the engine keeps its template; null for a user without a home. */
export function templateFile(): string | null {
  const folder = cacheFolder('embedded')
  if (folder === null) return null
  const manifest = join(dirname(fileURLToPath(import.meta.resolve('@electric-sql/pglite'))), '..', 'package.json')
  const { version }: { version: string } = JSON.parse(readFileSync(manifest, 'utf8'))
  return join(folder, `pglite-${version}.template`)
}

/**
 * Keeps the files of a new database, which must be closed, as a template. Where the template cannot be written, nothing
 * is kept.
 */
export function packTemplate(template: string, directory: string): void {
  const partial = `${template}.${process.pid}.partial`
  try {
    makePrivate(dirname(template))
    writeFileSync(partial, packed(directory), { mode: 0o600 })
    renameSync(partial, template)
  } catch {
    try {
      rmSync(partial, { force: true })
    } catch {
      // the folder is none
    }
  }
}

function packed(directory: string): Buffer {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
  const pathOf = (entry: (typeof entries)[number]): string => relative(directory, join(entry.parentPath, entry.name))
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => ({ path: pathOf(entry), body: readFileSync(join(directory, pathOf(entry))) }))
  const bytes = Buffer.concat(files.map(({ body }) => body))
  const contents: Contents = {
    folders: entries.filter((entry) => entry.isDirectory()).map(pathOf),
    files: files.map(({ path, body }) => ({ path, bytes: body.length })),
    crc: crc32(bytes),
  }
  const fastest = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
  return Buffer.concat([Buffer.from(`${JSON.stringify(contents)}\n`), zstdCompressSync(bytes, fastest)])
}

/**
 * Puts the files of a template into a folder.
 *
 * @returns whether there is a template; false also for one that is damaged
 * @throws the system's error where the files cannot be written
 */
export function unpackTemplate(template: string, directory: string): boolean {
  const found = readTemplate(template)
  if (found === null) return false
  const { folders, files, bytes } = found
  for (const folder of folders) mkdirSync(join(directory, folder), { recursive: true, mode: 0o700 })
  let at = 0
  for (const { path, bytes: length } of files) {
    writeFileSync(join(directory, path), bytes.subarray(at, at + length), { mode: 0o600 })
    at += length
  }
  return true
}

function readTemplate(template: string): (Contents & { readonly bytes: Buffer }) | null {
  try {
    const packed = readFileSync(template)
    const end = packed.indexOf('\n')
    const contents: Contents = JSON.parse(packed.toString('utf8', 0, end))
    // chunks of the default 16 KB would be copied once more
    const chunkSize = Math.max(
      64,
      contents.files.reduce((sum, file) => sum + file.bytes, 0),
    )
    const bytes = zstdDecompressSync(packed.subarray(end + 1), { chunkSize })
    return crc32(bytes) === contents.crc ? { ...contents, bytes } : null
  } catch {
    return null
  }
}
