/**
 * The layering, and the one home of each outside library. A folder's rule stands here once; the reasons stand in
 * CONTRIBUTING.md.
 */

/** Outside library (a pattern of its package name) and the only folder that may import it. */
const HOMES = {
  '@duckdb/node-api': 'packages/core/src/duckdb',
  bullmq: 'packages/core/src/queue',
  ioredis: 'packages/core/src/redis',
  '@aws-sdk/[^/]+': 'packages/core/src/storage',
  '@smithy/[^/]+': 'packages/core/src/storage',
  'parquetjs-lite': 'packages/core/src/encode',
  hashring: 'packages/core/src/placement',
  'prom-client': 'packages/core/src/runtime',
  pino: 'packages/core/src/runtime',
  jose: 'packages/core/src/auth',
  yaml: 'packages/core/src/config',
  zod: 'packages/core/src',
  '@grpc/[^/]+': 'packages/proto/src',
  'grpc-health-check': 'packages/proto/src',
  '@bufbuild/protobuf': 'packages/proto/src',
  fastify: 'apps/gateway/src/server',
  '@fastify/[^/]+': 'apps/gateway/src/server',
  commander: 'apps/cli/src',
  'cli-table3': 'apps/cli/src',
  'vega-datasets': 'apps/cli/src/sample',
};

const homeRules = Object.entries(HOMES).map(([library, home]) => ({
  name: `home-of-${library.replace(/[^a-z0-9]+/g, '-')}`,
  comment: `${library} is only imported below ${home}: everything else goes through what that folder offers`,
  severity: 'error',
  // Tests may look at an effect with the library itself.
  from: { pathNot: [`^${home}/`, '\\.test\\.ts$', '^tests/', '^bench/', '^packages/testkit/'] },
  to: { path: `(^|/)node_modules/${library}(/|$)` },
}));

module.exports = {
  forbidden: [
    {
      name: 'apps-do-not-import-apps',
      comment: 'apps meet in Redis, the bucket and gRPC; only tests and bench know several',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'packages-do-not-import-apps',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^apps/' },
    },
    {
      name: 'core-imports-no-package-of-ours',
      severity: 'error',
      from: { path: '^packages/core/' },
      to: { path: '^packages/', pathNot: '^packages/core/' },
    },
    {
      name: 'proto-and-local-import-only-core',
      severity: 'error',
      from: { path: '^packages/(proto|local)/' },
      to: { path: '^packages/', pathNot: ['^packages/core/', '^packages/$1/'] },
    },
    {
      name: 'testkit-is-for-tests',
      severity: 'error',
      from: { path: '^(apps|packages)/', pathNot: ['\\.test\\.ts$', '^packages/testkit/'] },
      to: { path: '^packages/testkit/' },
    },
    {
      name: 'nobody-imports-tests',
      severity: 'error',
      from: { path: '^(apps|packages|bench|scripts)/' },
      to: { path: '(^tests/|\\.test\\.ts$)' },
    },
    {
      name: 'no-circular-imports',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'imports-resolve',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    ...homeRules,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['/gen/', '^coverage/', '^\\.data/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      mainFields: ['module', 'main', 'types'],
      extensions: ['.ts', '.mjs', '.js', '.cjs', '.d.ts'],
    },
  },
};
