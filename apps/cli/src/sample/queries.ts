export interface SampleQuery {
  readonly title: string;
  readonly sql: string;
}

/** What people may try on the sample, from a plain look-up to a join and nested JSON. */
export const QUERIES: readonly SampleQuery[] = [
  {
    title: 'Where do most flights start, and how late are they? (a join)',
    sql: `SELECT a.id AS airport, a.city, a.state, count(*) AS flights, round(avg(f.delay), 1) AS avg_delay_min
          FROM flights f JOIN airports a ON a.id = f.id
          GROUP BY a.id, a.city, a.state ORDER BY flights DESC LIMIT 5`,
  },
  {
    title: 'The strongest earthquakes (nested JSON)',
    sql: `SELECT properties->>'place' AS place, CAST(properties->>'mag' AS DOUBLE) AS magnitude,
                 CAST(geometry->'coordinates'->>2 AS DOUBLE) AS depth_km, timestamp
          FROM earthquakes ORDER BY magnitude DESC NULLS LAST LIMIT 5`,
  },
  {
    title: 'One airport in one week (found by id and time)',
    sql: `SELECT destination, count(*) AS flights, max(delay) AS worst_delay_min
          FROM flights
          WHERE id = 'ORD' AND timestamp >= '2001-02-01T00:00:00Z' AND timestamp < '2001-02-08T00:00:00Z'
          GROUP BY destination ORDER BY flights DESC, destination LIMIT 5`,
  },
  {
    title: 'The routes with the longest delays (an aggregate over all flights)',
    sql: `SELECT id AS origin, destination, count(*) AS flights, round(avg(delay), 1) AS avg_delay_min
          FROM flights GROUP BY id, destination HAVING count(*) >= 20
          ORDER BY avg_delay_min DESC LIMIT 5`,
  },
];
