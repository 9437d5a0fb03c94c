import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DirectoryObjectStore } from './directory.ts';
import { openObjectStore } from './open-store.ts';
import { S3ObjectStore } from './s3.ts';

describe('openObjectStore', () => {
  it('opens a directory', () => {
    const store = openObjectStore('file:///data/olap%20data');
    assert.ok(store instanceof DirectoryObjectStore);
    assert.equal(store.location, 'file:///data/olap%20data');
  });

  it('opens a bucket, at an endpoint or on AWS', async () => {
    const credentials = { accessKeyId: 'a', secretAccessKey: 'very secret' };
    const minio = openObjectStore(
      's3://olap-data?endpoint=http://127.0.0.1:9000/&region=eu-west-1&path_style=true',
      {
        credentials,
      },
    );
    assert.ok(minio instanceof S3ObjectStore);
    assert.equal(minio.location, 's3://olap-data at http://127.0.0.1:9000');
    const aws = openObjectStore('s3://olap-data?region=eu-west-1', { credentials });
    assert.equal(aws.location, 's3://olap-data at AWS eu-west-1');
    await minio.close();
    await aws.close();
  });

  const refused: Readonly<Record<string, string>> = {
    'olap-data': 'not a URL',
    'http://127.0.0.1:9000/olap-data': 'scheme',
    'file://host/data': 'three slashes',
    'file:///': 'a folder of its own',
    'file:///data?x=1': 'no parameters',
    'file:///data#x': 'fragment',
    'file:///a%2fb': 'decoded',
    's3://key:secret@olap-data': 'credentials',
    's3://olap-data?endpoint=http://key:secret@host:9000': 'credentials',
    's3://olap-data?access_key=secret': 'unknown parameter "access_key"',
    's3://olap-data?region=a&region=b': 'more than once',
    's3://olap-data/some/prefix': 'whole bucket',
    's3://olap-data:9000': 'port',
    's3://Olap_Data': '3 to 63',
    's3://ab': '3 to 63',
    's3://olap-data?endpoint=host:9000': 'no http:',
    's3://olap-data?endpoint=http://host:9000/path': 'more than scheme',
    's3://olap-data?region=eu%20west': 'region',
    's3://olap-data?path_style=yes': 'path_style',
  };
  for (const [url, reason] of Object.entries(refused)) {
    it(`refuses ${url} because of: ${reason}`, () => {
      assert.throws(
        () => openObjectStore(url),
        (error: Error & { code?: string; kind?: string }) => {
          assert.equal(error.kind, 'invalid_argument');
          assert.equal(error.code, 'bad_object_store_url');
          assert.ok(error.message.includes(reason), error.message);
          assert.ok(!error.message.includes('secret'), 'the message repeats a secret');
          return true;
        },
      );
    });
  }
});
