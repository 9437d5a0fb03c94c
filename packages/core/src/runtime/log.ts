import { type Logger, pino } from 'pino';

export type Log = Logger;

/** JSON lines on stdout: one event with fields, lowercase. @param role gateway, flusher, querier, cli */
export function openLog(role: string, nodeId: string, level: string): Log {
  return pino({
    level,
    base: { role, node: nodeId, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: pino.stdSerializers.err },
  });
}

/** Logs nothing; for code that must have a log and has nobody to tell. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}
