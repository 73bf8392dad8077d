/** Parquet files that feed a source, as the registry stores them. */
export interface FilesSpec {
  /** Absolute paths or URLs of object storage. They may contain `*`, `**`, `?` and `{a,b}`. */
  readonly patterns: readonly string[]
  /** Rows with an earlier event time are not loaded, epoch microseconds; null: all are. */
  readonly fromMicros: number | null
  /** Five fields of cron, in UTC: when workers look for new files; null: they do not. */
  readonly schedule: string | null
}

/** `Parquet files "s3://lake/flights/*.parquet" and 2 more` */
export function filesName({ patterns }: Pick<FilesSpec, 'patterns'>): string {
  const more = patterns.length > 1 ? ` and ${patterns.length - 1} more` : ''
  return `Parquet files "${patterns[0]}"${more}`
}

/** A name that ends with a slash stands for all Parquet files below that folder. */
export function filesPattern(name: string): string {
  return name.endsWith('/') ? `${name}**/*.parquet` : name
}
