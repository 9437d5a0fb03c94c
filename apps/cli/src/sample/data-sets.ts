import { readFileSync } from 'node:fs';
import { readCsv } from './csv.ts';

/** A row as WriteBatch takes it, one a line. */
export interface SampleRow {
  readonly id: string;
  /** RFC 3339, or epoch milliseconds; left out: the time of acceptance. */
  readonly timestamp?: string | number;
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface DataSet {
  readonly table: string;
  readonly description: string;
  /** Its file in the data folder of vega-datasets. */
  readonly file: string;
  /** Always the same rows in the same order: what resuming relies on. */
  readonly rows: (text: string) => SampleRow[];
}

interface Flight {
  /** `2001/01/01 00:47`, local time without a zone; taken as UTC. */
  readonly date: string;
  readonly origin: string;
  readonly destination: string;
  /** Minutes. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
}

interface Earthquake {
  readonly id: string;
  readonly properties: Readonly<Record<string, unknown>> & { readonly time: number };
  readonly geometry: Readonly<Record<string, unknown>>;
}

/** In the order they are loaded. Join flights.id with airports.id. */
export const DATA_SETS: readonly DataSet[] = [
  {
    table: 'airports',
    description: 'US airports; id is the IATA code',
    file: 'airports.csv',
    rows: airportRows,
  },
  {
    table: 'earthquakes',
    description: 'a week of earthquakes as GeoJSON features; id is the feature',
    file: 'earthquakes.json',
    rows: earthquakeRows,
  },
  {
    // Of the sets of flights that are text, the largest with airports in it.
    table: 'flights',
    description: 'US flights of 2001; id is the origin airport',
    file: 'flights-20k.json',
    rows: flightRows,
  },
];

export function airportRows(csv: string): SampleRow[] {
  return readCsv(csv)
    .map(({ iata, latitude, longitude, ...rest }) => ({
      id: iata!,
      payload: { ...rest, latitude: Number(latitude), longitude: Number(longitude) },
    }))
    .toArray();
}

export function earthquakeRows(json: string): SampleRow[] {
  const { features } = JSON.parse(json) as { features: Earthquake[] };
  return features.map(({ id, properties, geometry }) => ({
    id,
    timestamp: properties.time,
    payload: { properties, geometry },
  }));
}

export function flightRows(json: string): SampleRow[] {
  const flights = JSON.parse(json) as Flight[];
  return flights.map(({ date, origin, destination, delay, distance }) => ({
    id: origin,
    timestamp: `${date.replaceAll('/', '-').replace(' ', 'T')}:00Z`,
    payload: { destination, delay, distance },
  }));
}

export function readDataSet(dataSet: DataSet): SampleRow[] {
  const file = new URL(`../data/${dataSet.file}`, import.meta.resolve('vega-datasets'));
  return dataSet.rows(readFileSync(file, 'utf8'));
}
