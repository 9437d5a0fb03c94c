import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { openGrpcServer } from './server.ts';
import { WireReader } from './wire.ts';

const server = await openGrpcServer({
  host: '127.0.0.1',
  port: 0,
  services: [],
  healthOf: ['olap.v1.OlapService'],
  reflection: true,
});
const client = new Client(server.address, credentials.createInsecure());
after(async () => {
  client.close();
  await server.close(0);
});

function health(service: string): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = healthService.Check!;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, response) => {
      if (error === null) resolve((response as { status: string }).status);
      else reject(error);
    });
  });
}

/** One question of grpc.reflection: a string field of ServerReflectionRequest. Answers the response's bytes. */
async function reflect(version: string, field: number, text: string): Promise<Buffer> {
  const request = Buffer.concat([Buffer.from([field * 8 + 2, text.length]), Buffer.from(text)]);
  const same = (bytes: Buffer) => bytes;
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const call = client.makeBidiStreamRequest(path, same, same);
  call.end(request);
  const answers = (await call.toArray()) as Buffer[];
  assert.equal(answers.length, 1);
  return answers[0]!;
}

/** The contents of one field of a message. */
function contents(bytes: Buffer, field: number): Buffer[] {
  const found: Buffer[] = [];
  const reader = new WireReader(bytes);
  while (reader.next()) if (reader.field === field) found.push(bytes.subarray(reader.start, reader.end));
  return found;
}

const LIST_SERVICES = 7;
const FILE_CONTAINING_SYMBOL = 4;

test('health follows setServing, by name and for the whole server', async () => {
  assert.deepEqual([await health(''), await health('olap.v1.OlapService')], ['NOT_SERVING', 'NOT_SERVING']);
  server.setServing(true);
  assert.deepEqual([await health(''), await health('olap.v1.OlapService')], ['SERVING', 'SERVING']);
  server.setServing(false);
  assert.equal(await health(''), 'NOT_SERVING');
  await assert.rejects(health('nobody'), { code: 5 });
});

for (const version of ['v1', 'v1alpha']) {
  test(`reflection ${version} lists the public services and no internal ones`, async () => {
    const [list] = contents(await reflect(version, LIST_SERVICES, '*'), 6);
    const names = contents(list!, 1).map((service) => contents(service, 1)[0]!.toString());
    assert.deepEqual(names.sort(), ['grpc.health.v1.Health', 'olap.v1.OlapService']);
  });

  test(`reflection ${version} describes a service with all that it imports`, async () => {
    const [found] = contents(await reflect(version, FILE_CONTAINING_SYMBOL, 'olap.v1.OlapService'), 4);
    const files = contents(found!, 1).map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    const names = new Set(files.map((file) => file.name));
    assert.ok(names.has('olap/v1/olap.proto'));
    for (const file of files) for (const name of file.dependency) assert.ok(names.has(name), name);
    const [missing] = contents(
      await reflect(version, FILE_CONTAINING_SYMBOL, 'miniodb.internal.v1.QuerierService'),
      4,
    );
    assert.equal(missing, undefined);
  });
}
