import { NOBODY, requireWriteSomewhere } from '@miniodb/core/auth/principal.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { Admit } from '@miniodb/proto/admission.ts';
import type { Intake } from '@miniodb/proto/arrival.ts';
import { OpenCalls } from '@miniodb/proto/open-calls.ts';
import type { ByteBudget } from '../write/budget.ts';
import type { Authentication } from './authenticate.ts';
import { presentError } from './errors.ts';
import { requestIdOf } from './request-id.ts';

/** Methods for everybody: load balancers have no credentials, and what reflection tells is public. */
const OPEN_METHODS = /^\/(olap\.v1\.OlapService\/HealthCheck$|grpc\.health\.v1\.Health\/|grpc\.reflection\.)/;
const WRITE_METHODS = /^\/olap\.v1\.OlapService\/Write(Batch|Stream)?$/;

/** As REST gives a body: 64 MiB in this time are 2 Mbit/s. */
const WRITE_TIMEOUT_MS = 300_000;
/** Of everything but rows: SQL has at most 256 KiB, and nothing else is long. */
const OTHER_BYTES_MAX = 1_048_576;
const OTHER_TIMEOUT_MS = 60_000;

/**
 * Who calls, and what that one may send, before a message is read: strangers next to nothing, who may write rows that
 * count against the budget from their first byte on, everybody else small messages.
 */
export function admitCallers(
  authentication: Authentication,
  budget: ByteBudget,
  log: Log,
  onFailed: (user: string, error: unknown) => void = () => {},
): Admit {
  const open = new OpenCalls();
  return async ({ path, peer, metadata }) => {
    if (OPEN_METHODS.test(path)) return { admission: NOBODY, intake: open.intake(peer) };
    let user = '';
    try {
      const principal = await authentication.principalOf(metadata('authorization'), peer);
      ({ user } = principal);
      if (!WRITE_METHODS.test(path)) return { admission: principal, intake: OTHER_INTAKE };
      requireWriteSomewhere(principal);
      return { admission: principal, intake: writeIntake(budget) };
    } catch (error) {
      if (user !== '') onFailed(user, error);
      throw presentError(error, requestIdOf(metadata('x-request-id')), log);
    }
  };
}

const OTHER_INTAKE: Intake = { messageBytesMax: OTHER_BYTES_MAX, messageTimeoutMs: OTHER_TIMEOUT_MS };

/** Rows count from their first byte on until the handler has them, who takes for what becomes of them. */
function writeIntake(budget: ByteBudget): Intake {
  const share = budget.open();
  return {
    messageTimeoutMs: WRITE_TIMEOUT_MS,
    isPaced: true,
    arrived: (bytes) => share.take(bytes),
    handedOver: (bytes) => share.give(bytes),
    ended: () => share.release(),
  };
}
