import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { startGcs, startS3 } from './object-storage.ts'

/** How long a hook may take that starts object storage: the first one installs packages from PyPI. */
export const environmentMs = 600_000

/** The variables by which AWS tools, and Lockstep, find an S3. */
export type S3Settings = Readonly<Record<'AWS_ENDPOINT_URL_S3' | 'AWS_ACCESS_KEY_ID' | 'AWS_SECRET_ACCESS_KEY' | 'AWS_REGION', string>>

export interface OwnS3 {
  readonly settings: S3Settings
  /** Restores the environment of this process. The server ends with the process. */
  stop(): void
}

/** Files that share a process share its S3, as the product keeps one client of S3 for a process. */
let shared: ReturnType<typeof startS3> | null = null

/** An S3 with a bucket of this name. The environment of this process names it. */
export async function ownS3(bucket: string): Promise<OwnS3> {
  shared ??= startS3()
  const { url } = await shared
  const settings = { AWS_ENDPOINT_URL_S3: url, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'us-east-1' }
  const before = { ...process.env }
  Object.assign(process.env, settings)
  const client = new S3Client({ forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  client.destroy()
  return {
    settings,
    stop() {
      for (const name of Object.keys(settings)) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
    },
  }
}

let sharedGcs: ReturnType<typeof startGcs> | null = null

/** A Google Cloud Storage with a bucket of this name. The environment of this process names it. */
export async function ownGcs(bucket: string): Promise<{ stop(): void }> {
  sharedGcs ??= startGcs()
  const { url } = await sharedGcs
  const before = process.env['STORAGE_EMULATOR_HOST']
  process.env['STORAGE_EMULATOR_HOST'] = url
  await fetch(`${url}/storage/v1/b`, { method: 'POST', body: JSON.stringify({ name: bucket }) })
  return {
    stop() {
      if (before === undefined) delete process.env['STORAGE_EMULATOR_HOST']
      else process.env['STORAGE_EMULATOR_HOST'] = before
    },
  }
}
