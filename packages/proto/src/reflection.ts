import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { service as healthService } from 'grpc-health-check';
import { OLAP_DESCRIPTOR_SET_BASE64 } from './gen/descriptor-set.ts';
import { WireReader } from './wire.ts';

type Package = ConstructorParameters<typeof ReflectionService>[0];

/** olap.v1 and grpc.health.v1: the cluster's internal services are nobody's business. */
const REFLECTED_SERVICES = ['olap.v1.OlapService', 'grpc.health.v1.Health'];

/** Adds grpc.reflection.v1 and v1alpha. */
export function addReflection(server: Server): void {
  const healthFiles = healthService.Check?.requestType.fileDescriptorProtos ?? [];
  const files = [...olapDescriptorFiles(), ...healthFiles];
  // All that the reflection service takes from a package of proto-loader are these encoded files.
  const descriptors = { files: { fileDescriptorProtos: files } } as unknown as Package;
  new ReflectionService(descriptors, { services: REFLECTED_SERVICES }).addToServer(server);
}

/** olap.proto and what it imports, each an encoded FileDescriptorProto: the set's one field, repeated. */
export function olapDescriptorFiles(): Buffer[] {
  const set = Buffer.from(OLAP_DESCRIPTOR_SET_BASE64, 'base64');
  const files: Buffer[] = [];
  const reader = new WireReader(set);
  while (reader.next()) files.push(set.subarray(reader.start, reader.end));
  return files;
}
