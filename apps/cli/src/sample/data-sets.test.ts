import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCsv } from './csv.ts';
import { airportRows, DATA_SETS, earthquakeRows, flightRows, readDataSet } from './data-sets.ts';

test('CSV fields may be quoted, hold commas, quotes and line ends, and be empty', () => {
  const text = 'a,b,c\r\n1,"x, ""y""\nz",3\n,,last\n"",2,';
  assert.deepEqual([...readCsv(text)], [{ a: '1', b: 'x, "y"\nz', c: '3' }, { c: 'last' }, { b: '2' }]);
  assert.deepEqual([...readCsv('')], []);
  assert.deepEqual([...readCsv('a,b\n')], []);
  assert.throws(() => [...readCsv('a\n"open')], /not CSV at character 2/);
});

test('an airport is a row with its IATA code as id and its position as numbers', () => {
  const csv =
    'iata,name,city,state,country,latitude,longitude\nBTR,"Baton Rouge, Ryan",Baton Rouge,LA,USA,30.5,-91.1\n';
  assert.deepEqual(airportRows(csv), [
    {
      id: 'BTR',
      payload: {
        name: 'Baton Rouge, Ryan',
        city: 'Baton Rouge',
        state: 'LA',
        country: 'USA',
        latitude: 30.5,
        longitude: -91.1,
      },
    },
  ]);
});

test('an earthquake keeps its nested GeoJSON, its own id and its time', () => {
  const feature = {
    type: 'Feature',
    id: 'ci1',
    properties: { mag: 2, time: 1_517_966_773_840 },
    geometry: { type: 'Point', coordinates: [-118, 34, 26] },
  };
  assert.deepEqual(earthquakeRows(JSON.stringify({ features: [feature] })), [
    {
      id: 'ci1',
      timestamp: 1_517_966_773_840,
      payload: { properties: feature.properties, geometry: feature.geometry },
    },
  ]);
});

test('a flight is a row of its origin with its date as RFC 3339', () => {
  const flight = { date: '2001/01/01 00:47', delay: 66, distance: 1750, origin: 'DTW', destination: 'LAS' };
  assert.deepEqual(flightRows(JSON.stringify([flight])), [
    {
      id: 'DTW',
      timestamp: '2001-01-01T00:47:00Z',
      payload: { destination: 'LAS', delay: 66, distance: 1750 },
    },
  ]);
});

test('every data set is shipped whole, and every row of it has an id and a time that can be read', () => {
  const counts = DATA_SETS.map((dataSet) => {
    const rows = readDataSet(dataSet);
    for (const { id, timestamp, payload } of rows) {
      assert.ok(id.length > 0 && Object.keys(payload).length > 0);
      if (timestamp !== undefined)
        assert.ok(Number.isFinite(new Date(timestamp).getTime()), String(timestamp));
    }
    return [dataSet.table, rows.length];
  });
  assert.deepEqual(counts, [
    ['airports', 3_376],
    ['earthquakes', 1_707],
    ['flights', 20_000],
  ]);
});
