import type { TableConfig } from '@miniodb/core/table/config.ts';
import { type Command, Option } from 'commander';
import type { TableChange } from './client.ts';
import type { TableInfo } from './client-answers.ts';
import {
  addClientOptions,
  append,
  type ClientOptions,
  parseTableName,
  type Session,
  withClient,
  wrongUsage,
} from './client-command.ts';
import type { TableView } from './output-table.ts';
import { addSettingOptions, fieldNamed, settingsOf, showSetting } from './table-settings.ts';

interface ConfigOptions extends ClientOptions {
  readonly unset?: readonly string[];
  readonly status?: string;
}

const PROPERTY = 'properties.';

/** What the command line asks for. */
export interface Wanted {
  readonly set: Partial<TableConfig>;
  /** Fields that go back to the default. */
  readonly unset: readonly (keyof TableConfig)[];
  /** Single properties that go. */
  readonly unsetProperties: readonly string[];
  readonly status: string | undefined;
}

export function addTableConfig(table: Command): void {
  const config = table
    .command('config')
    .description('Change what holds for a table, at once and for good; without changes, print it')
    .argument('<name>', 'of the table', parseTableName)
    .addOption(
      new Option('--status <status>', 'archived tables answer queries and refuse writes').choices([
        'active',
        'archived',
      ]),
    )
    .addOption(
      new Option(
        '--unset <field>',
        'back to the default; properties.<key>: one property; repeatable',
      ).argParser(append),
    );
  addClientOptions(addSettingOptions(config))
    .addHelpText(
      'after',
      `
Examples:
  miniodb table config logs
  miniodb table config logs --buffer-size=20000 --flush-interval=10s --property owner=ops
  miniodb table config logs --unset buffer-size --unset properties.owner
  miniodb table config logs --status=archived
`,
    )
    .action((name: string, options: ConfigOptions) => {
      const wanted = wantedOf(config, options);
      return withClient(config, options, (session) => changeOrShow(name, wanted, options.json, session));
    });
}

function wantedOf(command: Command, options: ConfigOptions): Wanted {
  const set = settingsOf(options as unknown as Readonly<Record<string, unknown>>);
  const unset: (keyof TableConfig)[] = [];
  const unsetProperties: string[] = [];
  for (const text of options.unset ?? []) {
    const field = fieldNamed(text);
    if (text.startsWith(PROPERTY) && text.length > PROPERTY.length) {
      unsetProperties.push(text.slice(PROPERTY.length));
    } else if (field === undefined) return wrongUsage(command, `--unset ${text}: there is no such field`);
    else unset.push(field);
  }
  const both = unset.find((field) => Object.hasOwn(set, field));
  if (both !== undefined) return wrongUsage(command, `${both} is both set and unset`);
  const propertyBoth = unsetProperties.find((key) => Object.hasOwn(set.properties ?? {}, key));
  if (propertyBoth !== undefined)
    return wrongUsage(command, `property ${propertyBoth} is both set and unset`);
  return { set, unset, unsetProperties, status: options.status };
}

async function changeOrShow(
  name: string,
  wanted: Wanted,
  json: boolean | undefined,
  { client, out }: Session,
): Promise<undefined> {
  const { set, unset, unsetProperties, status } = wanted;
  const changes = Object.keys(set).length + unset.length + unsetProperties.length > 0 || status !== undefined;
  const needsProperties = set.properties !== undefined || unsetProperties.length > 0;
  const before = changes && !needsProperties ? undefined : (await client.describeTable(name)).body.table_info;
  if (!changes) {
    if (json === true) await out.json(JSON.stringify(before));
    else await out.table(configView(before!));
    return;
  }
  const { text, body } = await client.updateTable(name, changeOf(wanted, before));
  if (json === true) {
    await out.json(text);
    return;
  }
  await out.table(configView(body.table_info));
  await out.line(`Table ${body.table_info.name} is changed; it is ${body.table_info.status}.`);
}

/** The API writes properties as a whole. @param before what holds; only needed where single properties change */
export function changeOf(wanted: Wanted, before: TableInfo | undefined): TableChange {
  const { set, unset, unsetProperties, status } = wanted;
  const nulls = Object.fromEntries(unset.map((field) => [field, null]));
  const touched = set.properties !== undefined || unsetProperties.length > 0;
  const held = Object.entries((before?.config.properties ?? {}) as Record<string, string>);
  const kept = held.filter(([key]) => !unsetProperties.includes(key));
  const properties = touched ? { properties: { ...Object.fromEntries(kept), ...set.properties } } : {};
  return { config: { ...set, ...properties, ...nulls }, status };
}

export function configView({ config, inherited }: TableInfo): TableView {
  return {
    columns: [{ name: 'setting' }, { name: 'value' }, { name: 'from' }],
    rows: Object.entries(config).map(([field, value]) => [
      field,
      showSetting(field, value),
      inherited.includes(field) ? 'default' : 'table',
    ]),
  };
}
