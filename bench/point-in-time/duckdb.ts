import { DuckDBInstance } from '@duckdb/node-api'
import { clock } from '../in-process.ts'

/**
 * DuckDB's own ASOF JOIN for the latest delay of an airport, on in-memory tables. Loading is not timed.
 *
 * @param every the spine takes every n-th flight
 */
export async function duckdbAsofSeconds(
  flightsParquet: string,
  every: number,
): Promise<{ readonly seconds: number; readonly rows: number }> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    await connection.run(`create table flights as select origin, date, delay from read_parquet('${flightsParquet}')`)
    await connection.run(
      `create table spine as select origin, date from (select *, row_number() over () n from flights) where n % ${every} = 0`,
    )
    let rows = 0
    let seconds = Infinity
    for (let round = 0; round < 3; round++) {
      seconds = Math.min(
        seconds,
        await clock(async () => {
          await connection.run(
            'create or replace table joined as select s.*, f.delay from spine s asof left join flights f on s.origin = f.origin and s.date >= f.date',
          )
        }),
      )
      rows = Number((await connection.runAndReadAll('select count(*) from joined')).getRows()[0]?.[0])
    }
    return { seconds, rows }
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
